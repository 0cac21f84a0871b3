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
	ID   string `path:"id"`
	Body *api.EntryRedaction
}) (*body[api.Redaction], error) {
	var fields []sluice.PersonalField
	if in.Body != nil {
		var v sluice.Invalid
		fields = personalFields(in.Body.Fields, &v)
		if err := v.Err(); err != nil {
			return nil, err
		}
	}
	e, err := s.svc.Entries.Redact(ctx, c.Caller, in.ID, fields)
	if err != nil {
		return nil, err
	}
	return &body[api.Redaction]{api.Redaction{
		Object: "audit_redaction", EntryID: e.Subject.ID, Seq: e.Subject.Seq, Fields: e.Subject.Fields, ID: e.ID,
	}}, nil
}

// personalFields returns a list of personal fields, nil for one that was not given.
func personalFields(names *[]string, v *sluice.Invalid) (fields []sluice.PersonalField) {
	if names == nil {
		return nil
	}
	for _, name := range *names {
		fields = append(fields, sluice.PersonalField(name))
	}
	service.ValidateFields(v, fields)
	return fields
}

func (s *face) createErasure(
	ctx context.Context, c *call, in *struct{ Body api.NewErasure },
) (*body[api.Erasure], error) {
	var v sluice.Invalid
	n := service.NewErasure{
		Recipient: address("recipient", in.Body.Recipient, &v), ClientIP: clientIP(in.Body.ClientIP, &v),
		FileID: in.Body.FileID, LinkID: in.Body.LinkID, KeyID: in.Body.KeyID,
		Fields: personalFields(in.Body.Fields, &v),
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	e, err := s.svc.Erasures.Begin(ctx, c.Caller, n)
	return erasureAnswer(e, err)
}

func (s *face) getErasure(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Erasure], error) {
	e, err := s.svc.Erasures.Get(ctx, c.Caller, in.ID)
	return erasureAnswer(e, err)
}

func erasureAnswer(e sluice.Erasure, err error) (*body[api.Erasure], error) {
	if err != nil {
		return nil, err
	}
	out := api.Erasure{
		ID: e.ID, Object: "audit_erasure", State: api.ErasureRunning, By: string(e.By), ObjectID: e.Object,
		Fields: texts(e.Fields), Entries: e.Entries, Links: e.Links, Files: e.Files, BegunEntryID: e.Begun,
		EntryID: e.Record, Created: e.Created.Unix(), Updated: e.Updated.Unix(), EndedAt: unix(e.Ended),
		Livemode: e.Ledger.Mode.Live(),
	}
	if !e.Ended.IsZero() {
		out.State = api.ErasureEnded
	}
	return &body[api.Erasure]{out}, nil
}
