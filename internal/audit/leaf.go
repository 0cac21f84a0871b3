package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/ledger"
)

// EntryTime is the layout of times in a leaf: RFC 3339 in UTC, with microseconds.
const EntryTime = "2006-01-02T15:04:05.000000Z"

// leafOf encodes an entry in canonical JSON. committed has the commitments that stand
// for metadata and linked resources. The code writes the members of every
// object in the order of RFC 8785. With digests, metadata and linked resources are
// replaced by their SHA-256 digests. To convert the output of encoding/json to that
// form takes three times as long as all of BenchmarkEntrySeal.
func leafOf(e sluice.Entry, committed map[string]string, digests bool) []byte {
	const usual, perDelivery = 1280, 160 // bytes of a redemption with short texts, and of a delivery
	w := object{buf: make([]byte, 0, usual+perDelivery*len(e.Deliveries)), committed: committed}
	w.open("")
	w.str("account", e.Ledger.Account)
	w.str("action", string(e.Action))
	w.open("actor")
	w.str("email", e.Actor.Email)
	w.str("id", e.Actor.ID)
	w.str("issuer", e.Actor.Issuer)
	w.str("name", e.Actor.Name)
	w.str("type", string(e.Actor.Type))
	w.close()
	if len(e.Deliveries) > 0 {
		w.key("deliveries")
		writeDeliveries(&w, e.Deliveries)
	}
	if d := e.Delivery; d != nil {
		w.open("delivery")
		if d.Sent != nil {
			writeSent(&w, *d.Sent)
		}
		w.str("mode", string(d.Mode))
		if d.Returned {
			w.raw("returned", "true")
		}
		w.raw("status", strconv.Itoa(d.Status))
		w.close()
	}
	if p := e.Subject; p != nil {
		w.open("entry")
		w.strs("fields", p.Fields)
		w.str("id", p.ID)
		w.raw("seq", strconv.FormatInt(p.Seq, 10))
		w.close()
	}
	if p := e.Erasure; p != nil {
		w.open("erasure")
		writeErasure(&w, *p)
		w.close()
	}
	w.str("export", e.Export)
	if f := e.File; f != nil {
		w.open("file")
		writeFile(&w, *f, digests)
		w.close()
	}
	w.str("id", e.ID)
	if k := e.Key; k != nil {
		w.open("key")
		writeKey(&w, *k, digests)
		w.close()
	}
	if e.Handover != "" || e.Rollback != nil {
		w.open("ledger")
		w.str("key", e.Handover)
		if p := e.Rollback; p != nil {
			w.str("log", p.Log)
			w.raw("size", strconv.FormatInt(p.Size, 10))
			w.str("was_root", p.WasRoot)
			w.raw("was_size", strconv.FormatInt(p.WasSize, 10))
		}
		w.close()
	}
	if l := e.Link; l != nil {
		w.open("link")
		writeLink(&w, *l, digests)
		w.close()
	}
	w.raw("livemode", strconv.FormatBool(e.Ledger.Mode.Live()))
	if m := e.Mail; m != nil {
		w.open("mail")
		w.str("kind", m.Kind)
		w.str("problem", m.Problem)
		w.close()
	}
	w.str("outcome", string(e.Outcome))
	if p := e.Recipient; p != nil {
		w.open("recipient")
		w.str("email", p.Email)
		w.str("name", p.Name)
		w.str("verification", p.Verification)
		w.close()
	}
	w.str("refusal", string(e.Refusal))
	if e.Repeats > 0 {
		w.raw("repeats", strconv.FormatInt(e.Repeats, 10))
	}
	if p := e.Report; p != nil {
		w.open("report")
		w.int("entries", p.Entries)
		if len(p.Filter) > 0 {
			w.key("filter")
			w.buf = ledger.AppendStringMap(w.buf, p.Filter)
		}
		w.str("sha256", p.SHA256)
		w.close()
	}
	if r := e.Request; r != nil {
		w.open("request")
		w.str("client_ip", r.ClientIP)
		w.str("forwarded_for", r.ForwardedFor)
		w.str("id", r.ID)
		w.str("ip", r.IP)
		w.str("method", r.Method)
		w.str("range", r.Range)
		w.str("referer_host", r.RefererHost)
		w.str("route", r.Route)
		w.str("user_agent", r.UserAgent)
		w.close()
	}
	if s := e.Session; s != nil {
		w.open("session")
		w.time("expires_at", s.Expires)
		w.str("id", s.ID)
		w.str("issuer", s.Issuer)
		w.str("key", s.Key)
		if len(s.Scopes) > 0 {
			w.strs("scopes", stringsOf(s.Scopes))
		}
		w.str("subject", s.Subject)
		w.close()
	}
	w.str("terms_sha256", e.AcceptedTerms)
	w.stamp("time", e.Time)
	w.raw("v", "1")
	w.close()
	return w.buf
}

