// Package api holds the wire types of the native HTTP API under /v1. Server and
// client share it.
//
// Times are unix seconds. A pointer without omitempty is null if there is no
// value. A member with omitempty may be absent.
package api
