// Package httpd is what the faces of Sluice share on HTTP: request ids, deadlines, log lines and metrics; API keys and
// their rates; problems, preconditions, digests and idempotency keys. It has no routes. A face, a package below this
// one, registers its routes with a Server and answers each request through its Call. It holds no rules of its own:
// those are in service and gate.
package httpd