// writeDeliveries writes the ends of downloads as an array, the members of each in
// canonical order.
func writeDeliveries(w *object, list []sluice.Delivery) {
	w.buf = append(w.buf, '[')
	for i, d := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.open("")
		writeSent(w, d.Sent)
		w.str("file", d.FileID)
		w.str("link", d.LinkID)
		if d.Returned {
			w.raw("returned", "true")
		}
		w.int("seq", d.Seq)
		w.close()
	}
	w.buf = append(w.buf, ']')
}

// writeSent writes the members of a Sent, which come before all others of the
// objects that have them.
func writeSent(w *object, s sluice.Sent) {
	w.int("bytes", s.Bytes)
	w.raw("complete", strconv.FormatBool(s.Complete))
	w.int("duration_ms", s.Duration.Milliseconds())
}

// writeErasure writes the members of an ErasurePart in canonical order.
func writeErasure(w *object, p sluice.ErasurePart) {
	w.str("by", string(p.By))
	if p.Erased != nil {
		w.int("entries", p.Erased.Entries)
	}
	w.strs("fields", stringsOf(p.Fields))
	if p.Erased != nil {
		w.int("files", p.Erased.Files)
	}
	w.str("id", p.ID)
	if p.Erased != nil {
		w.int("links", p.Erased.Links)
	}
	w.str("object", p.Object)
}

// writeKey writes the members of a KeyPart in canonical order.
func writeKey(w *object, k sluice.KeyPart, digests bool) {
	w.before(k.Before, digests)
	r := k.Rights
	if r != nil {
		w.time("expires_at", r.Expires)
	}
	w.str("id", k.ID)
	if r != nil {
		switch r.MaxLinkLifetime {
		case 0:
		case sluice.Forever:
			w.str("max_link_lifetime", endless)
		default:
			w.raw("max_link_lifetime", strconv.FormatInt(int64(r.MaxLinkLifetime/time.Second), 10))
		}
	}
	w.str("name", k.Name)
	if r != nil {
		w.time("old_secret_expires_at", r.OldExpires)
		w.strs("scopes", stringsOf(r.Scopes))
	}
}

// endless is in a leaf the max_link_lifetime of sluice.Forever, and the expires_at of a file that is kept for ever.
const endless = "none"

// writeFile writes the members of a FilePart in canonical order.
func writeFile(w *object, f sluice.FilePart, digests bool) {
	w.before(f.Before, digests)
	d := f.Details
	if d != nil && d.Expires != nil {
		w.ending("expires_at", *d.Expires)
	}
	w.str("filename", f.Filename)
	if f.Found != nil {
		w.open("found")
		writeFound(w, *f.Found)
		w.close()
	}
	if d != nil {
		w.raw("held", strconv.FormatBool(d.Held))
	}
	w.str("id", f.ID)
	if d != nil && len(d.Linked) > 0 && !w.commitment("linked_resources", "/file/linked_resources") {
		w.large("linked_resources", appendResources(nil, d.Linked), digests)
	}
	w.metadata("/file/metadata", f.Metadata, digests)
	if len(f.Personal) > 0 {
		w.strs("personal", stringsOf(f.Personal))
	}
	w.str("purpose", f.Purpose)
	w.str("sha256", f.SHA256)
	w.raw("size", strconv.FormatInt(f.Size, 10))
	if d != nil {
		w.str("title", d.Title)
	}
	w.str("type", f.Type)
}

// writeFound writes the members of a FoundPart in canonical order.
func writeFound(w *object, f sluice.FoundPart) {
	w.str("problem", string(f.Problem))
	w.str("sha256", f.SHA256)
	if f.Size != nil {
		w.raw("size", strconv.FormatInt(*f.Size, 10))
	}
}

// FoundText returns f in canonical JSON, as it is in a leaf.
func FoundText(f sluice.FoundPart) string {
	var w object
	w.open("")
	writeFound(&w, f)
	w.close()
	return string(w.buf)
}

