package apidoc

import (
	"path"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
)

// The values in the examples of the documentation.
const (
	exampleFileID   = "file_01kjvbw2yf9q4m7t1c5x8r3z6n"
	exampleLinkID   = "link_01kjvbwb3e0p6k9s2d4v7h1g5w"
	exampleKeyID    = "key_01kjvb8n7r3x5z1m9t4q6c2d0f"
	exampleEntryID  = "aud_01kjvbwb3e4j8y2n6a0f5t9k7r"
	exampleErasure  = "era_01kjvd0q5n2v7c4x9m1k6t3r8z"
	exampleRequest  = "req_01kjvbwb3d7c1h5w9e3s6x0m2q"
	exampleAccount  = "acct_01kjvb8n7q2d6g0k4p8v1z5b9j"
	exampleToken    = "AQcw8GnLfQ3mYx2kVb7sTzR4Jp0h"
	exampleTile     = "0/000.p/1"
	exampleURL      = "https://files.example.com"
	exampleHash     = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of exampleContent
	exampleDigest   = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"
	exampleContent  = "hello"
	exampleETag     = `"hrkq7a3ty8-5f0c9a1be27d4836"`
	exampleTime     = 1772600767 // 2026-03-04T05:06:07Z
	exampleFilename = "report-2026-q3.txt"
)

func ptr[T any](v T) *T { return &v }

var (
	exampleMetadata = map[string]string{"case": "2026-117"}
	exampleResource = api.Resource{Type: "contract", ID: "4711"}

	exampleFile = api.File{
		ID: exampleFileID, Object: "file", Purpose: "report", Filename: exampleFilename, Title: ptr("Third quarter"),
		Size: int64(len(exampleContent)), Type: "text/plain", SHA256: exampleHash, Status: api.StatusActive,
		LinkedResources: []api.Resource{exampleResource}, Metadata: exampleMetadata, Created: exampleTime,
		Updated: exampleTime,
	}
	exampleLink = api.Link{
		ID: exampleLinkID, Object: "file_link", FileID: exampleFileID, URL: exampleURL + "/l/" + exampleToken,
		ExpiresAt: ptr(int64(exampleTime + 900)), Reason: ptr("quarterly report for the bank"),
		Metadata:    exampleMetadata,
		Disposition: "attachment", AllowedIPs: []string{"192.0.2.0/24"}, HasPassword: true, Created: exampleTime,
		Updated:   exampleTime,
		Recipient: &api.Recipient{Email: "ann@bank.example", Name: "Ann Miller"}, AllowedRecipients: []string{},
		Verification: "email", Page: "auto",
	}
	exampleKey = api.Key{
		ID: exampleKeyID, Object: "key", Name: "billing", Scopes: []string{"files:write", "links:write"},
		Created: exampleTime, Updated: exampleTime, LastUsedAt: ptr(int64(exampleTime)), Version: sluice.APIVersion,
	}
	exampleEntry = api.AuditEntry{
		ID: exampleEntryID, Object: "audit_entry", Seq: 41, Created: exampleTime, Time: "2026-03-04T05:06:07.890123Z",
		Action: string(sluice.LinkCreated), Outcome: "allowed",
		Actor: api.Actor{Type: "key", ID: exampleKeyID, Name: "billing"},
		File: &api.FileRef{
			ID: exampleFileID, Filename: exampleFilename, Size: int64(len(exampleContent)), Type: "text/plain",
			SHA256: exampleHash, Purpose: "report",
		},
		Link: &api.LinkRef{
			ID:        exampleLinkID,
			ExpiresAt: ptr(int64(exampleTime + 900)),
			Reason:    "quarterly report for the bank",
			Metadata:  exampleMetadata,
		},
		Request: &api.Request{
			ID: exampleRequest, Method: "POST", Route: "/v1/files/{id}/links", IP: "192.0.2.7", UserAgent: "curl/8.5.0",
		},
	}
	examplePurpose = api.Purpose{
		Object: "purpose", Name: "identity_document", Title: "Identity document", Require: []string{}, Page: "auto",
		Types:   []string{"application/pdf", "image/jpeg", "image/png"},
		MaxSize: 50 << 20, Linkable: true, MaxLinkLifetimeSeconds: ptr(int64(3600)),
		Personal: []string{"filename", "title"},
	}
	exampleFields      = []string{"ip", "recipient"}
	exampleErasureDone = api.Erasure{
		ID: exampleErasure, Object: "audit_erasure", State: api.ErasureEnded, By: "recipient", Fields: exampleFields,
		Entries: 12, Links: 1, BegunEntryID: exampleEntryID, EntryID: exampleEntryID, Created: exampleTime,
		Updated: exampleTime, EndedAt: ptr(int64(exampleTime)),
	}
)

