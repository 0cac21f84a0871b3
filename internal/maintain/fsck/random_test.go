package fsck_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// user uses a service at random. What is refused does not matter.
type user struct {
	*sluicetest.Service
	t      *testing.T
	rand   *rand.Rand
	keys   []service.Caller
	files  []sluice.File
	links  []sluice.Link
	begun  []*gate.Grant
	served int
	gone   int
}

// Whatever is done to a service, in whatever order and with whatever clock, no entry contradicts the log, and no row.
func TestRandomUse(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 3
	}
	served, gone := 0, 0
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			u := &user{Service: sluicetest.NewService(t), t: t, rand: rand.New(rand.NewPCG(seed, 0))}
			u.addKey()
			u.addFile()
			for range 400 {
				u.step()
			}
			u.end(len(u.begun))
			if err := u.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			var r fsck.Report
			if err := r.CheckRows(t.Context(), u.Store, u.Seals()); err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				t.Error(f)
			}
			u.Tampered = t.Failed() // is reported
			served, gone = served+u.served, gone+u.gone
		})
	}
	if served == 0 || gone == 0 {
		t.Errorf("%d downloads and %d that were refused: nothing was tested", served, gone)
	}
	t.Logf("%d downloads, %d refused", served, gone)
}

func (u *user) caller() service.Caller    { return u.keys[u.rand.IntN(len(u.keys))] }
func (u *user) file() sluice.File         { return u.files[u.rand.IntN(len(u.files))] }
func (u *user) chance(percent int) bool   { return u.rand.IntN(100) < percent }
func (u *user) context() context.Context  { return u.t.Context() }
func pick[T any](u *user, values ...T) *T { return &values[u.rand.IntN(len(values))] }

func (u *user) addKey() {
	l := u.Ledger(sluice.Test)
	k, _ := u.NewKeyAs(u.t, l, service.NewKey{Name: fmt.Sprint("key ", len(u.keys)),
		MaxLinkLifetime: *pick(u, 0, time.Hour, sluice.Forever)})
	u.keys = append(u.keys, service.Caller{Ledger: l, Key: k,
		Actor: sluice.Actor{Type: sluice.ActorKey, ID: k.ID, Name: k.Name}})
}

func (u *user) addFile() {
	created, err := u.Files.Create(u.context(), u.caller(), "", strings.NewReader(strings.Repeat("x", u.rand.IntN(30))),
		func() (service.NewFile, error) {
			n := service.NewFile{Purpose: "export", Filename: "a.txt", Type: "text/plain"}
			if u.chance(30) {
				n.Link = &service.NewLink{}
			}
			return n, nil
		})
	if err != nil {
		return
	}
	u.files = append(u.files, created.File)
	if created.Link != nil {
		u.links = append(u.links, *created.Link)
	}
}

func (u *user) step() {
	switch n := u.rand.IntN(100); {
	case n < 45:
		u.redeem()
	case n < 60:
		u.end(u.rand.IntN(3))
	case n < 70:
		u.mint()
	case n < 78:
		u.changeLink()
	case n < 88:
		u.Clock.Advance(*pick(u, time.Microsecond, time.Second, time.Minute, 6*time.Minute, 11*time.Minute, -3*time.Minute))
	case n < 92:
		u.changeFile()
	case n < 96:
		u.changeKey()
	case n < 97:
		u.addFile()
	case n < 98 && len(u.keys) < 5:
		u.addKey()
	}
}

func (u *user) mint() {
	l, err := u.Links.Mint(u.context(), u.caller(), service.NewLink{FileID: u.file().ID, Access: u.access(),
		MaxDownloads: int64(u.rand.IntN(4)), Lifetime: pick(u, time.Minute, 20*time.Minute, time.Hour)})
	if err == nil {
		u.links = append(u.links, l)
	}
}

// access is what a link asks of people: mostly nothing.
func (u *user) access() (a sluice.Access) {
	switch u.rand.IntN(6) {
	case 0:
		a.Recipient = sluice.Recipient{Email: "ann@bank.example", Name: "Ann"}
		a.Notify = sluice.Notify{Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.RefusedAccess}}
	case 1:
		a.Allowed, a.Terms = []string{"*@bank.example"}, "1."
	case 2:
		a.Recipient, a.Verification = sluice.Recipient{Email: "bob@bank.example"}, sluice.NoVerification
		a.Message, a.Page = "Dear Bob", sluice.PageAlways
	}
	return a
}

