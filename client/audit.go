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

// Entry gives one entry of the audit log.
func (c *Client) Entry(ctx context.Context, id string) (api.AuditEntry, error) {
	path, err := at(entriesPath, id)
	if err != nil {
		return api.AuditEntry{}, err
	}
	return get[api.AuditEntry](ctx, c, "audit_entry", path, nil)
}

// Entries gives the audit entries that a query lets through, newest first, over all pages. With query.Before it gives
// those that are newer, oldest first. It ends with the first error. query.Limit is the size of a page, 1 to 100; zero
// is 100.
func (c *Client) Entries(ctx context.Context, query api.EntryQuery) iter.Seq2[api.AuditEntry, error] {
	return all(query.Page, func(p api.Page) (api.List[api.AuditEntry], error) {
		query.Page = p
		return c.EntryPage(ctx, query)
	}, func(e api.AuditEntry) string { return e.ID })
}

// EntryPage gives one page of audit entries, newest first: 1 to 100 of them, 10 when query.Limit is zero.
func (c *Client) EntryPage(ctx context.Context, query api.EntryQuery) (api.List[api.AuditEntry], error) {
	return page[api.AuditEntry](ctx, c, entriesPath, query)
}

// ExportEntries streams every entry that a filter lets through, newest first: as "ndjson", an api.AuditEntry a line,
// or as "csv" for people. The export is an entry of its own. The caller closes the stream. One that breaks off ends
// in an error other than io.EOF; it is not resumed.
func (c *Client) ExportEntries(ctx context.Context, f api.EntryFilter, format string) (io.ReadCloser, error) {
	query := values(f)
	query.Set("format", format)
	return c.stream(ctx, entriesPath+"/export", query)
}

// RedactEntry erases the personal fields of an entry for good. Proofs of the entry still hold.
func (c *Client) RedactEntry(ctx context.Context, id string, options ...ChangeOption) (api.Redaction, error) {
	path, err := at(entriesPath, id, "redact")
	if err != nil {
		return api.Redaction{}, err
	}
	return send[api.Redaction](ctx, c, "audit_redaction", http.MethodPost, path, nil, options)
}

// maxKey is the longest verifier key that is read, in bytes.
const maxKey = 4 << 10

// LedgerKey gives the newest verifier key of the ledger, as the server tells it. A verifier compares it with one that
// it has from elsewhere.
func (c *Client) LedgerKey(ctx context.Context) (string, error) {
	data, err := c.read(ctx, "/v1/ledger/key", nil, maxKey)
	return strings.TrimSuffix(string(data), "\n"), err
}

// Rotations gives the proofs by which the ledger was handed from key to key, oldest first.
func (c *Client) Rotations(ctx context.Context) ([]api.LedgerRotation, error) {
	list, err := get[api.List[api.LedgerRotation]](ctx, c, "list", "/v1/ledger/rotations", nil)
	return list.Data, err
}

// Checkpoint gives the newest signed checkpoint of the ledger.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/checkpoint", nil, ledger.MaxCheckpoint)
}

// ProveEntry gives the proof that an entry is in the ledger: the text of a ledger.Proof.
func (c *Client) ProveEntry(ctx context.Context, id string) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/proof/inclusion", url.Values{"entry": {id}}, ledger.MaxProof)
}

// ProveConsistency gives the proof that the ledger has only grown since it had from entries, up to the checkpoint of
// size to: the text of a ledger.Consistency.
func (c *Client) ProveConsistency(ctx context.Context, from, to int64) ([]byte, error) {
	query := url.Values{"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
	return c.read(ctx, "/v1/ledger/proof/consistency", query, ledger.MaxProof)
}

// Tile gives a hash tile or an entry bundle, at exactly its width.
func (c *Client) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/"+t.Path(), nil, int64(t.MaxBytes()))
}

// Disclosures streams the disclosures of the first size entries as NDJSON, in order, a line of ledger.ParseDisclosure
// each. The export is an entry of its own. The caller closes the stream. One that breaks off ends in an error other
// than io.EOF; it is not resumed.
func (c *Client) Disclosures(ctx context.Context, size int64) (io.ReadCloser, error) {
	return c.stream(ctx, "/v1/ledger/disclosures", url.Values{"size": {strconv.FormatInt(size, 10)}})
}

// read asks for a text of at most so many bytes.
func (c *Client) read(ctx context.Context, path string, query url.Values, most int64) ([]byte, error) {
	return c.fetch(ctx, &request{method: http.MethodGet, path: path, query: query}, most)
}
