package replay_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/maintain/replay"
	"sluice/ledger"
)

// book writes a log as Sluice does. Its objects are as they should be: a test changes them without an entry to have
// the next entry contradict the log.
type book struct {
	t      testing.TB
	leaves [][]byte
	now    time.Time
	ids    int
	key    sluice.Key // all scopes
	file   sluice.File
	link   sluice.Link
	actor  sluice.Actor
	old    bool // entries do not record limits, rights and details, as in older versions
}

// newBook returns a log with a key, a file and a link that may be downloaded twice.
func newBook(t testing.TB) *book {
	b := &book{t: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	b.start()
	return b
}

func (b *book) start() {
	b.key = sluice.Key{ID: b.id("key_"), Name: "ci", Scopes: sluice.AllScopes(), Expires: b.now.Add(24 * time.Hour),
		MaxLinkLifetime: 12 * time.Hour}
	b.actor = sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}
	b.keyEntry(sluice.KeyCreated, nil)
	b.actor = sluice.Actor{Type: sluice.ActorKey, ID: b.key.ID, Name: b.key.Name}
	b.file = sluice.File{ID: b.id("file_"), Purpose: "report", Filename: "a.pdf", Title: "A", Type: "application/pdf",
		Size: 4096, SHA256: sluice.Digest{1}, Metadata: sluice.Metadata{"case": "1"},
		Linked: []sluice.Resource{{Type: "case", ID: "c1"}}}
	b.fileEntry(sluice.FileCreated, nil)
	b.link = sluice.Link{ID: b.id("link_"), KeyID: b.key.ID, FileID: b.file.ID, Reason: "statement",
		Created: b.now, Expires: b.now.Add(time.Hour), MaxDownloads: 2, Password: "hash",
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Filename: "b.pdf"}
	b.linkEntry(sluice.LinkCreated, nil)
}

func (b *book) id(prefix string) string {
	b.ids++
	return fmt.Sprintf("%s%026d", prefix, b.ids)
}

func (b *book) wait(d time.Duration) { b.now = b.now.Add(d) }

func (b *book) entry(a sluice.Action) sluice.Entry {
	return sluice.Entry{ID: b.id("aud_"), Ledger: sluice.LedgerID{Account: "acct_1", Mode: sluice.Test}, Time: b.now,
		Action: a, Outcome: sluice.Allowed, Actor: b.actor}
}

// write adds an entry and returns its seq.
func (b *book) write(e sluice.Entry) int64 {
	b.t.Helper()
	sealed, err := audit.Seal(e, rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.add(sealed.Leaf)
}

func (b *book) add(leaf []byte) int64 {
	b.t.Helper()
	if !ledger.IsCanonical(leaf) {
		b.t.Fatalf("not canonical: %s", leaf)
	}
	b.leaves = append(b.leaves, leaf)
	return int64(len(b.leaves) - 1)
}

func (b *book) keyEntry(a sluice.Action, was *sluice.Key) int64 {
	e := b.entry(a)
	if e.Key = audit.KeyPart(b.key, was); b.old {
		e.Key = &sluice.KeyPart{ID: b.key.ID, Name: b.key.Name}
	}
	return b.write(e)
}

func (b *book) fileEntry(a sluice.Action, was *sluice.File) int64 {
	e := b.entry(a)
	if e.File = audit.FileDetails(b.file, was); b.old {
		e.File = audit.FilePart(b.file)
	}
	return b.write(e)
}

func (b *book) linkEntry(a sluice.Action, was *sluice.Link) int64 {
	e := b.entry(a)
	e.File = audit.FilePart(b.file)
	if e.Link = audit.LinkLimits(b.link, was); b.old {
		e.Link = audit.LinkPart(b.link)
	}
	return b.write(e)
}

func (b *book) changeKey(change func(*sluice.Key)) int64 {
	was := b.key
	change(&b.key)
	return b.keyEntry(sluice.KeyUpdated, &was)
}

func (b *book) changeLink(change func(*sluice.Link)) int64 {
	was := b.link
	change(&b.link)
	return b.linkEntry(sluice.LinkUpdated, &was)
}

func (b *book) changeFile(a sluice.Action, change func(*sluice.File)) int64 {
	was := b.file
	change(&b.file)
	return b.fileEntry(a, &was)
}

func (b *book) redemption(status int) sluice.Entry {
	e := b.entry(sluice.LinkRedeemed)
	e.Actor = sluice.Actor{Type: sluice.ActorBearer, ID: b.link.ID}
	e.File, e.Link = audit.FilePart(b.file), audit.LinkPart(b.link)
	if b.link.KeyID != "" {
		e.Key = &sluice.KeyPart{ID: b.key.ID, Name: b.key.Name}
	}
	e.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: status}
	e.Request = &sluice.Request{ID: b.id("req_"), Method: "GET", ClientIP: "10.1.1.1"}
	return e
}

