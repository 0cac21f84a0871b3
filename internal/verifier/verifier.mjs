// This module checks entries of a Sluice log. It is the second implementation of the rules, written apart from the one
// in Go (package ledger), so that a mistake in one of them shows. It uses WebCrypto and nothing else, and runs in
// browsers and in Node 20 and newer. It is meant to be read: the specifications are
//
//   RFC 6962   the Merkle tree: hashes of leaves and nodes (section 2.1)
//   RFC 9162   how to verify inclusion and consistency proofs (sections 2.1.3.2 and 2.1.4.2)
//   RFC 8785   canonical JSON, the form of a leaf
//   RFC 8032   Ed25519
//   c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature, c2sp.org/tlog-proof
//
// What it checks, by name:
//
//   browser      WebCrypto and Ed25519 are available; without them nothing is checked
//   key          the verifier key is well formed, its id is the hash of its name and key, and it names the log
//   rotation     each change of the log's key is proved by a checkpoint that the key before it signed
//   signature    the key signed the checkpoint
//   cosignature  each witness whose key was given signed it too
//   checkpoint   the signed text has the form of a checkpoint, and is of this log
//   consistency  the log has only grown since an older checkpoint
//   leaf         the leaf is a JSON object in canonical form
//   proof        the text of a proof, or an index or hash in it, is well formed
//   inclusion    the leaf is the entry with this index of the tree that the checkpoint commits to
//   commitment   a disclosed value is the one that the leaf commits to. A value that was erased has no disclosure,
//                which is not an error: all other checks still apply.

const MAX_SIZE = 2 ** 48 - 1; // entries in a log
const MAX_LEAF = 65535; // bytes
const MAX_CHECKPOINT = 128 << 10; // bytes
const MAX_HASHES = 63; // in a proof
const MAX_DEPTH = 64; // of the JSON of a leaf
const ED25519 = 1; // signature types of c2sp.org/signed-note
const COSIGNATURE = 4;
const PROOF_HEADER = 'c2sp.org/tlog-proof@v1\n';

// verify checks one entry of a log. A malformed member of its arguments fails a check; nothing is thrown.
//
//   entry  {leaf: the bytes of the leaf as text, index: its seq, proof: [base64 of each hash],
//           disclosures: {'/request/ip': {salt: hexadecimal, value: text}, …}}
//   log    {vkey: the verifier key, origin: the name of the log (optional), checkpoint: the signed text,
//           rotations: [tlog-proof of each change of the key since vkey] (optional),
//           witnesses: [verifier key of each witness] (optional)}
//
// It returns {ok, checks: [{name, ok, field, message}]}: ok if all checks are.
export async function verify(entry, log) {
  const head = await openLog(log);
  const checks = [...head.checks, ...await verifyEntry(entry, head)];
  return { ok: checks.every((c) => c.ok), checks };
}

// openLog checks the key and the checkpoint of a log, once for any number of entries. It returns {checks, ok, origin,
// size, root, key}; the size and the root are those that the checkpoint states, whether or not it is signed.
export async function openLog(log) {
  log = isObject(log) ? log : {};
  const head = { checks: [], ok: false, origin: '', size: 0, root: null, key: '' };
  const done = (name, ok, message, field) => {
    head.checks.push({ name, ok, ...(field && { field }), message });
    return ok;
  };
  if (!await hasWebCrypto()) {
    done('browser', false, 'This browser cannot check signatures here. Use a current one, over https or from a file.');
    return head;
  }
  const first = await parseKey(log.vkey, ED25519);
  const named = first !== null && (log.origin === undefined || first.name === log.origin);
  done('key', named, first === null ? 'The key is malformed, or its id is not that of its name and bytes.'
    : named ? `The key is ${first.text}.` : `The key is of the log ${first.name}.`);
  const note = parseNote(log.checkpoint);
  const stated = note && parseCheckpoint(note.text);
  Object.assign(head, stated);
  const keys = first === null ? [] : await followRotations(first, listOf(log.rotations), done);
  const signed = note !== null && await isSigned(note, keys, stated?.size);
  done('signature', signed, signed ? 'The key signed the checkpoint.' : 'No key of the log signed this checkpoint.');
  for (const text of listOf(log.witnesses)) {
    const witness = await parseKey(text, COSIGNATURE);
    const time = witness && note && await cosigned(note, witness);
    done('cosignature', Boolean(time), time ? `The witness ${witness.name} signed the checkpoint at ${time}.`
      : 'The witness did not sign this checkpoint.', textual(text).split('+')[0]);
  }
  const fits = Boolean(stated) && first !== null && stated.origin === first.name;
  done('checkpoint', fits, !stated ? 'The checkpoint is malformed.'
    : fits ? `The checkpoint covers ${stated.size} entries of ${stated.origin}.`
      : `The checkpoint is of the log ${stated.origin}.`);
  head.ok = head.checks.every((c) => c.ok);
  head.key = keys.at(-1)?.text ?? '';
  return head;
}

