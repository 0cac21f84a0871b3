// Package ledger implements a tamper-evident log as functions over bytes,
// without I/O, clock or global state.
//
// The entries of a log are encoded in canonical JSON (RFC 8785). In the order
// of their seq they are the leaves of a Merkle tree (RFC 6962, section 2.1). A
// [Checkpoint] signs the root of the tree (C2SP tlog-checkpoint, signed-note with
// Ed25519). A leaf contains personal values only as salted commitments. A
// [Disclosure] opens a commitment; erasing it erases the value and leaves every
// proof valid.
//
// A log is published as hash tiles and entry bundles (C2SP tlog-tiles). A store
// keeps the leaves by seq, and a growing row of hashes for each pair of Level and
// Index. [Tree] appends leaves and returns the rows that changed. [Signer] signs
// its root. [ProveInclusion] and [ProveConsistency] make proofs from the rows;
// [Proof] and [Consistency] are their texts (C2SP tlog-proof and tlog-witness).
//
// Auditors do not have to trust the operator. With a verifier key, a [Verifier]
// checks checkpoints and proofs, across changes of the signing key. A [Witness]
// checks the cosignatures of a third party that saw the log only grow (C2SP
// tlog-cosignature). [Verify] reads a whole log and reports the entry, tile or
// disclosure that is not what was signed.
package ledger
