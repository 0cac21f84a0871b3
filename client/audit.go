package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sluice/api"
	"sluice/ledger"
)

const entriesPath = "/v1/audit_entries"

// Entry returns one entry of the audit log.
func (c *Client) Entry(ctx context.Context, id string) (api.AuditEntry, error) {
	path, err := at(entriesPath, id)
	if err != nil {
		return api.AuditEntry{}, err
	}
	return get[api.AuditEntry](ctx, c, "audit_entry", path, nil)
}

// Entries iterates over the audit entries that match a query, newest first, and fetches pages as needed. With
// query.Before it iterates over newer entries, oldest first. It ends at the first error. query.Limit is the page size,
// 1 to 100; zero means 100.
func (c *Client) Entries(ctx context.Context, query api.EntryQuery) iter.Seq2[api.AuditEntry, error] {
	return all(query.Page, func(p api.Page) (api.List[api.AuditEntry], error) {
		query.Page = p
		return c.EntryPage(ctx, query)
	}, func(e api.AuditEntry) string { return e.ID })
}

// EntryPage returns one page of audit entries, newest first. query.Limit is the page size, 1 to 100; zero means 10.
func (c *Client) EntryPage(ctx context.Context, query api.EntryQuery) (api.List[api.AuditEntry], error) {
	return page[api.AuditEntry](ctx, c, entriesPath, query)
}

// ExportEntries streams every entry that matches a filter, newest first. The format is "ndjson", one api.AuditEntry a
// line, or "csv". The export is itself recorded as an entry. The caller must close the stream. An interrupted stream
// ends with an error other than io.EOF; it is not resumed.
func (c *Client) ExportEntries(ctx context.Context, f api.EntryFilter, format string) (io.ReadCloser, error) {
	query := values(f)
	query.Set("format", format)
	return c.stream(ctx, entriesPath+"/export", query)
}

// Report streams a report of the entries that match a filter: one HTML file for people, which can be checked without
// the server. At most 10,000 entries may match. The report is itself recorded as an entry before its first byte is
// sent. The caller must close the stream. An interrupted stream ends with an error other than io.EOF; it is not
// resumed.
func (c *Client) Report(ctx context.Context, f api.EntryFilter) (io.ReadCloser, error) {
	return c.stream(ctx, "/v1/audit_report", values(f))
}

// RedactEntry erases the personal fields of an entry permanently. Proofs of the entry stay valid.
func (c *Client) RedactEntry(ctx context.Context, id string, options ...ChangeOption) (api.Redaction, error) {
	return c.RedactFields(ctx, id, nil, options...)
}

// RedactFields does what RedactEntry does, for some fields: see api.EntryRedaction. Without fields it erases all.
func (c *Client) RedactFields(
	ctx context.Context, id string, fields []string, options ...ChangeOption,
) (api.Redaction, error) {
	path, err := at(entriesPath, id, "redact")
	if err != nil {
		return api.Redaction{}, err
	}
	if fields == nil {
		return send[api.Redaction](ctx, c, "audit_redaction", http.MethodPost, path, nil, options)
	}
	return send[api.Redaction](ctx, c, "audit_redaction", http.MethodPost, path, api.EntryRedaction{Fields: &fields},
		options)
}

const erasuresPath = "/v1/audit_redactions"

// BeginErasure begins to erase personal fields from all entries that have something in common. It goes on in the
// background: Erasure tells how far it has come.
func (c *Client) BeginErasure(ctx context.Context, n api.NewErasure, options ...ChangeOption) (api.Erasure, error) {
	return send[api.Erasure](ctx, c, "audit_erasure", http.MethodPost, erasuresPath, n, options)
}

// Erasure returns an erasure.
func (c *Client) Erasure(ctx context.Context, id string) (api.Erasure, error) {
	path, err := at(erasuresPath, id)
	if err != nil {
		return api.Erasure{}, err
	}
	return get[api.Erasure](ctx, c, "audit_erasure", path, nil)
}

// maxKey is the largest verifier key in bytes.
const maxKey = 4 << 10

// LedgerKey returns the newest verifier key of the ledger. Compare it with a key from another source before you trust
// it.
func (c *Client) LedgerKey(ctx context.Context) (string, error) {
	data, err := c.read(ctx, "/v1/ledger/key", nil, maxKey)
	return strings.TrimSuffix(string(data), "\n"), err
}

// Rotations returns the proofs of the ledger's key rotations, oldest first.
func (c *Client) Rotations(ctx context.Context) ([]api.LedgerRotation, error) {
	list, err := get[api.List[api.LedgerRotation]](ctx, c, "list", "/v1/ledger/rotations", nil)
	return list.Data, err
}

// Checkpoint returns the newest signed checkpoint of the ledger.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/checkpoint", nil, ledger.MaxCheckpoint)
}

// ProveEntry returns a proof that an entry is in the ledger, in the format of ledger.Proof.
func (c *Client) ProveEntry(ctx context.Context, id string) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/proof/inclusion", url.Values{"entry": {id}}, ledger.MaxProof)
}

// ProveConsistency returns a proof that the ledger with to entries extends the ledger with from entries, in the format
// of ledger.Consistency. The ledger must have a checkpoint of size to.
func (c *Client) ProveConsistency(ctx context.Context, from, to int64) ([]byte, error) {
	query := url.Values{"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
	return c.read(ctx, "/v1/ledger/proof/consistency", query, ledger.MaxProof)
}

// Tile returns a hash tile or an entry bundle of exactly the tile's width.
func (c *Client) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/"+t.Path(), nil, int64(t.MaxBytes()))
}

// Disclosures streams the disclosures of the first size entries as NDJSON, in order. Each line is for
// ledger.ParseDisclosure. The export is itself recorded as an entry. The caller must close the stream. An interrupted
// stream ends with an error other than io.EOF; it is not resumed.
func (c *Client) Disclosures(ctx context.Context, size int64) (io.ReadCloser, error) {
	return c.stream(ctx, "/v1/ledger/disclosures", url.Values{"size": {strconv.FormatInt(size, 10)}})
}

// read fetches a text of at most max bytes.
func (c *Client) read(ctx context.Context, path string, query url.Values, most int64) ([]byte, error) {
	return c.fetch(ctx, &request{method: http.MethodGet, path: path, query: query}, most)
}
