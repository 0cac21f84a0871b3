// node --test nothing.test.mjs: nothing is thrown, whatever the arguments are, and nothing malformed is proved.

import { equal } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import './node.mjs';
import * as verifier from '../verifier.mjs';

const all = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url)));
const { entry, log } = all.entries.find((v) => !v.fails && v.log.rotations && '/request/ip' in v.entry.disclosures);
const { older, proof, log: grown } = all.consistency.find((v) => !v.fails && v.older.size > 0);
const odd = [null, 5, true, '', 'x', [], [null], {}, { a: null }, Symbol('s'), Object.create(null), () => {},
  [Symbol('s')]];

// without returns copies of an object with an odd value in the place of each member, and odd values for all of it.
const without = (v) => [...odd, undefined, ...Object.keys(v).flatMap((name) => odd.map((o) => ({ ...v, [name]: o })))];
const failed = (checks) => checks.length === 0 || checks.some((c) => !c.ok);

test('odd arguments', async () => {
  const head = await verifier.openLog(log), later = await verifier.openLog(grown);
  equal(failed(await verifier.verifyEntry(entry, head)), false);
  equal((await verifier.verifyConsistency(older, proof, later)).ok, true);
  for (const o of [...odd, undefined]) {
    equal(failed((await verifier.openLog(o)).checks), true);
    equal((await verifier.verify(o, log)).ok, false);
    equal((await verifier.verify(entry, o)).ok, false);
    equal((await verifier.verifyProof(o, o, o)).ok, false);
    equal((await verifier.verifyProof(all.proofs[0].text, all.proofs[0].leaf, o)).ok, false);
    if (!Array.isArray(o) || o.length > 0) equal((await verifier.verifyConsistency(older, o, later)).ok, false);
    equal(verifier.parseProof(o), null);
    equal(verifier.parseLeaf(o), null);
  }
  for (const o of without(log)) await verifier.openLog(o);
  for (const o of without(entry)) await verifier.verifyEntry(o, head);
  for (const o of without(head)) {
    await verifier.verifyEntry(entry, o);
    await verifier.verifyConsistency(older, proof, o);
  }
  for (const o of without(older)) equal((await verifier.verifyConsistency(o, proof, later)).ok, false);
  for (const witnesses of [5, 'x', { length: 0 }, [null], [{}]]) {
    equal((await verifier.openLog({ ...log, witnesses })).ok, false);
    equal((await verifier.openLog({ ...log, rotations: witnesses })).ok, false);
  }
});