// verifyEntry checks an entry against a head from openLog. It returns the checks of the entry only: the entry is
// proved if these and those of the head are ok.
export async function verifyEntry(entry, head) {
  [entry, head] = [entry, head].map((v) => (isObject(v) ? v : {}));
  if (lacksBrowser(head)) return [];
  const value = parseLeaf(entry.leaf);
  const form = value === null ? 'The leaf is not canonical JSON.' : 'The leaf is canonical JSON.';
  const checks = [{ name: 'leaf', ok: value !== null, message: form }];
  const { index, proof } = entry;
  const hashes = Array.isArray(proof) && proof.length <= MAX_HASHES ? proof.map(parseHash) : [null];
  if (!isSize(index) || hashes.includes(null)) {
    checks.push({ name: 'proof', ok: false, message: 'The proof is malformed.' });
  } else {
    const root = hasTree(head) &&
      await rootFromInclusion(await leafHash(textual(entry.leaf)), index, head.size, hashes);
    const ok = Boolean(root) && same(root, head.root);
    checks.push({
      name: 'inclusion', ok,
      message: ok ? `It is entry ${index} of the log.` : `It is not what the log has as entry ${index}.`,
    });
  }
  if (value === null) return checks; // nothing in it can be looked up
  const disclosures = entry.disclosures ?? {};
  if (!isObject(disclosures)) checks.push({ name: 'commitment', ok: false, message: 'The disclosures are malformed.' });
  for (const [field, disclosure] of isObject(disclosures) ? Object.entries(disclosures) : []) {
    const ok = await opens(disclosure, lookup(value, field));
    checks.push({
      name: 'commitment', ok, field, message: ok ? `${field} is what the entry commits to.` : `${field} was changed.`,
    });
  }
  return checks;
}

// verifyProof checks a leaf by the text of a proof (c2sp.org/tlog-proof), which has its own checkpoint.
export async function verifyProof(text, leaf, log) {
  const p = parseProof(text);
  if (p === null) return { ok: false, checks: [{ name: 'proof', ok: false, message: 'The proof is malformed.' }] };
  return verify({ leaf, index: p.index, proof: p.proof }, { ...log, checkpoint: p.checkpoint });
}

// verifyConsistency checks that a log has only grown: that the tree with the older size and root (in base64) is the
// beginning of the tree of a head from openLog.
export async function verifyConsistency(older, proof, head) {
  [older, head] = [older, head].map((v) => (isObject(v) ? v : {}));
  const from = parseHash(older.root);
  const hashes = Array.isArray(proof) && proof.length <= MAX_HASHES ? proof.map(parseHash) : [null];
  const ok = isSize(older.size) && from !== null && !hashes.includes(null) && hasTree(head) &&
    await extendsTree(older.size, from, head.size, head.root, hashes);
  return {
    name: 'consistency', ok,
    message: ok ? `The log has only grown since entry ${older.size}.` : 'The log does not extend the older checkpoint.',
  };
}

// ---- The tree: RFC 6962 and RFC 9162. Sizes may exceed 32 bits, so there are no bit operators here. ----

async function leafHash(text) {
  return sha256(concat([0], utf8(text)));
}

async function nodeHash(left, right) {
  return sha256(concat([1], left, right));
}