func (b *book) redeem() int64 {
	b.t.Helper()
	return b.write(b.redemption(200))
}

func (b *book) refuse(r sluice.Refusal) int64 {
	e := b.redemption(0)
	e.Action, e.Outcome, e.Refusal, e.Delivery = sluice.LinkRefused, sluice.Refused, r, nil
	return b.write(e)
}

// ended is an element of deliveries.
type ended struct {
	Bytes      int64  `json:"bytes"`
	Complete   bool   `json:"complete"`
	DurationMS int    `json:"duration_ms"`
	File       string `json:"file"`
	Link       string `json:"link"`
	Returned   bool   `json:"returned,omitempty"`
	Seq        int64  `json:"seq"`
}

func (b *book) sent(seq int64) ended {
	return ended{b.file.Size, true, 3, b.file.ID, b.link.ID, false, seq}
}

func (b *book) deliver(list ...ended) int64 {
	b.t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		b.t.Fatal(err)
	}
	leaf := fmt.Sprintf(`{"account":"acct_1","action":"link.delivered","actor":{"type":"system"},"deliveries":%s,"id":%q,`+
		`"livemode":false,"outcome":"allowed","time":%q,"v":1}`, text, b.id("aud_"), b.now.Format(audit.EntryTime))
	return b.add([]byte(leaf))
}

// deliverAsBefore writes the entry of one delivery, as older versions do.
func (b *book) deliverAsBefore(redemption sluice.Entry, bytes int64) int64 {
	e := b.entry(sluice.LinkDelivered)
	e.Actor, e.Key = redemption.Actor, redemption.Key
	e.File, e.Link = audit.FilePart(b.file), &sluice.LinkPart{ID: b.link.ID, Expires: b.link.Expires}
	e.File.Metadata = nil
	e.Request = &sluice.Request{ID: redemption.Request.ID}
	e.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: redemption.Delivery.Status,
		Sent: &sluice.Sent{Bytes: bytes, Complete: bytes == b.file.Size}}
	return b.write(e)
}

func (b *book) replay() *replay.Replay {
	b.t.Helper()
	r := replay.New()
	for _, leaf := range b.leaves {
		if err := r.Add(leaf); err != nil {
			b.t.Fatal(err)
		}
	}
	return r
}

// want is a finding that a test expects. Problem is a part of the text.
type want struct {
	seq     int64
	rule    replay.Rule
	problem string
}

func check(t *testing.T, b *book, wants ...want) {
	t.Helper()
	r := b.replay()
	var got []string
	for _, f := range r.Findings() {
		got = append(got, fmt.Sprintf("%s: %s", f.Rule, f))
	}
	if r.Found() != int64(len(got)) {
		t.Errorf("%d were found and %d are listed", r.Found(), len(got))
	}
	for i, w := range wants {
		if i >= len(got) || r.Findings()[i].Seq != w.seq || r.Findings()[i].Rule != w.rule ||
			!strings.Contains(r.Findings()[i].Problem, w.problem) {
			t.Errorf("want %+v as finding %d", w, i)
		}
	}
	if len(got) != len(wants) {
		t.Errorf("%d findings, want %d", len(got), len(wants))
	}
	if t.Failed() {
		t.Logf("findings:\n%s", strings.Join(got, "\n"))
	}
}