// exampleObjects are the examples of schemas, by name.
var exampleObjects = map[string]any{
	"File":        exampleFile,
	"CreatedFile": api.CreatedFile{File: exampleFile, Link: &exampleLink},
	"Link":        exampleLink,
	"LinkBatch": api.LinkBatch{
		Object: "file_link_batch",
		Data:   []api.Link{exampleLink},
		Absent: []string{"file_01kjvbw2yf0000000000000000"},
	},
	"Key":        exampleKey,
	"CreatedKey": api.CreatedKey{Key: exampleKey, Secret: ptr("sk_test_…")},
	"AuditEntry": exampleEntry,
	"Purpose":    examplePurpose,
	"Erasure":    exampleErasureDone,
	"Account": api.Account{
		Object:  "account",
		ID:      exampleAccount,
		Name:    "example",
		Created: exampleTime,
		Key:     exampleKey,
	},
	"Deleted": api.Deleted{ID: exampleFileID, Object: "file", Deleted: true},

	"ListFile":       exampleList("/v1/files", exampleFile, exampleFileID),
	"ListLink":       exampleList("/v1/file_links", exampleLink, exampleLinkID),
	"ListKey":        exampleList("/v1/keys", exampleKey, exampleKeyID),
	"ListAuditEntry": exampleList("/v1/audit_entries", exampleEntry, exampleEntryID),
	"ListPurpose":    api.List[api.Purpose]{Object: "list", Data: []api.Purpose{examplePurpose}, URL: "/v1/purposes"},
}

func exampleList[T any](path string, one T, id string) api.List[T] {
	return api.List[T]{Object: "list", Data: []T{one}, HasMore: true, URL: path, NextCursor: &id}
}

var exampleNewLink = api.NewLink{
	ExpiresInSeconds: ptr(api.Lifetime(900)), Reason: "quarterly report for the bank", Metadata: exampleMetadata,
	MaxDownloads: ptr(int64(3)), Password: ptr("correct horse"), AllowedIPs: []string{"192.0.2.0/24", "2001:db8::/32"},
	Disposition: "attachment", Filename: "report.txt",
}

var (
	exampleShortLink = api.NewLink{ExpiresInSeconds: ptr(api.Lifetime(900)), Reason: "quarterly report for the bank"}
	exampleBatchLink = api.NewLink{Reason: "documents for the auditor"}
)

var exampleLinkChange = api.LinkChange{
	ExpiresInSeconds: ptr(api.Lifetime(1800)), Reason: api.Some("the bank asked for more time"),
	Metadata: map[string]*string{
		"case":  ptr("2026-118"),
		"clerk": nil,
	}, MaxDownloads: api.Null[int64](), AllowedIPs: &[]string{},
}

