// Package sluice is the glossary of a file-link service.
//
// Applications put files in. Sluice hands out short-lived signed links to
// them. Before the first byte leaves, the decision to let it leave is
// committed to a log, with who asked, for what, and why.
//
// Each file of this package holds one noun with its limits: [Account], [Key],
// [Purpose], [File], [Link], [Entry], [Metadata]. The package has data and pure
// functions, and imports the standard library alone; server and client share it.
// The rules are in internal/service, through which every change goes, and in
// internal/gate, which decides redemptions.
//
// Nothing stored opens a file: a link's URL is derived from its id and a
// signing key, and a key's secret is kept as a hash.
package sluice