// A log that keeps the rules has no findings, with all that may look like a contradiction.
func TestNothingFound(t *testing.T) {
	b := newBook(t)
	first := b.redeem()
	b.wait(time.Minute)
	again := b.redeem() // within the grant
	part := b.redemption(206)
	ranged := b.write(part)
	head := b.redemption(200)
	head.Request.Method = "HEAD"
	b.write(head)
	b.write(b.redemption(304))
	b.wait(10 * time.Minute)
	second := b.redeem()
	failed := b.sent(second)
	failed.Bytes, failed.Complete, failed.Returned = 100, false, true
	b.deliver(b.sent(first), b.sent(again), failed)
	b.wait(11 * time.Minute)
	third := b.redeem() // one was given back
	b.refuse(sluice.Exhausted)
	whole := b.link
	b.link.Expires, b.link.Reason = time.Time{}, "another"
	b.refuse(sluice.Altered) // shows what was altered
	b.link = whole

	b.changeLink(func(l *sluice.Link) { l.MaxDownloads, l.Reason, l.AllowedIPs = 1, "less", nil })
	repeated := b.redeem() // within the grant of an earlier limit
	b.changeLink(func(l *sluice.Link) { l.MaxDownloads, l.Expires = 0, b.now.Add(2*time.Hour) })
	for range 5 {
		b.redeem()
	}
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Filename, f.Title, f.Metadata = "c.pdf", "", nil })
	b.redeem()
	b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
	b.changeFile(sluice.FileReleased, func(f *sluice.File) { f.Held = false })
	key := b.actor
	b.actor = sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}
	b.changeKey(func(k *sluice.Key) { k.Name, k.Expires, k.MaxLinkLifetime = "new", time.Time{}, sluice.Forever })
	b.actor = key
	rotated := b.entry(sluice.KeyRotated)
	rotated.Key = audit.KeyPart(b.key, nil)
	rotated.Key.Rights.OldExpires = b.now
	b.write(rotated)
	b.redeem()

	spare := b.link
	b.link.ID, b.link.MaxDownloads, b.link.Expires, b.link.Created = b.id("link_"), 0, b.now.Add(time.Hour), b.now
	b.linkEntry(sluice.LinkCreated, nil)
	b.actor = sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}
	b.changeKey(func(k *sluice.Key) { k.MaxLinkLifetime = time.Minute })
	b.wait(2 * time.Minute)
	b.actor = key
	b.changeLink(func(l *sluice.Link) { l.Expires = b.now }) // ends now, older than its key allows
	b.refuse(sluice.Expired)
	b.link = spare

	b.linkEntry(sluice.LinkEnded, nil)
	b.deliver(b.sent(third), b.sent(repeated)) // after the end of the link
	b.refuse(sluice.Revoked)
	small := b.sent(ranged)
	small.Bytes = 10
	b.deliver(small)
	b.fileEntry(sluice.FileEnded, nil)
	b.keyEntry(sluice.KeyEnded, nil)
	denied := b.entry(sluice.AccessDenied) // the key was checked before its end
	denied.Outcome, denied.Refusal = sluice.Refused, "missing_scope:keys:admin"
	b.write(denied)
	b.actor = sluice.Actor{Type: sluice.ActorSystem, Name: "start"}
	rolled := b.entry(sluice.LedgerRolledBack)
	rolled.Rollback = &sluice.RollbackPart{Log: "acct_1 test", Size: 3, WasSize: 9, WasRoot: "root"}
	b.write(rolled)
	newer := b.redemption(200)
	newer.Action = "link.streamed" // of a newer version
	b.deliver(b.sent(b.write(newer)))
	check(t, b)
}

// Entries of older versions lack limits, rights and details, and record each delivery by itself.
func TestOlderEntries(t *testing.T) {
	b := &book{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), old: true}
	b.start()
	one, two := b.redemption(200), b.redemption(200)
	b.write(one)
	b.write(two)
	b.deliverAsBefore(two, 100)
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Filename = "late.pdf" })
	b.deliverAsBefore(one, b.file.Size)
	b.key.Scopes = nil // what older entries do not record
	b.link.MaxDownloads = 1
	b.changeLink(func(l *sluice.Link) { l.Expires, l.Reason = b.now.Add(3*time.Hour), "longer" })
	b.changeKey(func(k *sluice.Key) { k.Name = "renamed" })
	b.wait(2 * time.Hour)
	unnamed := b.redemption(200)
	unnamed.Key, unnamed.Delivery = nil, nil
	b.write(unnamed)
	b.wait(30 * time.Hour) // the key's expiry is not recorded
	b.old = false
	b.key.Scopes = sluice.AllScopes()
	b.key.Expires = time.Time{}
	b.changeKey(func(k *sluice.Key) { k.Name = "new" })
	check(t, b)

	b.wait(time.Hour)
	seq := b.redeem()
	last := b.redemption(200)
	after := b.deliverAsBefore(last, 1)
	check(t, b, want{seq, replay.Expired, "expired at 2026-11-21T15:00:00"},
		want{seq, replay.KeyEnded, "older than the key allows"}, want{after, replay.Delivery, "no redemption allowed"})
}