// redact erases the people of an entry of a link.
func (u *user) redact(l sluice.Link) {
	entries, filter := u.Service.Service.Entries, service.EntryFilter{LinkID: l.ID}
	list, err := entries.List(u.context(), u.caller(), filter, sluice.Page{Limit: 100})
	if err == nil && len(list.Data) > 0 {
		entries.Redact(u.context(), u.caller(), list.Data[u.rand.IntN(len(list.Data))].ID, nil)
	}
}

func (u *user) changeLink() {
	if len(u.links) == 0 {
		return
	}
	l, change := u.links[u.rand.IntN(len(u.links))], service.LinkChange{}
	switch u.rand.IntN(11) {
	case 8:
		change.Message, change.Terms = pick(u, "", "x", "y"), pick(u, "", "1.", "2.")
	case 9:
		change.AllowedRecipients = &[]string{"ann@bank.example"}
	case 10:
		u.redact(l)
		return
	case 0:
		u.Links.Revoke(u.context(), u.caller(), "", l.ID, nil)
		return
	case 1:
		change.ExpireNow = true
	case 2, 3:
		change.Lifetime = pick(u, time.Minute, 30*time.Minute)
	case 4:
		change.Reason = pick(u, "", "x", "y")
	default:
		change.MaxDownloads = pick[int64](u, 0, 1, 2, 5)
	}
	u.Links.Update(u.context(), u.caller(), "", l.ID, nil, change)
}

func (u *user) changeFile() {
	f := u.file()
	if u.chance(10) {
		u.Files.Delete(u.context(), u.caller(), f.ID, nil)
		return
	}
	u.Files.Update(u.context(), u.caller(), f.ID, nil, service.FileChange{
		Filename: pick(u, "a.txt", "b.txt"), Title: pick(u, "", "t"), Held: pick(u, true, false, false),
		Metadata: map[string]*string{"k": pick(u, "", "v")},
	})
}

func (u *user) changeKey() {
	k := u.caller().Key
	by := service.Operator(k.Ledger)
	if u.chance(30) {
		by = u.caller()
	}
	switch u.rand.IntN(6) {
	case 0:
		if len(u.keys) > 2 {
			u.Keys.Revoke(u.context(), by, k.ID, nil)
		}
	case 1:
		u.Keys.Rotate(u.context(), by, k.ID, time.Minute)
	case 2:
		expires := u.Clock.Now().Add(*pick(u, time.Minute, time.Hour))
		u.Keys.Update(u.context(), by, k.ID, nil, service.KeyChange{Expires: pick(u, expires, time.Time{}, time.Time{})})
	case 3:
		u.Keys.Update(u.context(), by, k.ID, nil, service.KeyChange{
			MaxLinkLifetime: pick(u, 2*time.Minute, time.Hour, sluice.Forever, sluice.Forever),
		})
	default:
		u.Keys.Update(u.context(), by, k.ID, nil, service.KeyChange{
			Scopes: pick(u, sluice.AllScopes(), sluice.AllScopes(), []sluice.Scope{sluice.FilesRead, sluice.LinksWrite}),
			Name:   pick(u, "x", "y"),
		})
	}
}

func (u *user) redeem() {
	if len(u.links) == 0 {
		return
	}
	l := u.links[u.rand.IntN(len(u.links))]
	if u.chance(50) {
		l = u.links[len(u.links)-1]
	}
	url, err := u.Links.URL(l)
	if err != nil {
		u.t.Fatal(err)
	}
	b := gate.Bearer{
		Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(u.rand.IntN(3))}),
		Request: sluice.Request{ID: fmt.Sprint("req_", u.rand.Uint64()), Method: *pick(u, "GET", "GET", "GET", "HEAD")},
	}
	b.Want.Method = b.Request.Method
	if u.chance(30) {
		first := u.rand.Int64N(20)
		b.Want.Ranges = []gate.RangeSpec{{First: first, Last: first + u.rand.Int64N(20)}}
	}
	g, err := u.Redeem(u.context(), url[strings.LastIndex(url, "/")+1:], b)
	if err != nil {
		u.gone++
		return
	}
	u.served++
	if g.Content != nil {
		g.Content.Close()
	}
	u.begun = append(u.begun, g)
}

// end ends the downloads that began first.
func (u *user) end(n int) {
	n = min(n, len(u.begun))
	for _, g := range u.begun[:n] {
		sent := g.Plan.Bytes
		if u.chance(30) {
			sent = u.rand.Int64N(sent + 1)
		}
		if u.chance(15) {
			u.Failed(g, sent)
		} else {
			u.Delivered(g, sent)
		}
	}
	u.begun = u.begun[n:]
	if u.chance(70) {
		ctx, cancel := context.WithTimeout(u.context(), time.Second)
		defer cancel()
		if len(u.begun) == 0 {
			u.Flush(ctx)
		}
	}
}
