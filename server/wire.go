package server

import (
	"time"

	"sluice"
	"sluice/api"
)

func unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.Unix()
	return &n
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func seconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(d / time.Second)
	return &n
}

// metadata is never null on the wire.
func metadata(m sluice.Metadata) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func wireFile(_ *call, f sluice.File) (api.File, error) {
	status := api.StatusActive
	if !f.Active() {
		status = api.StatusDeleted
	}
	return api.File{
		ID: f.ID, Object: "file", Purpose: f.Purpose, Filename: f.Filename, Title: text(f.Title),
		Size: f.Size, Type: f.Type, SHA256: f.SHA256.String(), Status: status, Metadata: metadata(f.Metadata),
		Created: f.Created.Unix(), Updated: f.Updated.Unix(), Livemode: f.Ledger.Mode.Live(),
	}, nil
}

func wirePurpose(_ *call, p sluice.Purpose) (api.Purpose, error) {
	return api.Purpose{
		Object: "purpose", Name: p.Name, Title: p.Title, Types: texts(p.Types), MaxSize: p.MaxSize,
		RetentionSeconds: seconds(p.Retention), Linkable: p.Linkable, MaxLinkLifetimeSeconds: seconds(p.MaxLinkLifetime),
	}, nil
}

func wireLink(c *call, l sluice.Link) (api.Link, error) {
	u, err := c.server.svc.LinkURL(l)
	return api.Link{
		ID: l.ID, Object: "file_link", FileID: l.FileID, URL: u,
		ExpiresAt: unix(l.Expires), Expired: l.Expired(c.server.svc.Now()), RevokedAt: unix(l.Revoked),
		Reason: text(l.Reason), Metadata: metadata(l.Metadata), Downloads: l.Downloads, LastRedeemedAt: unix(l.Redeemed),
		Created: l.Created.Unix(), Updated: l.Updated.Unix(), Livemode: l.Ledger.Mode.Live(),
	}, err
}

func wireEntry(_ *call, e sluice.Entry) (api.AuditEntry, error) {
	out := api.AuditEntry{
		ID: e.ID, Object: "audit_entry", Seq: e.Seq, Created: e.Time.Unix(), Time: e.Time.UTC().Format(sluice.EntryTime),
		Action: string(e.Action), Outcome: string(e.Outcome), Livemode: e.Ledger.Mode.Live(),
		Actor:   api.Actor{Type: string(e.Actor.Type), ID: e.Actor.ID, Name: e.Actor.Name},
		Refusal: string(e.Refusal), Redacted: e.Redacted,
	}
	if k := e.Key; k != nil {
		out.Key = &api.KeyRef{ID: k.ID, Name: k.Name}
	}
	if f := e.File; f != nil {
		out.File = &api.FileRef{
			ID: f.ID, Filename: f.Filename, Size: f.Size, Type: f.Type, SHA256: f.SHA256, Purpose: f.Purpose, Metadata: f.Metadata,
		}
	}
	if l := e.Link; l != nil {
		out.Link = &api.LinkRef{ID: l.ID, ExpiresAt: unix(l.Expires), Reason: l.Reason, Metadata: l.Metadata}
	}
	if e.Request != nil {
		r := api.Request(*e.Request)
		out.Request = &r
	}
	return out, nil
}