// Each contradiction is found, in the entry that shows it, and by its rule.
func TestFindings(t *testing.T) {
	otherFile := func(b *book) string {
		was := b.file
		b.file.ID = b.id("file_")
		b.fileEntry(sluice.FileCreated, nil)
		other := b.file.ID
		b.file = was
		return other
	}
	weak := func(b *book, scopes ...sluice.Scope) sluice.Key {
		strong := b.key
		b.key = sluice.Key{ID: b.id("key_"), Name: "weak", Scopes: scopes, Expires: strong.Expires,
			MaxLinkLifetime: strong.MaxLinkLifetime}
		b.keyEntry(sluice.KeyCreated, nil)
		made := b.key
		b.key = strong
		return made
	}
	act := func(b *book, k sluice.Key) {
		b.actor = sluice.Actor{Type: sluice.ActorKey, ID: k.ID, Name: k.Name}
	}
	for name, run := range map[string]func(b *book) []want{
		"redeemed after it was revoked": func(b *book) []want {
			b.linkEntry(sluice.LinkEnded, nil)
			return []want{{b.redeem(), replay.Revoked, "after entry 3 revoked it"}}
		},
		"redeemed after it expired": func(b *book) []want {
			b.wait(time.Hour + time.Microsecond)
			return []want{{b.redeem(), replay.Expired, "expired at 2026-11-28T13:00:00.000000Z"}}
		},
		"redeemed after its file was deleted": func(b *book) []want {
			b.fileEntry(sluice.FileEnded, nil)
			return []want{{b.redeem(), replay.Deleted, "which entry 3 deleted"}}
		},
		"redeemed after its key was revoked": func(b *book) []want {
			b.keyEntry(sluice.KeyEnded, nil)
			return []want{{b.redeem(), replay.KeyEnded, "after entry 3 revoked the key"}}
		},
		"redeemed after its key expired": func(b *book) []want {
			b.changeKey(func(k *sluice.Key) { k.Expires = b.now.Add(time.Minute) })
			b.wait(2 * time.Minute)
			return []want{{b.redeem(), replay.KeyEnded, "had expired"}}
		},
		"redeemed after its key was narrowed": func(b *book) []want {
			b.changeKey(func(k *sluice.Key) { k.Scopes = []sluice.Scope{sluice.FilesRead} })
			return []want{{b.redeem(), replay.KeyEnded, "lacked links:write, as entry 3 records"}}
		},
		"redeemed when older than its key allows": func(b *book) []want {
			b.changeKey(func(k *sluice.Key) { k.MaxLinkLifetime = time.Minute })
			b.wait(2 * time.Minute)
			return []want{{b.redeem(), replay.KeyEnded, "older than the key allows"}}
		},
		"more downloads than the limit": func(b *book) []want {
			b.redeem()
			b.wait(11 * time.Minute)
			b.redeem()
			b.wait(11 * time.Minute)
			return []want{{b.redeem(), replay.Downloads, "at least download 3"}}
		},
		"more downloads than a limit that was set later": func(b *book) []want {
			b.changeLink(func(l *sluice.Link) { l.MaxDownloads = 0 })
			b.redeem()
			b.redeem()
			b.changeLink(func(l *sluice.Link) { l.MaxDownloads = 2 })
			b.redeem()
			b.wait(11 * time.Minute)
			return []want{{b.redeem(), replay.Downloads, "at least download 4"}}
		},
		"more bytes than the limit": func(b *book) []want {
			var last int64
			for range 5 { // within ten minutes: no two of them are known to be of two bearers
				last = b.deliver(b.sent(b.redeem()))
			}
			return []want{{last, replay.Downloads, "20480 bytes were sent for 2 downloads"}}
		},
		"another sha256": func(b *book) []want {
			b.file.SHA256 = sluice.Digest{2}
			return []want{{b.redeem(), replay.Changed, "the sha256 0200"}}
		},
		"another size": func(b *book) []want {
			b.file.Size++
			return []want{{b.redeem(), replay.Changed, "has 4097 bytes, and an earlier entry shows 4096"}}
		},
		"another filename": func(b *book) []want {
			b.file.Filename = "x.pdf"
			return []want{{b.redeem(), replay.Changed, "another filename"}}
		},
		"other metadata of a file": func(b *book) []want {
			b.file.Metadata = nil
			return []want{{b.redeem(), replay.Changed, "other metadata"}}
		},
		"another title": func(b *book) []want {
			b.file.Title = "B"
			return []want{{b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Filename = "x" }), replay.Changed, "title"}}
		},
		"a retention by hand": func(b *book) []want {
			b.file.Expires = b.now.Add(time.Hour)
			return []want{{b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Filename = "x" }), replay.Changed,
				"ends at 2026-11-28T13:00:00.000000Z, and an earlier entry shows never"}}
		},
		"another expiry of a link": func(b *book) []want {
			b.link.Expires = b.link.Expires.Add(87600 * time.Hour)
			return []want{{b.redeem(), replay.Changed, "expires at 2036-11-25T13:00:00.000000Z, and entry 2 set 2026-11-28T13"}}
		},
		"another limit": func(b *book) []want {
			b.link.MaxDownloads = 0
			return []want{{b.changeLink(func(l *sluice.Link) { l.Reason = "x" }), replay.Changed, "max_downloads of 0"}}
		},
		"a password that was removed": func(b *book) []want {
			b.link.Password = ""
			return []want{{b.linkEntry(sluice.LinkEnded, nil), replay.Changed, "password"}}
		},
		"other addresses": func(b *book) []want {
			b.link.AllowedIPs = nil
			return []want{{b.linkEntry(sluice.LinkEnded, nil), replay.Changed, "allowed_ips"}}
		},
		"another reason": func(b *book) []want {
			b.link.Reason = "x"
			return []want{{b.redeem(), replay.Changed, "another reason"}}
		},
		"other scopes": func(b *book) []want {
			b.changeKey(func(k *sluice.Key) { k.Scopes = []sluice.Scope{sluice.KeysAdmin, sluice.LinksWrite} })
			b.key.Scopes = sluice.AllScopes()
			b.wait(time.Hour + time.Second)
			seq := b.changeKey(func(k *sluice.Key) { k.Name = "x" })
			return []want{{seq, replay.Changed, "other scopes"}, {seq, replay.Actor, "a scope that it lacked"}}
		},
		"another expiry of a key": func(b *book) []want {
			b.key.Expires = time.Time{}
			seq := b.keyEntry(sluice.KeyRotated, nil)
			return []want{{seq, replay.Changed, "expires at never"}, {seq, replay.Actor, "a later expiry"}}
		},
		"another file behind a link": func(b *book) []want {
			b.file.ID = otherFile(b)
			return []want{{b.redeem(), replay.Changed, "as the file of"}}
		},
		"another key behind a link": func(b *book) []want {
			b.link.KeyID = ""
			return []want{{b.redeem(), replay.Changed, "another key as the one that minted"}}
		},
		"a link that nobody minted": func(b *book) []want {
			b.link.ID = b.id("link_")
			seq := b.redeem()
			b.redeem() // is reported once
			return []want{{seq, replay.Unknown, "no earlier entry created the link"}}
		},
		"a key that nobody created": func(b *book) []want {
			act(b, sluice.Key{ID: b.id("key_")})
			return []want{{b.changeLink(func(l *sluice.Link) { l.Reason = "x" }), replay.Unknown, "created the key"}}
		},
		"a file that nobody uploaded": func(b *book) []want {
			b.file.ID = b.id("file_")
			return []want{{b.fileEntry(sluice.FileEnded, nil), replay.Unknown, "created the file"}}
		},
		"a link minted twice": func(b *book) []want {
			return []want{{b.linkEntry(sluice.LinkCreated, nil), replay.Twice, "a second time"}}
		},
		"a file uploaded twice": func(b *book) []want {
			return []want{{b.fileEntry(sluice.FileCreated, nil), replay.Twice, "a second time"}}
		},
		"a key created twice": func(b *book) []want {
			return []want{{b.keyEntry(sluice.KeyCreated, nil), replay.Twice, "a second time"}}
		},
		"changed after it was revoked": func(b *book) []want {
			b.linkEntry(sluice.LinkEnded, nil)
			return []want{{b.changeLink(func(l *sluice.Link) { l.Reason = "x" }), replay.Revoked, "was changed after"}}
		},
		"a link to a deleted file": func(b *book) []want {
			b.fileEntry(sluice.FileEnded, nil)
			b.link.ID = b.id("link_")
			return []want{{b.linkEntry(sluice.LinkCreated, nil), replay.Deleted, "which entry 3 deleted"}}
		},
		"a held file that is deleted": func(b *book) []want {
			b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
			return []want{{b.fileEntry(sluice.FileEnded, nil), replay.Held, "which is held"}}
		},
		"a hold that was removed": func(b *book) []want {
			b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
			b.file.Held = false
			return []want{{b.fileEntry(sluice.FileEnded, nil), replay.Changed, "held or released"}}
		},
		"an actor without the scope": func(b *book) []want {
			k := weak(b, sluice.FilesRead)
			act(b, k)
			return []want{{b.linkEntry(sluice.LinkEnded, nil), replay.Actor, "lacked the scope for link.revoked"}}
		},
		"an actor that was revoked": func(b *book) []want {
			b.keyEntry(sluice.KeyEnded, nil)
			return []want{{b.linkEntry(sluice.LinkEnded, nil), replay.Actor, "after entry 3 revoked it"}}
		},
		"an actor that had expired": func(b *book) []want {
			b.wait(25 * time.Hour)
			return []want{{b.fileEntry(sluice.FileEnded, nil), replay.Actor, "after it had expired"}}
		},
		"an actor of the wrong type": func(b *book) []want {
			return []want{{b.fileEntry(sluice.FileRetainedOut, nil), replay.Actor, "not for an actor of type key"}}
		},
		"a bearer of another link": func(b *book) []want {
			e := b.redemption(200)
			e.Actor.ID = b.id("link_")
			return []want{{b.write(e), replay.Actor, "the bearer of"}}
		},
		"a key that gave more than it had": func(b *book) []want {
			k := weak(b, sluice.KeysAdmin)
			act(b, k)
			b.key = sluice.Key{ID: b.id("key_"), Name: "k", Scopes: []sluice.Scope{sluice.FilesContent}, Expires: k.Expires}
			return []want{{b.keyEntry(sluice.KeyCreated, nil), replay.Actor, "gave"}}
		},
		"a link that outlives what its key allows": func(b *book) []want {
			b.link.ID = b.id("link_")
			b.link.Expires = b.now.Add(13 * time.Hour)
			return []want{{b.linkEntry(sluice.LinkCreated, nil), replay.Actor, "lives longer"}}
		},
		"another log": func(b *book) []want {
			e := b.redemption(304)
			e.Ledger.Mode = sluice.Live
			return []want{{b.write(e), replay.Form, "of another account or mode"}}
		},
		"allowed and refused": func(b *book) []want {
			e := b.redemption(304)
			e.Refusal = sluice.Revoked
			return []want{{b.write(e), replay.Form, "link.redeemed was allowed"}}
		},
		"refused by no rule": func(b *book) []want {
			return []want{{b.refuse(""), replay.Form, "not by which rule"}}
		},
		"refused as revoked": func(b *book) []want {
			return []want{{b.refuse(sluice.Revoked), replay.Changed, "as revoked, which no earlier entry says"}}
		},
		"a redaction of what is to come": func(b *book) []want {
			e := b.entry(sluice.AuditRedacted)
			e.Subject = &sluice.EntryPart{ID: b.id("aud_"), Seq: 3, Fields: []string{"/request/ip"}}
			return []want{{b.write(e), replay.Unknown, "not written yet"}}
		},
		"the end of no erasure": func(b *book) []want {
			e := b.entry(sluice.AuditErased)
			e.Actor = sluice.Actor{Type: sluice.ActorSystem, Name: "erasure"}
			return []want{{b.write(e), replay.Unknown, "no earlier entry began"}}
		},
		"an erasure that a stranger began": func(b *book) []want {
			e := b.entry(sluice.AuditErasureBegun)
			e.Actor = sluice.Actor{Type: sluice.ActorBearer, ID: "link_1"}
			return []want{{b.write(e), replay.Actor, "not for an actor of type bearer"}}
		},
		"a name that was personal is in clear": func(b *book) []want {
			named := b.entry(sluice.FileCreated)
			file := sluice.File{ID: b.id("file_"), Filename: "a", Purpose: "letter", Personal: sluice.NameFields()}
			named.File = audit.FileDetails(file, nil)
			b.write(named)
			is := file
			is.Filename, is.Title = "b", "t"
			named = b.entry(sluice.FileUpdated)
			named.File = audit.FileDetails(is, &file)
			b.write(named)
			is.Personal, is.Filename = nil, ""
			named = b.entry(sluice.FileRead)
			named.File = audit.FilePart(is)
			return []want{{b.write(named), replay.Changed, "list of personal names"}}
		},
		"a delivery without its redemption": func(b *book) []want {
			return []want{{b.deliver(b.sent(2)), replay.Delivery, "delivery of entry 2, which sends no bytes"}}
		},
		"a delivery of a redemption to come": func(b *book) []want {
			return []want{{b.deliver(b.sent(7)), replay.Delivery, "entry 7, which was not written yet"}}
		},
		"a delivery of 304": func(b *book) []want {
			return []want{{b.deliver(b.sent(b.write(b.redemption(304)))), replay.Delivery, "which sends no bytes"}}
		},
		"a second delivery": func(b *book) []want {
			seq := b.redeem()
			b.deliver(b.sent(seq))
			return []want{{b.deliver(b.sent(seq)), replay.Delivery, "a second delivery of entry 3"}}
		},
		"a second delivery in one entry": func(b *book) []want {
			seq := b.redeem()
			return []want{{b.deliver(b.sent(seq), b.sent(seq)), replay.Delivery, "a second delivery of entry 3"}}
		},
		"a second delivery in the older form": func(b *book) []want {
			e := b.redemption(200)
			b.deliver(b.sent(b.write(e)))
			return []want{{b.deliverAsBefore(e, 4096), replay.Delivery, "recorded already"}}
		},
		"too many bytes": func(b *book) []want {
			d := b.sent(b.redeem())
			d.Bytes = 4097
			seq := b.deliver(d)
			return []want{{seq, replay.Delivery, "4097 bytes of a file of 4096"}}
		},
		"too few bytes": func(b *book) []want {
			d := b.sent(b.redeem())
			d.Bytes = 10
			return []want{{b.deliver(d), replay.Delivery, "10 of 4096 bytes, and complete is true"}}
		},
		"a delivery of another link": func(b *book) []want {
			d := b.sent(b.redeem())
			d.Link = b.id("link_")
			return []want{{b.deliver(d), replay.Delivery, "redeems another link"}}
		},
		"a delivery of another file": func(b *book) []want {
			d := b.sent(b.redeem())
			d.File = b.id("file_")
			return []want{{b.deliver(d), replay.Delivery, "is of another file"}}
		},
		"no object": func(b *book) []want {
			return []want{{b.add([]byte(`[]`)), replay.Form, "it is no entry"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			check(t, b, run(b)...)
		})
	}
}

