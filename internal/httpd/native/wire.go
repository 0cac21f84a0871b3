package native

import (
	"cmp"
	"strings"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/audit"
	"sluice/ledger"
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
	linked := make([]api.Resource, len(f.Linked))
	for i, r := range f.Linked {
		linked[i] = api.Resource(r)
	}
	return api.File{
		ID: f.ID, Object: "file", Purpose: f.Purpose, Filename: f.Filename, Title: text(f.Title),
		Size: f.Size, Type: f.Type, SHA256: f.SHA256.String(), Status: status,
		LinkedResources: linked, Metadata: metadata(f.Metadata),
		Created: f.Created.Unix(), Updated: f.Updated.Unix(), ExpiresAt: unix(f.Expires), Held: f.Held,
		Livemode: f.Ledger.Mode.Live(),
	}, nil
}

func wirePurpose(_ *call, p sluice.Purpose) (api.Purpose, error) {
	return api.Purpose{
		Object: "purpose", Name: p.Name, Title: p.Title, Types: texts(p.Types), MaxSize: p.MaxSize,
		RetentionSeconds: seconds(p.Retention), Linkable: p.Linkable, MaxLinkLifetimeSeconds: seconds(p.MaxLinkLifetime),
		Require: texts(p.Require), Personal: texts(p.Personal), Page: string(cmp.Or(p.Page, sluice.PageAuto)),
	}, nil
}

// wireLink returns a link as it is now.
func wireLink(c *call, l sluice.Link) (api.Link, error) { return wireLinkAt(c, l, c.Service().Now()) }

// changedLink returns a link as it was when its owner last changed it. That answers the change, and every repeat of
// the request.
func changedLink(c *call, l sluice.Link) (api.Link, error) { return wireLinkAt(c, l, l.Updated) }

func wireLinkAt(c *call, l sluice.Link, now time.Time) (api.Link, error) {
	u, err := c.Service().Links.URL(l)
	out := api.Link{
		ID: l.ID, Object: "file_link", FileID: l.FileID, URL: u,
		ExpiresAt: unix(l.Expires), Expired: l.Expired(now), RevokedAt: unix(l.Revoked),
		Reason: text(l.Reason), Metadata: metadata(l.Metadata),
		Disposition: string(cmp.Or(l.Disposition, sluice.Attachment)), Filename: text(l.Filename),
		Downloads: l.Downloads, LastRedeemedAt: unix(l.Redeemed), HasPassword: l.Password != "",
		AllowedIPs: make([]string, len(l.AllowedIPs)),
		Created:    l.Created.Unix(), Updated: l.Updated.Unix(), Livemode: l.Ledger.Mode.Live(),
	}
	if l.MaxDownloads != 0 {
		out.MaxDownloads = &l.MaxDownloads
	}
	wireAccess(&out, l.Access.Get())
	for i, network := range l.AllowedIPs {
		out.AllowedIPs[i] = network.String()
	}
	return out, err
}

func wireKey(_ *call, k sluice.Key) (api.Key, error) {
	out := api.Key{
		ID: k.ID, Object: "key", Name: k.Name, Scopes: texts(k.Scopes), Livemode: k.Ledger.Mode.Live(),
		Created: k.Created.Unix(), Updated: k.Updated.Unix(),
		ExpiresAt: unix(k.Expires), LastUsedAt: unix(k.Used), RevokedAt: unix(k.Revoked), Version: k.Version,
	}
	out.MaxLinkLifetime = wireLifetime(k.MaxLinkLifetime)
	return out, nil
}

func wireLifetime(d time.Duration) *api.Lifetime {
	if d == 0 {
		return nil
	}
	out := api.Endless
	if d != sluice.Forever {
		out = api.Lifetime(d / time.Second)
	}
	return &out
}

