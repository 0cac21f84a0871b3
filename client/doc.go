// Package client calls the HTTP API of a Sluice server: it uploads files, mints and downloads links, reads and
// proves the audit log, and manages keys.
//
// Every call takes a context and ends when the context does. Every method of [Client] may be called from several
// goroutines at once.
//
// # Errors
//
// A call that the server refuses fails with an [*Error], which errors.As finds:
//
//	var e *client.Error
//	if errors.As(err, &e) && e.Code == sluice.CodeNotFound { … }
//
// An answer that does not follow the API is [ErrProtocol], content with another digest than the one promised is
// [ErrDigest], and content over the caller's limit is [ErrTooLarge]. A connection that fails is a *url.Error that
// names the server; its Timeout is true when nothing came for too long. Any other error comes from the caller's own
// reader, writer or file. No error text holds the key, a password or the URL of a link.
//
// # Retries
//
// A call is sent again when the connection breaks before the answer is whole, and when the answer is 429, 502, 503
// or 504. Calls that change something carry an Idempotency-Key, so the server carries them out once however often
// they are sent. The client waits as long as Retry-After says, or else from a quarter of a second, twice as long
// each time, up to ten seconds. It gives up after the number of retries of [WithRetries], when Retry-After is longer
// than a minute, and when the context ends.
//
// # Secrets
//
// The key goes to the server of [New] and to no other: redirects of the API are not followed, and downloads, which
// may be redirected, carry no key.
package client
