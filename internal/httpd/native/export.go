package native

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/api"
	"sluice/internal/audit"
)

const (
	ndjson  = "application/x-ndjson"
	csvText = "text/csv; charset=utf-8; header=present"
)

func (s *face) exportEntries(ctx context.Context, c *call, in *struct {
	api.EntryFilter
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"ndjson has one audit_entry a line"`
}) (bytesOut, error) {
	var v sluice.Invalid
	filter := entryFilter(in.EntryFilter, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	entries, err := s.svc.Entries.Export(ctx, c.Caller, filter)
	if err != nil {
		return nil, err
	}
	if in.Format == "csv" {
		return streamed(csvText, func(w io.Writer) error { return writeCSV(w, entries) }), nil
	}
	return streamed(ndjson, func(w io.Writer) error { return c.writeNDJSON(w, entries) }), nil
}

func (c *call) writeNDJSON(w io.Writer, entries iter.Seq2[sluice.Entry, error]) error {
	for e, err := range entries {
		if err != nil {
			return err
		}
		out, err := wireEntry(c, e)
		if err != nil {
			return err
		}
		line, err := c.Encode(out) // ends in a newline
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// csvColumns are the columns of a CSV export, by name. Maps and lists appear in them as JSON.
var csvColumns = []struct {
	name string
	of   func(e sluice.Entry) string
}{
	{"seq", func(e sluice.Entry) string { return strconv.FormatInt(e.Seq, 10) }},
	{"id", func(e sluice.Entry) string { return e.ID }},
	{"time", func(e sluice.Entry) string { return e.Time.UTC().Format(audit.EntryTime) }},
	{"action", func(e sluice.Entry) string { return string(e.Action) }},
	{"outcome", func(e sluice.Entry) string { return string(e.Outcome) }},
	{"refusal", func(e sluice.Entry) string { return string(e.Refusal) }},
	{"repeats", func(e sluice.Entry) string {
		if e.Repeats == 0 {
			return ""
		}
		return strconv.FormatInt(e.Repeats, 10)
	}},
	{"actor_type", func(e sluice.Entry) string { return string(e.Actor.Type) }},
	{"actor_id", func(e sluice.Entry) string { return e.Actor.ID }},
	{"actor_name", func(e sluice.Entry) string { return e.Actor.Name }},
	{"actor_issuer", func(e sluice.Entry) string { return e.Actor.Issuer }},
	{"actor_email", func(e sluice.Entry) string { return e.Actor.Email }},
	{"key_id", ofKey(func(k *sluice.KeyPart) string { return k.ID })},
	{"key_name", ofKey(func(k *sluice.KeyPart) string { return k.Name })},
	{"key_scopes", ofRights(func(r *sluice.KeyRights) string { return cellJSON(r.Scopes, len(r.Scopes)) })},
	{"key_expires_at", ofRights(func(r *sluice.KeyRights) string { return cellTime(r.Expires) })},
	{"key_max_link_lifetime", ofRights(func(r *sluice.KeyRights) string { return cellLifetime(r.MaxLinkLifetime) })},
	{"key_old_secret_expires_at", ofRights(func(r *sluice.KeyRights) string { return cellTime(r.OldExpires) })},
	{"key_before", ofKey(func(k *sluice.KeyPart) string { return cellJSON(k.Before, len(k.Before)) })},
	{"file_id", ofFile(func(f *sluice.FilePart) string { return f.ID })},
	{"filename", ofFile(func(f *sluice.FilePart) string { return f.Filename })},
	{"size", ofFile(func(f *sluice.FilePart) string { return strconv.FormatInt(f.Size, 10) })},
	{"type", ofFile(func(f *sluice.FilePart) string { return f.Type })},
	{"sha256", ofFile(func(f *sluice.FilePart) string { return f.SHA256 })},
	{"purpose", ofFile(func(f *sluice.FilePart) string { return f.Purpose })},
	{"file_metadata", ofFile(func(f *sluice.FilePart) string { return cellJSON(f.Metadata, len(f.Metadata)) })},
	{"file_title", ofDetails(func(d *sluice.FileDetails) string { return d.Title })},
	{"file_held", ofDetails(func(d *sluice.FileDetails) string { return strconv.FormatBool(d.Held) })},
	{"file_linked_resources", ofDetails(func(d *sluice.FileDetails) string {
		return cellJSON(resourceRefs(d.Linked), len(d.Linked))
	})},
	{"file_expires_at", ofDetails(func(d *sluice.FileDetails) string {
		if d.Expires == nil {
			return ""
		}
		return cellTime(*d.Expires)
	})},
	{"file_before", ofFile(func(f *sluice.FilePart) string { return cellJSON(f.Before, len(f.Before)) })},
	{"file_found", ofFile(func(f *sluice.FilePart) string {
		if f.Found == nil {
			return ""
		}
		return cellJSON(fileRef(f).Found, 1)
	})},
	{"link_id", ofLink(func(l *sluice.LinkPart) string { return l.ID })},
	{"link_expires_at", ofLink(func(l *sluice.LinkPart) string { return cellTime(l.Expires) })},
	{"reason", ofLink(func(l *sluice.LinkPart) string { return l.Reason })},
	{"link_metadata", ofLink(func(l *sluice.LinkPart) string { return cellJSON(l.Metadata, len(l.Metadata)) })},
	{"link_max_downloads", ofLimits(func(m *sluice.LinkLimits) string {
		if m.MaxDownloads == 0 {
			return ""
		}
		return strconv.FormatInt(m.MaxDownloads, 10)
	})},
	{"link_has_password", ofLimits(func(m *sluice.LinkLimits) string { return strconv.FormatBool(m.HasPassword) })},
	{"link_allowed_ips", ofLimits(func(m *sluice.LinkLimits) string { return cellJSON(m.AllowedIPs, len(m.AllowedIPs)) })},
	{"link_disposition", ofLimits(func(m *sluice.LinkLimits) string { return string(m.Disposition) })},
	{"link_filename", ofLimits(func(m *sluice.LinkLimits) string { return m.Filename })},
	{"link_recipient_email", ofAccess(func(a *sluice.LinkAccess) string { return a.Recipient.Email })},
	{"link_recipient_name", ofAccess(func(a *sluice.LinkAccess) string { return a.Recipient.Name })},
	{"link_allowed_recipients", ofAccess(func(a *sluice.LinkAccess) string {
		return cellJSON(a.Allowed, len(a.Allowed))
	})},
	{"link_verification", ofAccess(func(a *sluice.LinkAccess) string { return string(a.Verification) })},
	{"link_message", ofAccess(func(a *sluice.LinkAccess) string { return a.Message })},
	{"link_terms_sha256", ofAccess(func(a *sluice.LinkAccess) string { return a.TermsSHA256 })},
	{"link_notify", ofAccess(func(a *sluice.LinkAccess) string {
		return cellJSON(wireNotify(a.Notify), len(a.Notify.On))
	})},
	{"link_page", ofAccess(func(a *sluice.LinkAccess) string { return string(a.Page) })},
	{"link_language", ofAccess(func(a *sluice.LinkAccess) string { return a.Language })},
	{"link_before", ofLink(func(l *sluice.LinkPart) string { return cellJSON(l.Before, len(l.Before)) })},
	{"recipient_email", ofRecipient(func(p *sluice.RecipientPart) string { return p.Email })},
	{"recipient_name", ofRecipient(func(p *sluice.RecipientPart) string { return p.Name })},
	{"recipient_verification", ofRecipient(func(p *sluice.RecipientPart) string { return p.Verification })},
	{"terms_sha256", func(e sluice.Entry) string { return e.AcceptedTerms }},
	{"mail_kind", ofMail(func(m *sluice.MailPart) string { return m.Kind })},
	{"mail_problem", ofMail(func(m *sluice.MailPart) string { return m.Problem })},
	{"session_id", ofSession(func(s *sluice.SessionPart) string { return s.ID })},
	{"session_expires_at", ofSession(func(s *sluice.SessionPart) string { return cellTime(s.Expires) })},
	{"session_key", ofSession(func(s *sluice.SessionPart) string { return s.Key })},
	{"session_issuer", ofSession(func(s *sluice.SessionPart) string { return s.Issuer })},
	{"session_subject", ofSession(func(s *sluice.SessionPart) string { return s.Subject })},
	{"session_scopes", ofSession(func(s *sluice.SessionPart) string { return cellJSON(s.Scopes, len(s.Scopes)) })},
	{"request_id", ofRequest(func(r *sluice.Request) string { return r.ID })},
	{"method", ofRequest(func(r *sluice.Request) string { return r.Method })},
	{"route", ofRequest(func(r *sluice.Request) string { return r.Route })},
	{"range", ofRequest(func(r *sluice.Request) string { return r.Range })},
	{"ip", ofRequest(func(r *sluice.Request) string { return r.IP })},
	{"client_ip", ofRequest(func(r *sluice.Request) string { return r.ClientIP })},
	{"forwarded_for", ofRequest(func(r *sluice.Request) string { return r.ForwardedFor })},
	{"user_agent", ofRequest(func(r *sluice.Request) string { return r.UserAgent })},
	{"referer_host", ofRequest(func(r *sluice.Request) string { return r.RefererHost })},
	{"delivery_mode", ofDelivery(func(d *sluice.DeliveryPart) string { return string(d.Mode) })},
	{"delivery_status", ofDelivery(func(d *sluice.DeliveryPart) string { return strconv.Itoa(d.Status) })},
	{"delivery_bytes", ofSent(func(s *sluice.Sent) string { return strconv.FormatInt(s.Bytes, 10) })},
	{"delivery_complete", ofSent(func(s *sluice.Sent) string { return strconv.FormatBool(s.Complete) })},
	{"delivery_ms", ofSent(func(s *sluice.Sent) string { return strconv.FormatInt(s.Duration.Milliseconds(), 10) })},
	{"delivery_returned", ofDelivery(func(d *sluice.DeliveryPart) string {
		if d.Returned {
			return "true"
		}
		return ""
	})},
	{"delivery_entry_id", ofDelivery(func(d *sluice.DeliveryPart) string { return d.Entry })},
	// The rest of a delivery is in the row of its redemption. With it, a cell would be too long for spreadsheets.
	{"deliveries", func(e sluice.Entry) string {
		var seqs []int64
		for _, d := range e.Deliveries {
			seqs = append(seqs, d.Seq)
		}
		return cellJSON(seqs, len(seqs))
	}},
	{"redacted", func(e sluice.Entry) string { return cellJSON(e.Redacted, len(e.Redacted)) }},
	{"damaged", func(e sluice.Entry) string { return cellJSON(e.Damaged, len(e.Damaged)) }},
	{"entry_id", func(e sluice.Entry) string {
		if e.Subject == nil {
			return ""
		}
		return e.Subject.ID
	}},
	{"erasure", func(e sluice.Entry) string {
		if e.Erasure == nil {
			return ""
		}
		return cellJSON(erasureRef(e.Erasure), 1)
	}},
	{"export", func(e sluice.Entry) string { return e.Export }},
	{"report_entries", ofReport(func(p *sluice.ReportPart) string { return strconv.FormatInt(p.Entries, 10) })},
	{"report_filter", ofReport(func(p *sluice.ReportPart) string { return cellJSON(p.Filter, len(p.Filter)) })},
	{"report_sha256", ofReport(func(p *sluice.ReportPart) string { return p.SHA256 })},
	{"ledger_key", func(e sluice.Entry) string { return e.Handover }},
	{"ledger_log", ofRollback(func(r *sluice.RollbackPart) string { return r.Log })},
	{"ledger_size", ofRollback(func(r *sluice.RollbackPart) string { return strconv.FormatInt(r.Size, 10) })},
	{"ledger_was_size", ofRollback(func(r *sluice.RollbackPart) string { return strconv.FormatInt(r.WasSize, 10) })},
	{"ledger_was_root", ofRollback(func(r *sluice.RollbackPart) string { return r.WasRoot })},
}

// part returns a column of one part of an entry. It is empty when the entry has no such part.
func part[P any](get func(sluice.Entry) *P, of func(*P) string) func(sluice.Entry) string {
	return func(e sluice.Entry) string {
		if p := get(e); p != nil {
			return of(p)
		}
		return ""
	}
}

func ofKey(of func(*sluice.KeyPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.KeyPart { return e.Key }, of)
}

func ofReport(of func(*sluice.ReportPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.ReportPart { return e.Report }, of)
}

func ofRollback(of func(*sluice.RollbackPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.RollbackPart { return e.Rollback }, of)
}

func ofFile(of func(*sluice.FilePart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.FilePart { return e.File }, of)
}

func ofLink(of func(*sluice.LinkPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.LinkPart { return e.Link }, of)
}

func ofRights(of func(*sluice.KeyRights) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.KeyRights {
		if e.Key == nil {
			return nil
		}
		return e.Key.Rights
	}, of)
}

func ofDetails(of func(*sluice.FileDetails) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.FileDetails {
		if e.File == nil {
			return nil
		}
		return e.File.Details
	}, of)
}

func ofLimits(of func(*sluice.LinkLimits) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.LinkLimits {
		if e.Link == nil {
			return nil
		}
		return e.Link.Limits
	}, of)
}

func ofAccess(of func(*sluice.LinkAccess) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.LinkAccess {
		if e.Link == nil {
			return nil
		}
		return e.Link.Access
	}, of)
}

func ofRecipient(of func(*sluice.RecipientPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.RecipientPart { return e.Recipient }, of)
}

func ofMail(of func(*sluice.MailPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.MailPart { return e.Mail }, of)
}

func ofSession(of func(*sluice.SessionPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.SessionPart { return e.Session }, of)
}

func ofDelivery(of func(*sluice.DeliveryPart) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.DeliveryPart { return e.Delivery }, of)
}

func ofSent(of func(*sluice.Sent) string) func(sluice.Entry) string {
	return ofDelivery(func(d *sluice.DeliveryPart) string {
		if d.Sent == nil {
			return ""
		}
		return of(d.Sent)
	})
}

func ofRequest(of func(*sluice.Request) string) func(sluice.Entry) string {
	return part(func(e sluice.Entry) *sluice.Request { return e.Request }, of)
}

func cellTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(audit.EntryTime)
}

func cellLifetime(d time.Duration) string {
	switch d {
	case 0:
		return ""
	case sluice.Forever:
		return api.EndlessName
	}
	return strconv.FormatInt(int64(d/time.Second), 10)
}

func resourceRefs(list []sluice.Resource) (out []api.Resource) {
	for _, r := range list {
		out = append(out, api.Resource(r))
	}
	return out
}

func cellJSON(v any, n int) string {
	if n == 0 {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

func writeCSV(w io.Writer, entries iter.Seq2[sluice.Entry, error]) error {
	out := csv.NewWriter(w)
	row := make([]string, len(csvColumns))
	for i, column := range csvColumns {
		row[i] = column.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for e, err := range entries {
		if err != nil {
			return err
		}
		for i, column := range csvColumns {
			row[i] = cell(column.of(e))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cell makes a text safe for a spreadsheet. A text that starts like a formula would be run as one (OWASP, CSV
// injection), so it gets an apostrophe at its start.
func cell(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + text
	}
	return text
}