// writeLink writes the members of a LinkPart in canonical order.
func writeLink(w *object, l sluice.LinkPart, digests bool) {
	limits, access := l.Limits, l.Access
	if limits != nil && len(limits.AllowedIPs) > 0 {
		w.strs("allowed_ips", stringsOf(limits.AllowedIPs))
	}
	if access == nil {
		access = &sluice.LinkAccess{}
	}
	w.str("allowed_recipients", strings.Join(access.Allowed, "\n"))
	w.before(l.Before, digests)
	if limits != nil {
		w.str("disposition", string(limits.Disposition))
	}
	if access.Erased {
		w.raw("erased", "true")
	}
	w.time("expires_at", l.Expires)
	if limits != nil {
		w.str("filename", limits.Filename)
		w.raw("has_password", strconv.FormatBool(limits.HasPassword))
	}
	w.str("id", l.ID)
	w.str("language", access.Language)
	if limits != nil && limits.MaxDownloads != 0 {
		w.raw("max_downloads", strconv.FormatInt(limits.MaxDownloads, 10))
	}
	w.str("message", access.Message)
	w.metadata("/link/metadata", l.Metadata, digests)
	if n := access.Notify; len(n.On) > 0 {
		w.open("notify")
		w.str("email", n.Email)
		w.strs("on", stringsOf(n.On))
		w.close()
	}
	w.str("page", string(access.Page))
	w.str("reason", l.Reason)
	if p := access.Recipient; p != (sluice.Recipient{}) {
		w.open("recipient")
		w.str("email", p.Email)
		w.str("name", p.Name)
		w.close()
	}
	w.str("terms_sha256", access.TermsSHA256)
	w.str("verification", string(access.Verification))
}

func stringsOf[T any](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	return out
}

func appendResources(dst []byte, list []sluice.Resource) []byte {
	w := object{buf: append(dst, '[')}
	for i, r := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.open("")
		w.str("id", r.ID)
		w.str("type", r.Type)
		w.close()
	}
	return append(w.buf, ']')
}

// object writes a JSON object member by member. Members with an empty string are
// omitted.
type object struct {
	buf       []byte
	comma     bool
	committed map[string]string // commitments by field
}

func (w *object) key(name string) {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
}

func (w *object) open(name string) {
	if name != "" {
		w.key(name)
	}
	w.buf = append(w.buf, '{')
	w.comma = false
}

func (w *object) close() {
	w.buf = append(w.buf, '}')
	w.comma = true
}

func (w *object) str(name, value string) {
	if value != "" {
		w.key(name)
		w.buf = ledger.AppendString(w.buf, value)
	}
}

func (w *object) strs(name string, values []string) {
	w.key(name)
	w.buf = append(w.buf, '[')
	for i, v := range values {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = ledger.AppendString(w.buf, v)
	}
	w.buf = append(w.buf, ']')
}

func (w *object) raw(name, value string) {
	w.key(name)
	w.buf = append(w.buf, value...)
}

func (w *object) int(name string, n int64) {
	w.key(name)
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

// time writes a time. The zero time is omitted.
func (w *object) time(name string, at time.Time) {
	if !at.IsZero() {
		w.stamp(name, at)
	}
}

// ending writes a time. The zero time is endless.
func (w *object) ending(name string, at time.Time) {
	if w.time(name, at); at.IsZero() {
		w.str(name, endless)
	}
}

// stamp writes a time, also the zero time.
func (w *object) stamp(name string, at time.Time) {
	w.key(name)
	w.buf = append(w.buf, '"')
	w.buf = append(appendTime(w.buf, at), '"')
}

// appendTime appends a time in the layout EntryTime.
func appendTime(dst []byte, at time.Time) []byte {
	at = at.UTC()
	year, month, day := at.Date()
	if year < 0 || year > 9999 {
		return at.AppendFormat(dst, EntryTime)
	}
	hour, minute, second := at.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), at.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

// appendDigits appends a number with leading zeros.
func appendDigits(dst []byte, n, digits int) []byte {
	var text [6]byte
	for i := digits - 1; i >= 0; i-- {
		text[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, text[:digits]...)
}

// commitment writes the commitment that stands for a field as a member, and reports whether there is one.
func (w *object) commitment(name, field string) bool {
	commitment, ok := w.committed[field]
	if ok {
		w.str(name, commitment)
	}
	return ok
}

func (w *object) metadata(field string, m sluice.Metadata, digest bool) {
	switch {
	case len(m) == 0 || w.commitment("metadata", field):
	case digest:
		w.large("metadata", ledger.AppendStringMap(nil, m), true)
	default:
		w.key("metadata")
		w.buf = ledger.AppendStringMap(w.buf, m)
	}
}

// large writes a value in canonical JSON or, with digest, its SHA-256 digest as
// member name_sha256.
func (w *object) large(name string, value []byte, digest bool) {
	if !digest {
		w.raw(name, string(value))
		return
	}
	sum := sha256.Sum256(value)
	w.str(name+"_sha256", hex.EncodeToString(sum[:]))
}

// before writes the values that a change replaced. With digests, it replaces the
// members that may be large by their digests.
func (w *object) before(b sluice.Before, digests bool) {
	if len(b) == 0 {
		return
	}
	w.open("before")
	for _, name := range slices.Sorted(maps.Keys(b)) {
		isLarge := name == "metadata" && b[name][0] == '{' || name == "linked_resources" && b[name][0] == '['
		w.large(name, b[name], digests && isLarge)
	}
	w.close()
}
