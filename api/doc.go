// Package api holds the wire types of the native HTTP API: what goes over the
// wire under /v1 and nothing else. Server and client share it.
//
// Times are unix seconds. A pointer without omitempty is null on the wire when
// there is no value; a member that may be missing says omitempty.
package api
