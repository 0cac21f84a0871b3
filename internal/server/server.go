// Package server puts the faces of Sluice together on one HTTP server: the native API under /v1, the public download
// under /l, the documentation under /docs, the console under /console, and the APIs of vendors.
package server

import (
	"cmp"
	"slices"

	"sluice/internal/brand"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/adapter"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/console"
	"sluice/internal/httpd/docs"
	"sluice/internal/httpd/download"
	"sluice/internal/httpd/native"
	"sluice/internal/httpd/pages"
	"sluice/internal/service"
)

// Options configures a server. The zero value is usable.
type Options struct {
	httpd.Options
	// From is the name of the sender of files on the pages of links; "" stands for the name of the brand.
	From string
	// Brand is what the pages of links show of the operator. The zero Brand shows nothing.
	Brand brand.Brand
	// Adapters are the APIs of vendors that are served beside the native API, on the same service and with the same
	// limits.
	Adapters []compat.Adapter
	// Console configures the console. NoConsole serves none.
	Console   console.Options
	NoConsole bool
}

// New makes a server over a service and the gate of its links.
func New(svc *service.Service, links *gate.Gate, opts Options) *httpd.Server {
	s := httpd.New(svc, opts.Options)
	documents := native.Mount(s)
	site := pages.New(opts.Brand, links.Redirects())
	download.Mount(s, links, site, cmp.Or(opts.From, opts.Brand.Name))
	docs.Mount(s, site)
	if !opts.NoConsole {
		if opts.Console.Brand == (brand.Brand{}) {
			opts.Console.Brand = opts.Brand
		}
		opts.Console.Export, opts.Console.Report = documents.Export, documents.Report
		console.Mount(s, svc, opts.Console)
	}
	adapter.Mount(s, links, opts.Adapters)
	return s
}

// Routes is the table of the routes that every server has.
func Routes() []httpd.Route { return slices.Concat(native.Routes(), download.Routes(), docs.Routes()) }
