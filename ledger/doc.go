// Package ledger is the tamper-evident log as pure functions over bytes: no
// I/O, no clock, no global state.
//
// An entry is a leaf in canonical JSON (RFC 8785). Leaves in the order of
// their seq are the leaves of a Merkle tree (RFC 6962, section 2.1), and a
// Checkpoint signs the tree's root (C2SP tlog-checkpoint, signed-note with
// Ed25519). Personal values stand in a leaf only as salted commitments, so that
// they can be erased while every proof still holds: a Disclosure opens one.
//
// A log is published as hash tiles and entry bundles (C2SP tlog-tiles). Whoever
// stores it keeps the leaves by seq and one growing row of hashes for each
// (Level, Index). Its Tree takes in new leaves and gives the rows that change;
// a Signer signs what it comes to; and the rows answer ProveInclusion and
// ProveConsistency, whose texts are those of C2SP tlog-proof and tlog-witness.
//
// Whoever does not trust the operator has a verifier key. A Verifier opens
// checkpoints and proofs, also across a change of keys; a Witness is another
// who has seen the log only grow (C2SP tlog-cosignature). Verify reads a whole
// log and says which entry, tile or disclosure is not what was signed.
package ledger