// exampleBodies are the examples of JSON bodies, by operation.
var exampleBodies = map[string]any{
	"updateFile": api.FileChange{
		Filename: ptr("report.txt"), Title: api.Some("Third quarter, final"),
		Metadata:        map[string]*string{"case": ptr("2026-118"), "clerk": nil},
		LinkedResources: &[]api.Resource{exampleResource}, Held: ptr(false),
	},
	"createLinkOfFile": exampleNewLink,
	"createLink":       api.NewFileLink{FileID: exampleFileID, NewLink: exampleShortLink},
	"createLinks":      api.NewLinkBatch{FileIDs: []string{exampleFileID}, NewLink: exampleBatchLink},
	"updateLink":       exampleLinkChange,
	"updateLinkOfFile": exampleLinkChange,
	"createKey": api.NewKey{
		Name:            "billing",
		Scopes:          []string{"files:write", "links:write"},
		MaxLinkLifetime: ptr(api.Lifetime(3600)),
	},
	"updateKey": api.KeyChange{
		Name:      ptr("billing, nightly"),
		Scopes:    &[]string{"links:write"},
		ExpiresAt: api.Null[int64](),
	},
	"rotateKey":        api.KeyRotation{OverlapSeconds: 3600},
	"redactAuditEntry": api.EntryRedaction{Fields: &exampleFields},
	"createErasure":    api.NewErasure{Recipient: "ann@bank.example", Fields: &exampleFields},
}

// exampleParam returns the example of a parameter of a route.
func exampleParam(rt httpd.Route, p *param) any {
	switch {
	case rt.Operation == "exportDisclosures" && p.Name == "size":
		return 1
	case p.Name == "id":
		return exampleIDs[strings.Split(rt.Path, "/")[2]]
	case p.Name == "starting_after", p.Name == "ending_before":
		return listedID(rt)
	case p.Name == "ids":
		return []string{listedID(rt)}
	}
	return exampleParams[p.Name]
}

// exampleIDs are example ids, by collection.
var exampleIDs = map[string]string{
	"files": exampleFileID, "links": exampleLinkID, "file_links": exampleLinkID, "keys": exampleKeyID,
	"audit_entries": exampleEntryID, "audit_report": exampleEntryID,
	"export": exampleEntryID, "audit_redactions": exampleErasure,
}

// listedID returns the id of an object in a list.
func listedID(rt httpd.Route) string { return exampleIDs[path.Base(rt.Path)] }

var exampleParams = map[string]any{
	"link": exampleLinkID, "file_id": exampleFileID, "link_id": exampleLinkID, "key_id": exampleKeyID,
	"person_id":  "248289761001",
	"request_id": exampleRequest,
	"recipient":  "ann@bank.example",
	"client_ip":  "192.0.2.7",
	"token":      exampleToken, "tail": "report.pdf", "code": string(sluice.CodeGone), "page": "files",

	"limit": 10, "created": "1772600767", "created[gt]": "2026-03-01T00:00:00Z", "created[gte]": "1772323200",
	"created[lt]": "2026-04-01T00:00:00Z", "created[lte]": "1775001600",
	"expires_at": "1772604367", "expires_at[gt]": "2026-03-01T00:00:00Z", "expires_at[gte]": "1772323200",
	"expires_at[lt]": "2026-04-01T00:00:00Z", "expires_at[lte]": "1775001600",
	"size": "5", "size[gt]": "4", "size[gte]": "5", "size[lt]": "6", "size[lte]": "5",
	"purpose": "report", "filename": exampleFilename, "title": "Third quarter", "type": "text/plain",
	"sha256":          exampleHash,
	"linked_resource": "contract:4711", "status": "active", "expired": "false", "revoked": "false",
	"action": string(sluice.LinkCreated), "outcome": "allowed", "key": exampleKeyID,
	"format": "ndjson", "entry": exampleEntryID, "from": 0, "to": 4,

	"Sluice-Version": sluice.APIVersion, "Idempotency-Key": "3f0c6d1e-report-2026-q3", "Content-Digest": exampleDigest,
	"Repr-Digest": exampleDigest,
	"If-Match":    exampleETag, "If-None-Match": exampleETag, "If-Range": exampleETag, "Range": "bytes=0-3",
	"If-Modified-Since": "Wed, 04 Mar 2026 05:06:07 GMT",
}

// exampleProblem returns an example of a problem with a code.
func exampleProblem(code sluice.Code) api.Problem {
	p := explanations[code].example
	p.Type = exampleURL + "/docs/errors/" + string(code)
	p.DocURL, p.Title, p.Status = p.Type, titleOf(code), statusOf(code)
	p.Code, p.RequestID = string(code), exampleRequest
	return p
}
