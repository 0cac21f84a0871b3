// Package native is the native API of Sluice, under /v1, with the health checks and the metrics. It reads requests,
// calls service.Service, and writes the wire types of package api.
package native

import (
	"net/http"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// face answers the requests of the native API.
type face struct {
	svc        *service.Service
	exposition http.Handler // of metrics
	readiness  readiness
	reports    chan struct{} // holds one for each report that is being made
}

// Documents are the operations of the native API that answer with many entries of the log at once. A face that knows
// the caller of a call in another way than by an API key may give it to them. They take the query of the request, and
// record what they answer with.
type Documents struct {
	Export http.HandlerFunc // GET /v1/audit_entries/export
	Report http.HandlerFunc // GET /v1/audit_report
}

// Mount registers the native API with a server.
func Mount(s *httpd.Server) Documents {
	f := &face{svc: s.Service(), exposition: s.Metrics(), reports: make(chan struct{}, reportsAtOnce)}
	for _, rt := range f.routes() {
		s.Handle(httpd.Route(rt))
	}
	return Documents{typed(f.exportEntries).Serve, typed(f.reportEntries).Serve}
}

// Routes is the table of routes of the native API.
func Routes() (list []httpd.Route) {
	for _, rt := range (&face{}).routes() {
		list = append(list, httpd.Route(rt))
	}
	return list
}

// route is a row of the table.
type route httpd.Route

// routes is the table of everything that can be asked of a server. A GET
// answers HEAD too.
func (s *face) routes() []route {
	return []route{
		{"POST", "/v1/files", sluice.FilesWrite, "createFile", plain(s.createFile)},
		{"PUT", "/v1/files", sluice.FilesWrite, "putFile", plain(s.createFile)},
		{"GET", "/v1/files", sluice.FilesRead, "listFiles", typed(s.listFiles)},
		{"GET", "/v1/files/{id}", sluice.FilesRead, "getFile", typed(s.getFile)},
		{"PATCH", "/v1/files/{id}", sluice.FilesWrite, "updateFile", typed(s.updateFile)},
		{"DELETE", "/v1/files/{id}", sluice.FilesWrite, "deleteFile", typed(s.deleteFile)},
		{"GET", "/v1/purposes", httpd.AnyKey, "listPurposes", typed(s.listPurposes)},

		{"POST", "/v1/files/{id}/links", sluice.LinksWrite, "createLinkOfFile", typed(s.createLinkOfFile)},
		{"GET", "/v1/files/{id}/links", sluice.LinksRead, "listLinksOfFile", typed(s.listLinksOfFile)},
		{"GET", "/v1/files/{id}/links/{link}", sluice.LinksRead, "getLinkOfFile", typed(s.getLinkOfFile)},
		{"PATCH", "/v1/files/{id}/links/{link}", sluice.LinksWrite, "updateLinkOfFile", typed(s.updateLinkOfFile)},
		{"DELETE", "/v1/files/{id}/links/{link}", sluice.LinksWrite, "deleteLinkOfFile", typed(s.deleteLinkOfFile)},

		{"POST", "/v1/file_links", sluice.LinksWrite, "createLink", typed(s.createLink)},
		{"POST", "/v1/file_links/batch", sluice.LinksWrite, "createLinks", typed(s.createLinks)},
		{"GET", "/v1/file_links", sluice.LinksRead, "listLinks", typed(s.listLinks)},
		{"GET", "/v1/file_links/{id}", sluice.LinksRead, "getLink", typed(s.getLink)},
		{"PATCH", "/v1/file_links/{id}", sluice.LinksWrite, "updateLink", typed(s.updateLink)},
		{"DELETE", "/v1/file_links/{id}", sluice.LinksWrite, "deleteLink", typed(s.deleteLink)},

		{"GET", "/v1/audit_entries", sluice.AuditRead, "listAuditEntries", typed(s.listEntries)},
		{"GET", "/v1/audit_entries/export", sluice.AuditRead, "exportAuditEntries", typed(s.exportEntries)},
		{"GET", "/v1/audit_entries/{id}", sluice.AuditRead, "getAuditEntry", typed(s.getEntry)},
		{"POST", "/v1/audit_entries/{id}/redact", sluice.KeysAdmin, "redactAuditEntry", typed(s.redactEntry)},
		{"POST", "/v1/audit_redactions", sluice.KeysAdmin, "createErasure", typed(s.createErasure)},
		{"GET", "/v1/audit_redactions/{id}", sluice.KeysAdmin, "getErasure", typed(s.getErasure)},

		{"GET", "/v1/audit_report", sluice.AuditRead, "reportAuditEntries", typed(s.reportEntries)},

		{"GET", "/v1/ledger/checkpoint", sluice.AuditRead, "getCheckpoint", typed(s.getCheckpoint)},
		{"GET", "/v1/ledger/tile/{tile...}", sluice.AuditRead, "getTile", plain(s.getTile)},
		{"GET", "/v1/ledger/key", sluice.AuditRead, "getLedgerKey", typed(s.getLedgerKey)},
		{"GET", "/v1/ledger/rotations", sluice.AuditRead, "listRotations", typed(s.listRotations)},
		{"GET", "/v1/ledger/proof/inclusion", sluice.AuditRead, "proveEntry", typed(s.proveEntry)},
		{"GET", "/v1/ledger/proof/consistency", sluice.AuditRead, "proveConsistency", typed(s.proveConsistency)},
		{"GET", "/v1/ledger/disclosures", sluice.AuditRead, "exportDisclosures", typed(s.exportDisclosures)},

		{"POST", "/v1/keys", sluice.KeysAdmin, "createKey", typed(s.createKey)},
		{"GET", "/v1/keys", sluice.KeysAdmin, "listKeys", typed(s.listKeys)},
		{"GET", "/v1/keys/{id}", sluice.KeysAdmin, "getKey", typed(s.getKey)},
		{"PATCH", "/v1/keys/{id}", sluice.KeysAdmin, "updateKey", typed(s.updateKey)},
		{"POST", "/v1/keys/{id}/rotate", sluice.KeysAdmin, "rotateKey", typed(s.rotateKey)},
		{"DELETE", "/v1/keys/{id}", sluice.KeysAdmin, "deleteKey", typed(s.deleteKey)},
		{"GET", "/v1/account", httpd.AnyKey, "getAccount", typed(s.getAccount)},

		{"GET", "/healthz", httpd.Public, "health", plain(s.health)},
		{"GET", "/readyz", httpd.Public, "ready", plain(s.ready)},
		{"GET", "/metrics", sluice.KeysAdmin, "getMetrics", plain(s.showMetrics)},
	}
}
