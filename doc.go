// Package sluice is the glossary and the rules of a file-link service.
//
// Applications put files in. Sluice hands out short-lived signed links to
// them. Before the first byte leaves, the decision to let it leave is
// committed to a log, with who asked, for what, and why.
//
// Each file of this package holds one noun and what may be done with it:
// [Account], [Key], [Purpose], [File], [Link], [Entry], [Metadata]. Service is
// the one funnel through which every change goes: authorise, change, record.
// The gate, in internal/gate, decides redemptions. Records live behind [Store], bytes
// behind [Blobs]; both are contracts in prose, with a suite each that every
// implementation passes.
//
// Nothing stored opens a file: a link's URL is derived from its id and a
// signing key, and a key's secret is kept as a hash.
package sluice
