// This module runs the vectors of vectors.json, in Node and in browsers.

import * as verifier from '../verifier.mjs';

// failures returns the names of the checks that failed, with their fields.
const failures = (checks) => checks.filter((c) => !c.ok).map((c) => (c.field ? `${c.name} ${c.field}` : c.name));

// verdict returns the names of the checks that an entry fails.
export async function verdict({ entry, log }) {
  const { ok, checks } = await verifier.verify(entry, log);
  if (ok !== checks.every((c) => c.ok)) throw new Error('ok is not what the checks say');
  return failures(checks);
}

// cases returns a list of [name, run], of which each run returns [what it found, what it should find].
export function cases(all) {
  return [
    ...all.entries.map((v) => [v.name, async () => [await verdict(v), v.fails ?? []]]),
    ...all.proofs.map((v) => [v.name, async () => [
      failures((await verifier.verifyProof(v.text, v.leaf, v.log)).checks), v.fails ?? [],
    ]]),
    ...all.consistency.map((v) => [v.name, async () => {
      const head = await verifier.openLog(v.log);
      return [failures([...head.checks, await verifier.verifyConsistency(v.older, v.proof, head)]), v.fails ?? []];
    }]),
    ...all.leaves.map((v) => [`leaf: ${v.name}`, async () => {
      const text = v.text.replace('%', 'a'.repeat(v.letters ?? 0));
      return [verifier.parseLeaf(text) !== null, v.canonical];
    }]),
  ];
}
