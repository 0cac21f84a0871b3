// Package client calls the HTTP API of a Sluice server. It uploads files, mints and downloads links, reads and proves
// the audit log, and manages keys.
//
// Every call takes a context and returns when the context is done. The methods of [Client] are safe for concurrent use.
//
// # Errors
//
// A call that the server refuses returns an [*Error]:
//
//	var e *client.Error
//	if errors.As(err, &e) && e.Code == sluice.CodeNotFound { … }
//
// A response that violates the API is [ErrProtocol]. Content with an unexpected digest is [ErrDigest]. Content over the
// caller's limit is [ErrTooLarge]. A failed connection is a *url.Error that names the server; its Timeout method
// returns true if no data arrived for too long. Other errors come from the caller's own reader, writer or file. No
// error text contains the key, a password or the URL of a link.
//
// # Retries
//
// A call is retried if the connection breaks before the response is complete, or if the status is 429, 502, 503 or 504.
// Calls that change something carry an Idempotency-Key, so a retry takes effect only once. The client waits as long as
// Retry-After says. Without Retry-After it waits a quarter of a second, and twice as long after each retry, up to ten
// seconds. It gives up after the number of retries set by [WithRetries], if Retry-After is longer than a minute, and
// when the context is done.
//
// # Secrets
//
// The key is sent only to the server given to [New]. Redirects of the API are not followed. Downloads may be redirected
// and carry no key.
package client
