// Package server puts the faces of Sluice together on one HTTP server: the native API under /v1, the public download
// under /l, the documentation under /docs, and the APIs of vendors.
package server

import (
	"slices"

	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/adapter"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/docs"
	"sluice/internal/httpd/download"
	"sluice/internal/httpd/native"
	"sluice/internal/service"
)

// Options configures a server. The zero value is usable.
type Options struct {
	httpd.Options
	// From is the name of the sender of files on the pages of links; "" shows none.
	From string
	// Adapters are the APIs of vendors that are served beside the native API, on the same service and with the same
	// limits.
	Adapters []compat.Adapter
}

// New makes a server over a service and the gate of its links.
func New(svc *service.Service, links *gate.Gate, opts Options) *httpd.Server {
	s := httpd.New(svc, opts.Options)
	native.Mount(s)
	download.Mount(s, links, opts.From)
	docs.Mount(s)
	adapter.Mount(s, links, opts.Adapters)
	return s
}

// Routes is the table of the routes that every server has.
func Routes() []httpd.Route { return slices.Concat(native.Routes(), download.Routes(), docs.Routes()) }