// rootFromInclusion computes the root from a leaf and its proof, or null if the proof has the wrong length.
async function rootFromInclusion(hash, index, size, proof) {
  if (index >= size) return null;
  let node = index, last = size - 1;
  for (const p of proof) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      hash = await nodeHash(p, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = await nodeHash(hash, p);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 ? hash : null;
}

async function extendsTree(from, fromRoot, to, toRoot, proof) {
  if (from > to) return false;
  if (from === 0) return proof.length === 0 && same(fromRoot, await sha256([])) && (to > 0 || same(fromRoot, toRoot));
  if (from === to) return proof.length === 0 && same(fromRoot, toRoot);
  let node = from - 1, last = to - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  const hashes = node === 0 ? [fromRoot, ...proof] : [...proof];
  if (hashes.length === 0) return false;
  let older = hashes[0], newer = hashes[0];
  for (const p of hashes.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      older = await nodeHash(p, older);
      newer = await nodeHash(p, newer);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newer = await nodeHash(newer, p);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && same(older, fromRoot) && same(newer, toRoot);
}

const half = (n) => Math.floor(n / 2);

// ---- Keys, notes and checkpoints: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature. ----

// parseKey parses a verifier key: the name, the id, which is the start of a hash over name and key, and the key.
async function parseKey(text, type) {
  const parts = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(textual(text));
  const raw = parts && parseBase64(parts[3]);
  if (!raw || raw.length !== 33 || raw[0] !== type || !isName(parts[1])) return null;
  const id = hex(await sha256(concat(utf8(parts[1] + '\n'), raw))).slice(0, 8);
  return id === parts[2] ? { name: parts[1], id, raw: raw.slice(1), text, upTo: MAX_SIZE } : null;
}

// parseNote splits a signed note into its text and its signature lines, "— name base64(id || signature)".
function parseNote(signed) {
  const end = typeof signed === 'string' && isText(signed) ? signed.lastIndexOf('\n\n') : -1;
  if (end < 0 || utf8(signed).length > MAX_CHECKPOINT || !signed.endsWith('\n')) return null;
  const signatures = [];
  for (const line of signed.slice(end + 2).split('\n').slice(0, -1)) {
    const parts = /^— ([^ ]+) ([^ ]+)$/u.exec(line);
    const raw = parts && parseBase64(parts[2]);
    if (!raw || raw.length < 5 || !isName(parts[1])) return null;
    signatures.push({ name: parts[1], id: hex(raw.slice(0, 4)), bytes: raw.slice(4) });
  }
  return { text: signed.slice(0, end + 1), signatures };
}

// parseCheckpoint parses the text of a checkpoint: the name of the log, the number of entries, the root.
function parseCheckpoint(text) {
  const [origin, digits, encoded, rest, ...more] = text.split('\n');
  const size = parseSize(digits), root = parseHash(encoded);
  return isName(origin) && size !== null && root && rest === '' && more.length === 0 ? { origin, size, root } : null;
}

// isSigned reports whether one of the keys signed a note about a log of the given size. A signature that names a key
// must be its signature, and the only one. Signatures by other keys are ignored.
async function isSigned(note, keys, size) {
  let signed = false;
  for (const key of keys) {
    const by = note.signatures.filter((s) => s.name === key.name && s.id === key.id);
    if (by.length === 0) continue;
    if (by.length > 1 || !await isSignature(key, by[0].bytes, utf8(note.text))) return false;
    signed ||= size !== undefined && size <= key.upTo;
  }
  return signed;
}

// cosigned returns the time at which a witness signed a note, or null.
async function cosigned(note, witness) {
  const by = note.signatures.filter((s) => s.name === witness.name && s.id === witness.id);
  if (by.length !== 1 || by[0].bytes.length !== 72) return null;
  const seconds = new DataView(by[0].bytes.buffer, by[0].bytes.byteOffset).getBigUint64(0);
  const text = utf8(`cosignature/v1\ntime ${seconds}\n${note.text}`);
  const ok = seconds < 2n ** 33n && await isSignature(witness, by[0].bytes.slice(8), text);
  return ok ? new Date(Number(seconds) * 1000).toISOString() : null;
}

async function isSignature(key, signature, text) {
  if (signature.length !== 64) return false;
  try {
    const imported = await crypto.subtle.importKey('raw', key.raw, 'Ed25519', false, ['verify']);
    return await crypto.subtle.verify('Ed25519', imported, signature, text);
  } catch {
    return false;
  }
}

// followRotations returns the keys of a log, oldest first. A rotation is the proof of an entry that names the next
// key, in a checkpoint that the key before it signed, which is the last one that this key may sign.
async function followRotations(first, rotations, done) {
  const keys = [first];
  for (const [i, text] of rotations.entries()) {
    const key = keys.at(-1), p = parseProof(text), note = p && parseNote(p.checkpoint);
    const c = note && parseCheckpoint(note.text), leaf = p?.extra && parseLeaf(p.extra);
    const root = c && leaf && await rootFromInclusion(await leafHash(p.extra), p.index, c.size, p.proof.map(parseHash));
    const next = leaf && await parseKey(leaf.ledger?.key, ED25519);
    const ok = Boolean(root && next) && same(root, c.root) && c.origin === first.name && next.name === first.name &&
      leaf.action === 'ledger.key_rotated' && !keys.some((k) => k.id === next.id) &&
      await isSigned(note, [key], c.size);
    done('rotation', ok, ok ? `The key was replaced by ${next.text} in entry ${p.index}.`
      : 'The key before it did not sign this change of the key.', String(i));
    if (!ok) break;
    key.upTo = c.size;
    keys.push(next);
  }
  return keys;
}

// parseProof parses the text of c2sp.org/tlog-proof.
export function parseProof(text) {
  const end = typeof text === 'string' ? text.indexOf('\n\n') : -1;
  if (end < 0 || !text.startsWith(PROOF_HEADER)) return null;
  const lines = text.slice(PROOF_HEADER.length, end).split('\n');
  const raw = lines[0].startsWith('extra ') ? parseBase64(lines.shift().slice(6)) : undefined;
  const index = lines[0]?.startsWith('index ') ? parseSize(lines.shift().slice(6)) : null;
  if (raw === null || raw?.length === 0 || raw?.length > MAX_LEAF || index === null) return null;
  if (lines.length > MAX_HASHES || lines.some((line) => parseHash(line) === null)) return null;
  if (text.length === end + 2) return null;
  return { index, proof: lines, extra: raw && textOf(raw), checkpoint: text.slice(end + 2) };
}

// ---- Leaves, commitments and disclosures. ----

// parseLeaf returns the object that a leaf encodes, or null if the leaf is not the canonical form of an object. JSON
// has many forms for one value and some for several, such as a repeated member. A leaf has one form and one meaning.
export function parseLeaf(text) {
  if (typeof text !== 'string' || !isText(text) || utf8(text).length > MAX_LEAF) return null;
  try {
    const value = JSON.parse(text);
    return isObject(value) && canonical(value, 0) === text ? value : null;
  } catch {
    return null;
  }
}

// canonical writes a value as RFC 8785 has it: members ordered by UTF-16 code units, strings and numbers as in
// ECMAScript, no spaces.
function canonical(value, depth) {
  if (depth > MAX_DEPTH) throw new RangeError('nested too deep');
  if (Array.isArray(value)) return `[${value.map((v) => canonical(v, depth + 1)).join(',')}]`;
  if (typeof value === 'string' && !isText(value)) throw new RangeError('a lone surrogate');
  if (!isObject(value)) return JSON.stringify(value);
  const member = (name) => `${canonical(name, depth)}:${canonical(value[name], depth + 1)}`;
  return `{${Object.keys(value).sort().map(member).join(',')}}`;
}

// lookup returns the value at a JSON Pointer (RFC 6901) through objects, or undefined.
function lookup(value, pointer) {
  if (!pointer.startsWith('/')) return undefined;
  for (const token of pointer.slice(1).split('/')) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

// opens reports whether a disclosure opens a commitment, "sha256:" and the hash of salt and value in hexadecimal.
async function opens(disclosure, commitment) {
  const { salt, value } = disclosure ?? {};
  if (typeof salt !== 'string' || !/^[0-9a-f]{32}$/.test(salt)) return false;
  if (typeof value !== 'string' || !isText(value)) return false;
  const bytes = salt.match(/../g).map((digits) => parseInt(digits, 16));
  return commitment === 'sha256:' + hex(await sha256(concat(bytes, utf8(value))));
}

// ---- Bytes and numbers. ----

async function hasWebCrypto() {
  try {
    const basePoint = new Uint8Array(32).fill(0x66); // RFC 8032, section 5.1: a valid key
    basePoint[0] = 0x58;
    await crypto.subtle.importKey('raw', basePoint, 'Ed25519', false, ['verify']);
    return true;
  } catch {
    return false;
  }
}

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)));
}