// The number of findings that are kept is limited. All are counted.
func TestManyFindings(t *testing.T) {
	b := newBook(t)
	b.linkEntry(sluice.LinkEnded, nil)
	for range 3 * replay.MaxFindings {
		b.write(b.redemption(304))
	}
	r := b.replay()
	if len(r.Findings()) != replay.MaxFindings || r.Found() != 3*replay.MaxFindings {
		t.Errorf("%d of %d findings", len(r.Findings()), r.Found())
	}
}

// Metadata that is too large for an entry is recorded as a digest. Values and digests are compared with each other, and
// what is beside them is compared as ever.
func TestLargeMetadata(t *testing.T) {
	large := func() sluice.Metadata {
		m := sluice.Metadata{}
		for i := range 50 {
			m[fmt.Sprint("key", i)] = strings.Repeat("\u0001", 500)
		}
		return m
	}
	b := newBook(t)
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Metadata = large() })
	b.redeem()
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Title = "C" })
	b.changeLink(func(l *sluice.Link) { l.Metadata = sluice.Metadata{"a": "b"} }) // is a digest beside that of the file
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Metadata = nil })
	b.redeem()
	b.changeFile(sluice.FileUpdated, func(f *sluice.File) { f.Metadata, f.Linked = large(), nil })
	b.changeLink(func(l *sluice.Link) { l.Metadata, l.Reason = nil, "less" })
	b.changeLink(func(l *sluice.Link) { l.Metadata = large() })
	b.redeem()
	digests := 0
	for _, leaf := range b.leaves {
		digests += bytes.Count(leaf, []byte("metadata_sha256"))
	}
	if digests < 8 || !slices.ContainsFunc(b.leaves, func(leaf []byte) bool {
		return bytes.Contains(leaf, []byte("linked_resources_sha256"))
	}) {
		t.Fatalf("%d digests", digests)
	}
	check(t, b)

	b.link.Reason = "more"
	wants := []want{{b.redeem(), replay.Changed, "another reason"}}
	b.file.Metadata["key0"] = "x"
	wants = append(wants, want{b.redeem(), replay.Changed, "other metadata"})
	b.file.Metadata = nil
	wants = append(wants, want{b.redeem(), replay.Changed, "other metadata"})
	check(t, b, wants...)
}

