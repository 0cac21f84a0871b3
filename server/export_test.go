package server

import (
	"time"

	"sluice"
)

// Row is a route as tests see it.
type Row struct {
	Method, Path, Operation string
	Scope                   sluice.Scope
}

// Scopes of routes that ask for none.
const (
	Public = public
	AnyKey = anyKey
)

// Table gives the table of routes.
func Table() (rows []Row) {
	for _, rt := range (&Server{}).routes() {
		rows = append(rows, Row{rt.method, rt.path, rt.operation, rt.scope})
	}
	return rows
}

// SetStall sets how long a transfer may go without a byte.
func (s *Server) SetStall(d time.Duration) { s.stall = d }
