// Package httpd is the HTTP face of Sluice: the native API under /v1 and the
// public download under /l. It calls service.Service for everything and holds
// no rules of its own: routes.go is the one table of routes, problem.go the one
// table of errors. Package apidoc makes the documentation that it serves.
package httpd
