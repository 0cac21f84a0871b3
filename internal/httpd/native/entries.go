package native

import (
	"context"
	"strconv"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

func (s *face) listEntries(ctx context.Context, c *call, in *api.EntryQuery) (*listed[api.AuditEntry], error) {
	var v sluice.Invalid
	filter := entryFilter(in.EntryFilter, &v)
	page := pageOf(in.Page, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Entries.List(ctx, c.Caller, filter, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(e sluice.Entry) string { return e.ID }, wireEntry)
}

func entryFilter(in api.EntryFilter, v *sluice.Invalid) service.EntryFilter {
	return service.EntryFilter{
		FileID: in.FileID, LinkID: in.LinkID, KeyID: in.KeyID, PersonID: in.PersonID,
		Action: sluice.Action(in.Action), Outcome: sluice.Outcome(in.Outcome),
		RequestID: in.RequestID, IDs: ids(in.IDs, v), Created: created(in.Created, v),
		Recipient: address("recipient", in.Recipient, v), ClientIP: clientIP(in.ClientIP, v),
	}
}

func (s *face) getEntry(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*object[api.AuditEntry], error) {
	e, err := s.svc.Entries.Get(ctx, c.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := wireEntry(c, e)
	if err != nil {
		return nil, err
	}
	return single(c, strconv.FormatInt(e.Seq, 36), out)
}

func (s *face) redactEntry(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Redaction], error) {
	e, err := s.svc.Entries.Redact(ctx, c.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[api.Redaction]{api.Redaction{
		Object: "audit_redaction", EntryID: e.Subject.ID, Seq: e.Subject.Seq, Fields: e.Subject.Fields, ID: e.ID,
	}}, nil
}