const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const same = (a, b) => hex(a) === hex(b);
const hasTree = ({ size, root }) => isSize(size) && root instanceof Uint8Array && root.length === 32;
const textual = (v) => (typeof v === 'string' ? v : '');
// listOf makes a list of what should be one. What is none is one malformed member, so that a check fails.
const listOf = (v) => (v === undefined || v === null ? [] : Array.isArray(v) ? v : [v]);
const lacksBrowser = ({ checks }) => Array.isArray(checks) && checks.some((c) => c?.name === 'browser');
const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const isSize = (n) => Number.isSafeInteger(n) && n >= 0 && n <= MAX_SIZE;
const isText = (s) => !/\p{Surrogate}/u.test(s); // no half of a surrogate pair: it can be written in UTF-8
const isName = (s) => typeof s === 'string' && /^[^\p{White_Space}+\0-\x1f]+$/u.test(s);

function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    bytes.set(p, at);
    at += p.length;
  }
  return bytes;
}

// textOf decodes UTF-8, or returns null if the bytes are not valid.
function textOf(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

// parseBase64 decodes standard base64, in its one canonical form.
function parseBase64(text) {
  try {
    const bytes = atob(text);
    return btoa(bytes) === text ? Uint8Array.from(bytes, (c) => c.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

function parseHash(text) {
  const bytes = typeof text === 'string' ? parseBase64(text) : null;
  return bytes?.length === 32 ? bytes : null;
}

function parseSize(digits) {
  return /^(0|[1-9][0-9]{0,15})$/.test(digits) && isSize(Number(digits)) ? Number(digits) : null;
}