func wireEntry(_ *call, e sluice.Entry) (api.AuditEntry, error) {
	out := api.AuditEntry{
		ID: e.ID, Object: "audit_entry", Seq: e.Seq, Created: e.Time.Unix(), Time: e.Time.UTC().Format(audit.EntryTime),
		Action: string(e.Action), Outcome: string(e.Outcome), Livemode: e.Ledger.Mode.Live(),
		Actor: api.Actor{
			Type: string(e.Actor.Type), ID: e.Actor.ID, Name: e.Actor.Name, Issuer: e.Actor.Issuer, Email: e.Actor.Email,
		},
		Refusal: string(e.Refusal), Repeats: e.Repeats, Redacted: e.Redacted, Damaged: e.Damaged, Export: e.Export,
		Terms: e.AcceptedTerms,
	}
	if k := e.Key; k != nil {
		out.Key = keyRef(k)
	}
	if f := e.File; f != nil {
		out.File = fileRef(f)
	}
	if l := e.Link; l != nil {
		out.Link = linkRef(l)
	}
	if p := e.Subject; p != nil {
		out.Entry = &api.EntryRef{ID: p.ID, Seq: p.Seq, Fields: p.Fields}
	}
	if p := e.Erasure; p != nil {
		out.Erasure = erasureRef(p)
	}
	if p := e.Report; p != nil {
		out.Report = &api.ReportRef{Entries: p.Entries, Filter: p.Filter, SHA256: p.SHA256}
	}
	if e.Handover != "" {
		out.Ledger = &api.LedgerRef{Key: e.Handover}
	}
	if p := e.Rollback; p != nil {
		out.Ledger = &api.LedgerRef{Log: p.Log, Size: &p.Size, WasSize: &p.WasSize, WasRoot: p.WasRoot}
	}
	if d := e.Delivery; d != nil {
		out.Delivery = &api.Delivery{Mode: string(d.Mode), Status: d.Status, Returned: d.Returned, Entry: d.Entry}
		if d.Sent != nil {
			ms := d.Sent.Duration.Milliseconds()
			out.Delivery.Bytes, out.Delivery.Complete, out.Delivery.DurationMS = &d.Sent.Bytes, &d.Sent.Complete, &ms
		}
	}
	for _, d := range e.Deliveries {
		out.Deliveries = append(out.Deliveries, api.EndedDelivery{
			Bytes: d.Sent.Bytes, Complete: d.Sent.Complete, DurationMS: d.Sent.Duration.Milliseconds(),
			File: d.FileID, Link: d.LinkID, Returned: d.Returned, Seq: d.Seq,
		})
	}
	if p := e.Recipient; p != nil {
		out.Recipient = (*api.RecipientRef)(p)
	}
	if m := e.Mail; m != nil {
		out.Mail = (*api.MailRef)(m)
	}
	if s := e.Session; s != nil {
		out.Session = &api.SessionRef{
			ID: s.ID, ExpiresAt: unix(s.Expires), Key: s.Key, Issuer: s.Issuer, Subject: s.Subject, Scopes: texts(s.Scopes),
		}
	}
	if e.Request != nil {
		r := api.Request(*e.Request)
		out.Request = &r
	}
	return out, nil
}

func erasureRef(p *sluice.ErasurePart) *api.ErasureRef {
	out := &api.ErasureRef{ID: p.ID, By: string(p.By), ObjectID: p.Object, Fields: texts(p.Fields)}
	if n := p.Erased; n != nil {
		out.Entries, out.Links, out.Files = &n.Entries, &n.Links, &n.Files
	}
	return out
}

func keyRef(k *sluice.KeyPart) *api.KeyRef {
	out := &api.KeyRef{ID: k.ID, Name: k.Name, Before: wireBefore(k.Before)}
	if r := k.Rights; r != nil {
		out.Scopes, out.ExpiresAt, out.OldSecretExpiresAt = texts(r.Scopes), unix(r.Expires), unix(r.OldExpires)
		out.MaxLinkLifetime = wireLifetime(r.MaxLinkLifetime)
	}
	return out
}

func fileRef(f *sluice.FilePart) *api.FileRef {
	out := &api.FileRef{
		ID: f.ID, Filename: f.Filename, Size: f.Size, Type: f.Type, SHA256: f.SHA256,
		Purpose: f.Purpose, Metadata: f.Metadata, Before: wireBefore(f.Before),
	}
	if p := f.Found; p != nil {
		out.Found = &api.Found{Problem: string(p.Problem), Size: p.Size, SHA256: p.SHA256}
	}
	if d := f.Details; d != nil {
		out.Title, out.Held = d.Title, &d.Held
		out.LinkedResources = resourceRefs(d.Linked)
		if d.Expires != nil {
			out.ExpiresAt = unix(*d.Expires)
		}
	}
	return out
}

func linkRef(l *sluice.LinkPart) *api.LinkRef {
	out := &api.LinkRef{
		ID: l.ID, ExpiresAt: unix(l.Expires), Reason: l.Reason, Metadata: l.Metadata, Before: wireBefore(l.Before),
	}
	if m := l.Limits; m != nil {
		out.HasPassword, out.Disposition, out.Filename = &m.HasPassword, string(m.Disposition), m.Filename
		if m.MaxDownloads != 0 {
			out.MaxDownloads = &m.MaxDownloads
		}
		for _, network := range m.AllowedIPs {
			out.AllowedIPs = append(out.AllowedIPs, network.String())
		}
	}
	if a := l.Access; a != nil {
		out.Recipient, out.Notify = wireRecipient(a.Recipient), wireNotify(a.Notify)
		out.AllowedRecipients, out.Verification, out.Message = a.Allowed, string(a.Verification), a.Message
		out.TermsSHA256, out.Page, out.Language = a.TermsSHA256, string(a.Page), a.Language
		out.Erased = a.Erased
	}
	return out
}

// wireBefore returns the old values of a change, with times in Unix seconds like the new ones.
func wireBefore(b sluice.Before) api.Before {
	if len(b) == 0 {
		return nil
	}
	out := api.Before{}
	for name, value := range b {
		out[name] = value
		if at, err := time.Parse(`"`+audit.EntryTime+`"`, string(value)); err == nil && name == "expires_at" {
			out[name] = at.Unix()
		}
		if name == "allowed_recipients" && string(value) != "null" {
			out[name] = strings.Fields(ledger.Text(value)) // one text in the log, separated by line feeds
		}
	}
	return out
}
