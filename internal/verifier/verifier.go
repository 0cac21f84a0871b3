// Package verifier holds a verifier of the log in JavaScript. It shares no code with package ledger, so that each
// of the two finds mistakes of the other. Consoles and reports run it in the browser of the reader.
package verifier

import _ "embed"

// Source is the module verifier.mjs: plain JavaScript of ECMAScript 2023 without dependencies, for browsers with
// WebCrypto and Ed25519 and for Node 20 and newer. Its first lines say what it checks.
//
//go:embed verifier.mjs
var Source []byte
