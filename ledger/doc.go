// Package ledger is the tamper-evident log as pure functions over bytes: no
// I/O, no clock, no global state.
//
// An entry is a leaf in canonical JSON (RFC 8785). Leaves in the order of
// their seq are the leaves of a Merkle tree (RFC 6962, section 2.1), and a
// Checkpoint signs the tree's root. Personal values stand in a leaf only as
// salted commitments, so that they can be erased while every proof still holds.
package ledger