// An entry records whole seconds of a key's lifetime of links. Older versions took lifetimes with a fraction, and their
// logs have no findings.
func TestLifetimeWithFraction(t *testing.T) {
	b := newBook(t)
	b.actor = sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}
	b.key.ID, b.key.MaxLinkLifetime = b.id("key_"), 1500*time.Millisecond
	b.keyEntry(sluice.KeyCreated, nil)
	b.actor = sluice.Actor{Type: sluice.ActorKey, ID: b.key.ID, Name: b.key.Name}
	b.link.ID, b.link.KeyID, b.link.Created = b.id("link_"), b.key.ID, b.now
	b.link.Expires = b.now.Add(b.key.MaxLinkLifetime)
	b.linkEntry(sluice.LinkCreated, nil)
	b.wait(1400 * time.Millisecond)
	b.redeem()
	check(t, b)

	b.link.ID, b.link.Created, b.link.Expires = b.id("link_"), b.now, b.now.Add(2100*time.Millisecond)
	seq := b.linkEntry(sluice.LinkCreated, nil)
	b.wait(2050 * time.Millisecond)
	check(t, b, want{seq, replay.Actor, "lives longer"}, want{b.redeem(), replay.KeyEnded, "older than the key allows"})
}

// Entries of older versions have the details of a file without the end of its retention, and are not compared. What an
// entry says of it holds from there on.
func TestRetentionOfOlderVersions(t *testing.T) {
	b := newBook(t)
	older := func() {
		e := b.entry(sluice.FileUpdated)
		e.File = audit.FileDetails(b.file, &b.file)
		e.File.Details.Expires = nil
		b.write(e)
	}
	b.file.ID, b.file.Expires = b.id("file_"), b.now.Add(time.Hour)
	e := b.entry(sluice.FileCreated)
	e.File = audit.FileDetails(b.file, nil)
	e.File.Details.Expires = nil
	b.write(e)
	older()
	b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
	older()
	b.changeFile(sluice.FileReleased, func(f *sluice.File) { f.Held = false })
	check(t, b)

	b.file.Expires = time.Time{}
	older()
	check(t, b, want{b.fileEntry(sluice.FileEnded, nil), replay.Changed,
		"ends at never, and an earlier entry shows 2026-11-28T13"})
}

