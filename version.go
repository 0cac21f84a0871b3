package sluice

// APIVersion is the version of the native API that a new key is pinned to: the
// day of the last change that could break a client. The server knows how to
// answer as each earlier version did.
const APIVersion = "2026-11-21"
