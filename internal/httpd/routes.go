package httpd

import (
	"reflect"

	"sluice"
)

// route is one row of the table of routes.
type route struct {
	method, path string
	scope        sluice.Scope // what the key must have; or Public, or AnyKey
	operation    string       // its name
	endpoint     endpoint
}

// Scopes of routes that ask for none.
const (
	Public sluice.Scope = "public" // no key
	AnyKey sluice.Scope = "any"    // any key that is good
)

// Route is a row of the table of routes, as its documentation needs it.
type Route struct {
	Method, Path, Operation string
	Scope                   sluice.Scope // or Public, or AnyKey
	Input, Output           reflect.Type // nil where a handler reads or writes bytes itself
}

// Routes gives the table of routes.
func Routes() (list []Route) {
	for _, rt := range (&Server{}).routes() {
		list = append(list, Route{rt.method, rt.path, rt.operation, rt.scope, rt.endpoint.input, rt.endpoint.output})
	}
	return list
}

// routes is the table of everything that can be asked of a server. A GET
// answers HEAD too.
func (s *Server) routes() []route {
	return []route{
		{"POST", "/v1/files", sluice.FilesWrite, "createFile", plain(s.createFile)},
		{"PUT", "/v1/files", sluice.FilesWrite, "putFile", plain(s.createFile)},
		{"GET", "/v1/files", sluice.FilesRead, "listFiles", typed(s.listFiles)},
		{"GET", "/v1/files/{id}", sluice.FilesRead, "getFile", typed(s.getFile)},
		{"PATCH", "/v1/files/{id}", sluice.FilesWrite, "updateFile", typed(s.updateFile)},
		{"DELETE", "/v1/files/{id}", sluice.FilesWrite, "deleteFile", typed(s.deleteFile)},
		{"GET", "/v1/purposes", AnyKey, "listPurposes", typed(s.listPurposes)},

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
		{"GET", "/v1/account", AnyKey, "getAccount", typed(s.getAccount)},

		{"GET", "/l/{token}", Public, "redeem", plain(s.redeem)},
		{"GET", "/l/{token}/{tail...}", Public, "redeemNamed", plain(s.redeem)},
		{"POST", "/l/{token}", Public, "answerLink", plain(s.redeem)},
		{"POST", "/l/{token}/{tail...}", Public, "answerLinkNamed", plain(s.redeem)},
		{"GET", "/healthz", Public, "health", plain(s.health)},
		{"GET", "/readyz", Public, "ready", plain(s.ready)},
		{"GET", "/metrics", sluice.KeysAdmin, "getMetrics", plain(s.showMetrics)},

		{"GET", "/openapi.json", Public, "getDocument", plain(s.showDocument)},
		{"GET", "/docs", Public, "showReference", plain(s.showReference)},
		{"GET", "/docs/errors/{code}", Public, "explainError", plain(s.explainError)},
	}
}
