// Package server is the HTTP face of Sluice: the native API under /v1 and the
// public download under /l. It calls sluice.Service for everything and holds
// no rules of its own: routes.go is the one table of routes, problem.go the one
// table of errors.
package httpd
