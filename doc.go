// Package sluice defines the nouns of a file-link service.
//
// Applications upload files, and Sluice issues short-lived signed links to
// them. Before the first byte of a file leaves, Sluice commits the decision to
// a log: who asked, for which file, and why.
//
// Each file of this package defines one noun and its limits: [Account], [Key],
// [Purpose], [File], [Link], [Entry], [Metadata]. The package contains data and
// pure functions, and imports only the standard library. Server and client
// share it. The rules are in internal/service, which makes every change, and in
// internal/gate, which decides redemptions.
//
// No stored value opens a file. A link's URL is derived from its id and a
// signing key, and a key's secret is stored as a hash.
package sluice