// Nothing that is not an entry makes a Replay fail.
func FuzzAdd(f *testing.F) {
	b := newBook(f)
	b.deliver(b.sent(b.redeem()))
	for _, leaf := range b.leaves {
		f.Add(leaf)
	}
	f.Add([]byte(`{"action":"link.delivered","deliveries":[{"seq":`))
	f.Add([]byte(`{"file":{"before":{"size`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		r := replay.New()
		for range 2 {
			if err := r.Add(leaf); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Logs that older versions wrote have no findings: 2026-11-21.ndjson is of the first version with a native API, and
// upgraded.ndjson of a server that was upgraded twice, from a version without limits in its entries.
func TestLogsOfOlderVersions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.ndjson")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b := &book{t: t}
			for line := range bytes.Lines(data) {
				b.add(bytes.TrimSuffix(line, []byte("\n")))
			}
			check(t, b)

			// A redemption of a link that was revoked since.
			for _, leaf := range slices.Backward(slices.Clone(b.leaves)) { // the newest shows what is known
				if !bytes.Contains(leaf, []byte(`"action":"link.redeemed"`)) {
					continue
				}
				if _, link, _ := bytes.Cut(leaf, []byte(`"link":{`)); revokedLater(b, link) {
					seq := b.add(leaf)
					check(t, b, want{seq, replay.Revoked, "was redeemed after entry"})
					return
				}
			}
			t.Error("no link was redeemed and revoked")
		})
	}
}

// revokedLater reports whether a link was revoked, whose part in a leaf is given.
func revokedLater(b *book, part []byte) bool {
	_, id, _ := bytes.Cut(part, []byte(`"id":"`))
	id, _, _ = bytes.Cut(id, []byte(`"`))
	return slices.ContainsFunc(b.leaves, func(leaf []byte) bool {
		return bytes.Contains(leaf, []byte(`"action":"link.revoked"`)) && bytes.Contains(leaf, id)
	})
}
