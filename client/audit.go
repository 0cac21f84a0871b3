package client

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"sluice/api"
	"sluice/ledger"
)

// Entries gives one page of the audit log, newest first.
func (c *Client) Entries(ctx context.Context, q api.EntryQuery) (api.List[api.AuditEntry], error) {
	query := filterValues(q.EntryFilter)
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	set(query, "starting_after", q.After)
	set(query, "ending_before", q.Before)
	return getJSON[api.List[api.AuditEntry]](ctx, c, "/v1/audit_entries", query)
}

// ExportEntries streams every entry that a filter lets through, newest first:
// as "ndjson", an api.AuditEntry a line, or as "csv" for people. That it was
// asked for is an entry of its own. The caller closes the stream; one that
// breaks off ends in an error other than io.EOF.
func (c *Client) ExportEntries(ctx context.Context, f api.EntryFilter, format string) (io.ReadCloser, error) {
	query := filterValues(f)
	query.Set("format", format)
	return c.get(ctx, "/v1/audit_entries/export", query)
}

// RedactEntry erases the personal fields of an entry for good.
func (c *Client) RedactEntry(ctx context.Context, id string) (api.Redaction, error) {
	return postJSON[api.Redaction](ctx, c, "/v1/audit_entries/"+url.PathEscape(id)+"/redact")
}

// LedgerKey gives the newest verifier key of the ledger, as the server tells it.
func (c *Client) LedgerKey(ctx context.Context) (string, error) {
	data, err := c.read(ctx, "/v1/ledger/key", nil, 4<<10)
	return strings.TrimSuffix(string(data), "\n"), err
}

// Rotations gives the proofs by which the ledger was handed from key to key,
// oldest first.
func (c *Client) Rotations(ctx context.Context) ([]api.LedgerRotation, error) {
	list, err := getJSON[api.List[api.LedgerRotation]](ctx, c, "/v1/ledger/rotations", nil)
	return list.Data, err
}

// Checkpoint gives the newest signed checkpoint of the ledger.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/checkpoint", nil, ledger.MaxCheckpoint)
}

// ProveEntry gives the proof that an entry is in the ledger: the text of a
// ledger.Proof.
func (c *Client) ProveEntry(ctx context.Context, id string) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/proof/inclusion", url.Values{"entry": {id}}, ledger.MaxProof)
}

// ProveConsistency gives the proof that the ledger has only grown since it had
// from entries, up to the checkpoint of size to: the text of a
// ledger.Consistency.
func (c *Client) ProveConsistency(ctx context.Context, from, to int64) ([]byte, error) {
	query := url.Values{"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
	return c.read(ctx, "/v1/ledger/proof/consistency", query, ledger.MaxProof)
}

// Tile gives a hash tile or an entry bundle, at exactly its width.
func (c *Client) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	return c.read(ctx, "/v1/ledger/"+t.Path(), nil, int64(t.MaxBytes()))
}

// Disclosures streams the disclosures of the first size entries as NDJSON, in
// order, a line of ledger.ParseDisclosure each. That they were asked for is an
// entry of its own. The caller closes the stream; one that breaks off ends in
// an error other than io.EOF.
func (c *Client) Disclosures(ctx context.Context, size int64) (io.ReadCloser, error) {
	return c.get(ctx, "/v1/ledger/disclosures", url.Values{"size": {strconv.FormatInt(size, 10)}})
}

func filterValues(f api.EntryFilter) url.Values {
	query := url.Values{}
	for _, id := range f.IDs.IDs {
		query.Add("ids", id)
	}
	set(query, "created", f.Created.Created)
	set(query, "created[gt]", f.CreatedGT)
	set(query, "created[gte]", f.CreatedGTE)
	set(query, "created[lt]", f.CreatedLT)
	set(query, "created[lte]", f.CreatedLTE)
	set(query, "file_id", f.FileID)
	set(query, "link_id", f.LinkID)
	set(query, "key_id", f.KeyID)
	set(query, "action", f.Action)
	set(query, "outcome", f.Outcome)
	set(query, "request_id", f.RequestID)
	return query
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
