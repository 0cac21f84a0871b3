package storetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/ledger"
)

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

// Ptr gives a pointer to a value.
func Ptr[T any](v T) *T { return &v }

// after is a time some microseconds after the epoch of the suite.
func after(us int) time.Time { return Epoch.Add(time.Duration(us) * time.Microsecond) }

// listed is a list under a filter, and a test of which objects belong in it.
type listed[T any] struct {
	name string
	list func(service.Reader, sluice.Page) (sluice.List[T], error)
	has  func(T) bool
}

// timeRanges are named ranges that cut the times after(0) to after(11).
func timeRanges() map[string]sluice.TimeRange {
	half := after(4).Add(500 * time.Nanosecond)
	return map[string]sluice.TimeRange{
		"gt":       {GT: Ptr(after(4))},
		"gte":      {GTE: Ptr(after(4))},
		"lt":       {LT: Ptr(after(7))},
		"lte":      {LTE: Ptr(after(7))},
		"both":     {GT: Ptr(after(2)), GTE: Ptr(after(4)), LT: Ptr(after(9)), LTE: Ptr(after(7))},
		"fraction": {GT: &half, LTE: Ptr(half.Add(3 * time.Microsecond))},
		"to":       {GTE: &half, LT: Ptr(half.Add(3 * time.Microsecond))},
		"empty":    {GT: Ptr(after(7)), LT: Ptr(after(4))},
	}
}

func within(r sluice.TimeRange, t time.Time) bool {
	return (r.GT == nil || t.After(*r.GT)) && (r.GTE == nil || !t.Before(*r.GTE)) &&
		(r.LT == nil || t.Before(*r.LT)) && (r.LTE == nil || !t.After(*r.LTE))
}

// narrowing is one filter of a list.
type narrowing[F any] struct {
	name string
	set  func(*F)
}

// combined gives no filter, every filter, and every pair of filters.
func combined[F any](singles []narrowing[F]) (all []narrowing[F]) {
	all = append(all, narrowing[F]{"all", func(*F) {}})
	for i, a := range singles {
		all = append(all, a)
		for _, b := range singles[i+1:] {
			all = append(all, narrowing[F]{a.name + ", " + b.name, func(f *F) { a.set(f); b.set(f) }})
		}
	}
	return all
}

// createdIn narrows by the time of creation, in every form of a range.
func createdIn[F any](set func(*F, sluice.TimeRange)) (singles []narrowing[F]) {
	for name, r := range timeRanges() {
		singles = append(singles, narrowing[F]{"created " + name, func(f *F) { set(f, r) }})
	}
	return singles
}

func inSize(r sluice.Range[int64], n int64) bool {
	return (r.GT == nil || n > *r.GT) && (r.GTE == nil || n >= *r.GTE) && (r.LT == nil || n < *r.LT) &&
		(r.LTE == nil || n <= *r.LTE)
}

func fileLists() (lists []listed[sluice.File]) {
	singles := createdIn(func(f *service.FileFilter, r sluice.TimeRange) { f.Created = r })
	filters := combined([]narrowing[service.FileFilter]{
		{"purpose", func(f *service.FileFilter) { f.Purpose = "report" }},
		{"purposes", func(f *service.FileFilter) { f.Purposes = []string{"invoice", "export", "report", "invoice"} }},
		{"types", func(f *service.FileFilter) { f.Types = []string{"image/png", "text/csv"} }},
		{"filename", func(f *service.FileFilter) { f.Filename = "b.pdf" }},
		{"title", func(f *service.FileFilter) { f.Title = "a title" }},
		{"type", func(f *service.FileFilter) { f.Type = "text/plain" }},
		{"sha256", func(f *service.FileFilter) { f.SHA256 = &sluice.Digest{7} }},
		{"size", func(f *service.FileFilter) { f.Size = sluice.Range[int64]{GT: Ptr(int64(2)), LTE: Ptr(int64(8))} }},
		{"size from", func(f *service.FileFilter) {
			f.Size = sluice.Range[int64]{GTE: Ptr(int64(3)), LT: Ptr(int64(math.MaxInt64))}
		}},
		{"linked", func(f *service.FileFilter) { f.Linked = &sluice.Resource{Type: "order", ID: "1"} }},
		{"deleted", func(f *service.FileFilter) { f.Status = service.DeletedFiles }},
		{"ids", func(f *service.FileFilter) {
			f.IDs = []string{"file_1", "file_19", "file_7", "file_7", "file_15", "file_unknown", "file_foreign"}
		}},
		singles[0],
	})
	for _, n := range append(filters, singles...) {
		var f service.FileFilter
		n.set(&f)
		lists = append(lists, listed[sluice.File]{
			name: "files " + n.name,
			list: func(r service.Reader, p sluice.Page) (sluice.List[sluice.File], error) {
				return r.Files(LiveLedger, f, p)
			},
			has: func(x sluice.File) bool {
				return x.Active() == (f.Status == service.ActiveFiles) && (f.Purpose == "" || x.Purpose == f.Purpose) &&
					(f.Purposes == nil || slices.Contains(f.Purposes, x.Purpose)) &&
					(f.Types == nil || slices.Contains(f.Types, x.Type)) &&
					(f.Filename == "" || x.Filename == f.Filename) &&
					(f.Title == "" || x.Title == f.Title) && (f.Type == "" || x.Type == f.Type) &&
					(f.SHA256 == nil || x.SHA256 == *f.SHA256) && inSize(f.Size, x.Size) &&
					(f.Linked == nil || slices.Contains(x.Linked, *f.Linked)) &&
					(len(f.IDs) == 0 || slices.Contains(f.IDs, x.ID)) && within(f.Created, x.Created)
			},
		})
	}
	return lists
}

func linkLists() (lists []listed[sluice.Link]) {
	singles := createdIn(func(f *service.LinkFilter, r sluice.TimeRange) { f.Created = r })
	for name, r := range timeRanges() {
		singles = append(singles, narrowing[service.LinkFilter]{"expires " + name,
			func(f *service.LinkFilter) { f.Expires = r }})
	}
	expired := func(name string, is bool, now time.Time) narrowing[service.LinkFilter] {
		return narrowing[service.LinkFilter]{name, func(f *service.LinkFilter) { f.Expired, f.Now = &is, now }}
	}
	over := func(name string, is bool, now time.Time) narrowing[service.LinkFilter] {
		return narrowing[service.LinkFilter]{name, func(f *service.LinkFilter) { f.Over, f.Now = &is, now }}
	}
	filters := combined([]narrowing[service.LinkFilter]{
		{"file", func(f *service.LinkFilter) { f.FileID = "file_1" }},
		{"ids", func(f *service.LinkFilter) { f.IDs = []string{"link_1", "link_19", "link_7", "link_6"} }},
		expired("expired", true, after(9)),
		expired("not expired", false, after(9)),
		expired("expired later", true, Epoch.Add(10*time.Hour)),
		expired("not expired later", false, Epoch.Add(10*time.Hour)),
		over("over", true, after(9)),
		over("not over", false, after(9)),
		over("over later", true, Epoch.Add(10*time.Hour)),
		over("not over later", false, Epoch.Add(10*time.Hour)),
		{"revoked", func(f *service.LinkFilter) { f.Revoked = Ptr(true) }},
		{"not revoked", func(f *service.LinkFilter) { f.Revoked = Ptr(false) }},
		{"expires between", func(f *service.LinkFilter) {
			f.Expires = sluice.TimeRange{GT: Ptr(after(5)),
				LTE: Ptr(after(11))}
		}},
		singles[0],
	})
	for _, n := range append(filters, singles...) {
		var f service.LinkFilter
		n.set(&f)
		lists = append(lists, listed[sluice.Link]{
			name: "links " + n.name,
			list: func(r service.Reader, p sluice.Page) (sluice.List[sluice.Link], error) {
				return r.Links(LiveLedger, f, p)
			},
			has: func(x sluice.Link) bool {
				return x.Ended != sluice.Revoked && (f.FileID == "" || x.FileID == f.FileID) &&
					(len(f.IDs) == 0 || slices.Contains(f.IDs, x.ID)) &&
					(f.Expired == nil || *f.Expired == x.Expired(f.Now)) &&
					(f.Revoked == nil || *f.Revoked == !x.Revoked.IsZero()) &&
					(f.Over == nil || *f.Over == (x.Expired(f.Now) || !x.Revoked.IsZero())) &&
					(f.Expires == (sluice.TimeRange{}) || !x.Expires.IsZero() && within(f.Expires, x.Expires)) &&
					within(f.Created, x.Created)
			},
		})
	}
	return lists
}

// testExpiry lists links by when they expire, while new and updated links raise the longest lifetime of the ledger, up
// to one that does not expire.
func testExpiry(t *testing.T, db Database) {
	s := openStore(t, db)
	var links []sluice.Link
	check := func() {
		t.Helper()
		for from := range 30 {
			for to := range 30 {
				f := service.LinkFilter{Expires: sluice.TimeRange{GTE: Ptr(after(from)), LT: Ptr(after(to))}}
				g := service.LinkFilter{Expired: Ptr(false), Now: after(from)}
				var want, good []string
				for _, l := range links {
					if !l.Expires.IsZero() && within(f.Expires, l.Expires) {
						want = append(want, l.ID)
					}
					if !l.Expired(g.Now) {
						good = append(good, l.ID)
					}
				}
				got := Read(t, s, func(r service.Reader) (list sluice.List[sluice.Link], err error) {
					return r.Links(LiveLedger, f, sluice.Page{Limit: 100})
				})
				WantEqual(t, sorted(idsOf(got.Data, linkID)), sorted(want))
				got = Read(t, s, func(r service.Reader) (list sluice.List[sluice.Link], err error) {
					return r.Links(LiveLedger, g, sluice.Page{Limit: 100})
				})
				WantEqual(t, sorted(idsOf(got.Data, linkID)), sorted(good))
			}
		}
	}
	for i := range 20 {
		l := NewLink(LiveLedger, fmt.Sprint("link_", i), "file_1")
		l.Created = after(i)
		l.Expires = l.Created.Add(time.Duration(1+i%3) * time.Microsecond)
		links = append(links, l)
		Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.CreateLink(l, NewEntry(LiveLedger)) })
	}
	check()
	for _, expires := range []time.Time{after(25), {}} {
		links[3].Expires = expires
		Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.UpdateLink(links[3], NewEntry(LiveLedger)) })
		check()
	}
}

func entryLists() (lists []listed[sluice.Entry]) {
	add := func(name string, f service.EntryFilter) {
		lists = append(lists, listed[sluice.Entry]{
			name: "entries " + name,
			list: func(r service.Reader, p sluice.Page) (sluice.List[sluice.Entry], error) {
				return r.Entries(OtherLedger, f, p)
			},
			has: func(x sluice.Entry) bool {
				return (f.FileID == "" || ofFile(x, f.FileID)) && (f.LinkID == "" || ofLink(x, f.LinkID)) &&
					(f.KeyID == "" || x.KeyID() == f.KeyID) && (f.Action == "" || x.Action == f.Action) &&
					(f.Outcome == "" || x.Outcome == f.Outcome) &&
					(f.RequestID == "" || x.Request != nil && x.Request.ID == f.RequestID) &&
					(len(f.IDs) == 0 || slices.Contains(f.IDs, x.ID)) && within(f.Created, x.Time)
			},
		})
	}
	add("all", service.EntryFilter{})
	add("file", service.EntryFilter{FileID: "file_1"})
	add("link", service.EntryFilter{LinkID: "link_1"})
	add("key", service.EntryFilter{KeyID: "key_1"})
	add("action", service.EntryFilter{Action: "b"})
	add("outcome", service.EntryFilter{Outcome: sluice.Refused})
	add("request", service.EntryFilter{RequestID: "req_1"})
	add("ids", service.EntryFilter{IDs: []string{"aud_1", "aud_19", "aud_7"}})
	for name, r := range timeRanges() {
		add("created "+name, service.EntryFilter{Created: r})
	}
	add("everything", service.EntryFilter{FileID: "file_1", LinkID: "link_1", KeyID: "key_1", Action: "b",
		Outcome: sluice.Refused, RequestID: "req_1", IDs: []string{"aud_1", "aud_2"}, Created: timeRanges()["gte"]})
	return lists
}

func ofFile(e sluice.Entry, id string) bool {
	return e.File != nil && e.File.ID == id ||
		slices.ContainsFunc(e.Deliveries, func(d sluice.Delivery) bool { return d.FileID == id })
}

func ofLink(e sluice.Entry, id string) bool {
	return e.Link != nil && e.Link.ID == id ||
		slices.ContainsFunc(e.Deliveries, func(d sluice.Delivery) bool { return d.LinkID == id })
}

func keyLists() []listed[sluice.Key] {
	list := func(r service.Reader, p sluice.Page) (sluice.List[sluice.Key], error) { return r.Keys(LiveLedger, p) }
	return []listed[sluice.Key]{{"keys", list, func(sluice.Key) bool { return true }}}
}

func fileID(f sluice.File) string   { return f.ID }
func linkID(l sluice.Link) string   { return l.ID }
func keyID(k sluice.Key) string     { return k.ID }
func entryID(e sluice.Entry) string { return e.ID }

// The orders of the lists, newest first.
func newerFile(a, b sluice.File) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
}
func newerLink(a, b sluice.Link) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
}
func newerKey(a, b sluice.Key) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
}
func newerEntry(a, b sluice.Entry) int {
	return cmp.Compare(b.Seq, a.Seq)
}

// objects are the objects of the lists: many with few different times, and with ids in no order of time.
type objects struct {
	files   []sluice.File
	links   []sluice.Link
	keys    []sluice.Key
	entries []sluice.Entry
}

func newObjects(n int) (o objects) {
	moment := func() time.Time { return after(rand.IntN(12)) }
	for i := range n {
		f := NewFile(LiveLedger, fmt.Sprint("file_", i))
		f.Created, f.Purpose = moment(), []string{"invoice", "report"}[i%2]
		f.Filename, f.Title, f.Type = []string{"a.pdf", "b.pdf"}[i/2%2], []string{"", "a title"}[i/4%2],
			[]string{"text/plain", "image/png"}[i/3%2]
		f.Size, f.SHA256 = int64(i%10), sluice.Digest{byte(i % 3 * 7)}
		f.Linked = []sluice.Resource{{Type: "order", ID: fmt.Sprint(i % 2)}, {Type: "customer", ID: "1"}}
		if i%8 == 7 {
			f.Deleted = after(20)
		}
		l := NewLink(LiveLedger, fmt.Sprint("link_", i), fmt.Sprint("file_", i%3))
		l.Created = moment()
		l.Expires = l.Created.Add(time.Duration(i%6+1) * time.Microsecond)
		switch i % 7 {
		case 0:
			l.Expires = time.Time{}
		case 1:
			l.Expires = Epoch.Add(time.Duration(i) * time.Hour) // later than any entry
		case 6:
			l.Revoked, l.Ended = after(1), []sluice.Refusal{sluice.Revoked, sluice.FileDeleted, sluice.KeyRevoked}[i%3]
		}
		k := NewKey(LiveLedger, fmt.Sprint("key_", i))
		k.Created = moment()
		e := NewEntry(OtherLedger)
		e.Seq, e.ID, e.Time = int64(i), fmt.Sprint("aud_", i), after(i*12/n)
		e.Action, e.Outcome = []sluice.Action{"a", "b", "c"}[i%3], []sluice.Outcome{sluice.Allowed, sluice.Refused}[i%2]
		if i%3 == 0 {
			e.Actor = sluice.Actor{Type: sluice.ActorKey, ID: "key_1"}
		} else {
			e.File, e.Link = &sluice.FilePart{ID: fmt.Sprint("file_", i%2)},
				&sluice.LinkPart{ID: fmt.Sprint("link_", i%4)}
			e.Key, e.Request = &sluice.KeyPart{ID: fmt.Sprint("key_", i%5)},
				&sluice.Request{ID: fmt.Sprint("req_", i%2)}
		}
		if i%8 == 5 {
			e.Action, e.File, e.Link = sluice.LinkDelivered, nil, nil
			for n := range int64(i % 5) {
				e.Deliveries = append(e.Deliveries, sluice.Delivery{Seq: max(0, e.Seq-1-300*n),
					FileID: fmt.Sprint("file_", n%3), LinkID: fmt.Sprint("link_", n%3)})
			}
		}
		o.files, o.links, o.keys, o.entries = append(o.files, f), append(o.links, l), append(o.keys, k),
			append(o.entries, e)
	}
	return o
}

func (o objects) store(t *testing.T, s service.Store) {
	t.Helper()
	Update(t, s, LiveLedger, func(tx service.Tx) (err error) {
		for i := range o.files {
			err = errors.Join(err, tx.CreateFile(o.files[i], NewEntry(LiveLedger)),
				tx.CreateLink(o.links[i], NewEntry(LiveLedger)), tx.CreateKey(o.keys[i], NewEntry(LiveLedger)))
		}
		return err
	})
	Update(t, s, OtherLedger, func(tx service.Tx) (err error) {
		for _, e := range o.entries {
			err = errors.Join(err, tx.Record(e))
		}
		return err
	})
	Update(t, s, TestLedger, func(tx service.Tx) error { // in no list of the other ledgers
		return errors.Join(
			tx.CreateFile(NewFile(TestLedger, "file_foreign"), NewEntry(TestLedger)),
			tx.CreateKey(NewKey(TestLedger, "key_foreign"), NewEntry(TestLedger)),
			tx.CreateLink(NewLink(TestLedger, "link_foreign", "file_1"), NewEntry(TestLedger)),
		)
	})
}

// testLists compares every list under every filter with one that is filtered and sorted in memory, page by page in
// both directions, and with every object as a cursor, also one that is not in the list.
func testLists(t *testing.T, db Database) {
	s := openStore(t, db)
	o := newObjects(40)
	o.store(t, s)
	for _, c := range fileLists() {
		checkList(t, s, c, o.files, fileID, newerFile)
	}
	for _, c := range linkLists() {
		checkList(t, s, c, o.links, linkID, newerLink)
	}
	for _, c := range keyLists() {
		checkList(t, s, c, o.keys, keyID, newerKey)
	}
	for _, c := range entryLists() {
		checkList(t, s, c, o.entries, entryID, newerEntry)
	}
}

// testIndexedEntries reads lists of a log of which most is indexed. Two processes write it in turn, in groups of all
// sizes, with a clock that goes back now and then.
func testIndexedEntries(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	all := newObjects(1200).entries
	for i := range all {
		if i%7 == 3 {
			all[i].Time = after(0)
		}
	}
	for i, n := 0, 0; i < len(all); n++ {
		size := min([]int{1, 3, 70, 300}[n%4], len(all)-i)
		Update(t, stores[n/3%2], OtherLedger, func(tx service.Tx) (err error) {
			for _, e := range all[i : i+size] {
				err = errors.Join(err, tx.Record(e))
			}
			return err
		})
		i += size
	}
	placed := after(0)
	at := map[string]time.Time{} // as lists order it
	for _, e := range all {
		placed = time.UnixMicro(max(placed.UnixMicro(), e.Time.UnixMicro()))
		at[e.ID] = placed
	}
	largest, cursors := 5, 10
	if db.Far {
		largest, cursors = 60, 2
	}
	for _, c := range entryLists() {
		has := c.has
		c.has = func(e sluice.Entry) bool {
			e.Time = at[e.ID]
			return has(e)
		}
		want := slices.DeleteFunc(slices.SortedFunc(slices.Values(all), newerEntry), func(e sluice.Entry) bool {
			return !c.has(e)
		})
		got := walk(t, stores[0], c, entryID, largest, false, "")
		if !slices.Equal(idsOf(got, entryID), idsOf(want, entryID)) {
			t.Errorf("%s: %d entries %v\nwant %d %v", c.name, len(got), idsOf(got, entryID), len(want),
				idsOf(want, entryID))
		}
		for range cursors {
			from := rand.IntN(len(all))
			younger := slices.DeleteFunc(slices.Clone(want), func(e sluice.Entry) bool { return e.Seq <= int64(from) })
			slices.Reverse(younger)
			if got := walk(t, stores[0], c, entryID, largest, true, all[from].ID); !slices.Equal(idsOf(got, entryID),
				idsOf(younger, entryID)) {
				t.Errorf("%s, before %s: %v\nwant %v", c.name, all[from].ID, idsOf(got, entryID),
					idsOf(younger, entryID))
			}
		}
	}
}

func checkList[T any](t *testing.T, s service.Store, c listed[T], all []T, id func(T) string, newer func(a, b T) int) {
	t.Helper()
	belong := slices.SortedFunc(slices.Values(all), newer)
	belong = slices.DeleteFunc(belong, func(x T) bool { return !c.has(x) })
	check := func(p sluice.Page, want []T, more bool) {
		t.Helper()
		got := Read(t, s, func(r service.Reader) (sluice.List[T], error) { return c.list(r, p) })
		if g, w := idsOf(got.Data, id), idsOf(want, id); !slices.Equal(g, w) || got.More != more {
			t.Errorf("%s, page %+v: %v, more %v\nwant %v, more %v", c.name, p, g, got.More, w, more)
		}
	}
	check(sluice.Page{Limit: sluice.MaxPageSize}, belong, false)
	for _, limit := range []int{1, 7} {
		check(sluice.Page{Limit: limit}, belong[:min(limit, len(belong))], len(belong) > limit)
		check(sluice.Page{Limit: limit, Last: true}, belong[max(0, len(belong)-limit):], len(belong) > limit)
		for i, cursor := range all {
			if limit == 1 && i%8 > 0 {
				continue
			}
			older := slices.DeleteFunc(slices.Clone(belong), func(x T) bool { return newer(x, cursor) <= 0 })
			check(sluice.Page{Limit: limit, After: id(cursor)}, older[:min(limit, len(older))], len(older) > limit)
			younger := slices.DeleteFunc(slices.Clone(belong), func(x T) bool { return newer(x, cursor) >= 0 })
			check(sluice.Page{Limit: limit, Before: id(cursor)}, younger[max(0, len(younger)-limit):],
				len(younger) > limit)
		}
	}
}

func idsOf[T any](list []T, id func(T) string) (ids []string) {
	for _, x := range list {
		ids = append(ids, id(x))
	}
	return ids
}

// walk reads a list page by page, with pages of up to largest, newest first or with up oldest first. It gives the
// objects in that order.
func walk[T any](t *testing.T, s service.Store, c listed[T], id func(T) string, largest int, up bool,
	from string) (all []T) {
	p := sluice.Page{Limit: 1 + rand.IntN(largest), After: from}
	if up {
		p.Before, p.After = p.After, ""
	}
	for {
		var list sluice.List[T]
		err := s.View(Background, func(r service.Reader) (err error) {
			list, err = c.list(r, p)
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			return all
		}
		if up {
			slices.Reverse(list.Data)
		}
		all = append(all, list.Data...)
		if !list.More || len(list.Data) == 0 {
			return all
		}
		last := id(list.Data[len(list.Data)-1])
		if up {
			p.Before = last
		} else {
			p.After = last
		}
	}
}

// testMovingLists reads lists while rows come and go. An object that is there throughout appears once, and the order
// is strict.
func testMovingLists(t *testing.T, db Database) {
	s := openStore(t, db)
	o := newObjects(20)
	o.store(t, s)
	stop := make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond): // so that the lists end
			}
			name := fmt.Sprint("moving_", rand.IntN(1<<30))
			f, l := NewFile(LiveLedger, name), NewLink(LiveLedger, name, "file_1")
			f.Created, f.Purpose, l.Created = after(rand.IntN(12)), "report", after(rand.IntN(12))
			l.Expires = l.Created.Add(time.Duration(rand.IntN(6)+1) * time.Microsecond)
			Update(t, s, LiveLedger, func(tx service.Tx) error {
				return errors.Join(tx.CreateFile(f, NewEntry(LiveLedger)), tx.CreateLink(l, NewEntry(LiveLedger)))
			})
			Update(t, s, LiveLedger, func(tx service.Tx) error {
				l.Revoked, l.Ended = Epoch, sluice.Revoked
				return errors.Join(tx.DeleteFile(name, Epoch, NewEntry(LiveLedger)),
					tx.UpdateLink(l, NewEntry(LiveLedger)))
			})
		}
	})
	for range 3 {
		for _, c := range fileLists() {
			checkWalk(t, s, c, o.files, fileID, newerFile)
		}
		for _, c := range linkLists() {
			checkWalk(t, s, c, o.links, linkID, newerLink)
		}
	}
	close(stop)
	wg.Wait()
}

func checkWalk[T any](t *testing.T, s service.Store, c listed[T], all []T, id func(T) string, newer func(a, b T) int) {
	t.Helper()
	belong := slices.SortedFunc(slices.Values(all), newer)
	oldest := belong[len(belong)-1]
	belong = slices.DeleteFunc(belong, func(x T) bool { return !c.has(x) })
	stays := func(x T) bool { return !strings.HasPrefix(id(x), "moving_") }
	for _, up := range []bool{false, true} {
		want, from := belong, ""
		if up {
			want, from = slices.Clone(belong), id(oldest)
			want = slices.DeleteFunc(want, func(x T) bool { return id(x) == from })
			slices.Reverse(want)
		}
		got := walk(t, s, c, id, 5, up, from)
		for i := 1; i < len(got); i++ {
			if order := newer(got[i-1], got[i]); (order < 0) == up || order == 0 {
				t.Errorf("%s, up %v: %s stands before %s", c.name, up, id(got[i-1]), id(got[i]))
			}
		}
		got = slices.DeleteFunc(got, func(x T) bool { return !stays(x) })
		if g, w := idsOf(got, id), idsOf(want, id); !slices.Equal(g, w) {
			t.Errorf("%s, up %v:\n%v\nwant %v", c.name, up, g, w)
		}
	}
}

func testCursors(t *testing.T, db Database) {
	s := openStore(t, db)
	newObjects(8).store(t, s)
	lists := map[string]func(r service.Reader, p sluice.Page) error{
		"file": func(r service.Reader, p sluice.Page) error {
			_, err := r.Files(LiveLedger, service.FileFilter{}, p)
			return err
		},
		"link": func(r service.Reader, p sluice.Page) error {
			_, err := r.Links(LiveLedger, service.LinkFilter{}, p)
			return err
		},
		"key": func(r service.Reader, p sluice.Page) error { _, err := r.Keys(LiveLedger, p); return err },
		"aud": func(r service.Reader, p sluice.Page) error {
			_, err := r.Entries(OtherLedger, service.EntryFilter{}, p)
			return err
		},
	}
	for prefix, list := range lists {
		for _, test := range []struct {
			page  sluice.Page
			param string
		}{
			{sluice.Page{Limit: 1}, ""},
			{sluice.Page{Limit: sluice.MaxPageSize, After: prefix + "_1"}, ""},
			{sluice.Page{}, "limit"},
			{sluice.Page{Limit: -1}, "limit"},
			{sluice.Page{Limit: sluice.MaxPageSize + 1}, "limit"},
			{sluice.Page{Limit: math.MaxInt}, "limit"},
			{sluice.Page{Limit: 1, After: prefix + "_unknown"}, "starting_after"},
			{sluice.Page{Limit: 1, After: prefix + "_foreign"}, "starting_after"},
			{sluice.Page{Limit: 1, Before: prefix + "_unknown"}, "ending_before"},
			{sluice.Page{Limit: 1, Before: prefix + "_foreign"}, "ending_before"},
			{sluice.Page{Limit: 1, After: prefix + "_1", Before: prefix + "_2"}, "ending_before"},
		} {
			err := s.View(Background, func(r service.Reader) error { return list(r, test.page) })
			var e *sluice.Error
			switch {
			case test.param == "" && err != nil:
				t.Errorf("%s, page %+v: %v", prefix, test.page, err)
			case test.param != "" && (!errors.As(err, &e) || e.Code != sluice.CodeValidation ||
				e.Param != test.param || len(e.Fields) != 1):
				t.Errorf("%s, page %+v: got %v, want %s of %s", prefix, test.page, err, sluice.CodeValidation,
					test.param)
			}
		}
	}
}

// hostile are texts that a store must treat as data.
var hostile = []string{
	`'; DROP TABLE file; --`, `"quoted" \ back\\slash`, `%_?$1:name@p{}`, "line\nbreak\r\ttab\x01\x1f\x7f\u0085\u2028",
	"😂𝒳 4 bytes", "e\u0301 é", "\ufeffbom\ufffd\uffff", "</script>&amp;", " surrounded ",
	strings.Repeat("é", 255),
	"null", "0", "",
}

func testTexts(t *testing.T, db Database) {
	s := openStore(t, db)
	for i, text := range hostile {
		account := sluice.Account{ID: fmt.Sprint("acct_", text), Name: text, Created: Epoch}
		l := sluice.LedgerID{Account: account.ID, Mode: sluice.Test}
		k, f, link := NewKey(l, fmt.Sprint("key_", text)), NewFile(l, fmt.Sprint("file_", text)),
			NewLink(l, fmt.Sprint("link_", text), fmt.Sprint("file_", text))
		k.Name, k.Hash = text, sluice.Digest{byte(i)}
		f.Purpose, f.Filename, f.Title, f.Type = text, text, text, text
		link.KeyID, link.SigningKey, link.Reason = text, text, text
		for j, value := range hostile {
			if f.Metadata == nil {
				f.Metadata = sluice.Metadata{}
			}
			f.Metadata[fmt.Sprint(j, text)] = value
		}
		link.Metadata = sluice.Metadata{"k": text}
		e := NewEntry(l)
		e.ID = fmt.Sprint("aud_", text)
		Update(t, s, l, func(tx service.Tx) error {
			return errors.Join(tx.CreateAccount(account, NewEntry(l)), tx.CreateKey(k, NewEntry(l)),
				tx.CreateFile(f, NewEntry(l)), tx.CreateLink(link, NewEntry(l)), tx.Record(e))
		})
		e.Seq = 4
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Key, error) { return r.Key(l, k.ID) }), k)
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Key, error) { return r.KeyByHash(k.Hash) }), k)
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.File, error) { return r.File(l, f.ID) }), f)
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Entry, error) { return r.Entry(l, e.ID) }), e)
		wantLinks(t, s, link)
		page := sluice.Page{Limit: 10}
		files := Read(t, s, func(r service.Reader) (sluice.List[sluice.File], error) {
			return r.Files(l, service.FileFilter{Purpose: text, IDs: []string{f.ID}}, page)
		})
		links := Read(t, s, func(r service.Reader) (sluice.List[sluice.Link], error) {
			return r.Links(l, service.LinkFilter{FileID: f.ID, IDs: []string{link.ID}}, page)
		})
		WantEqual(t, files.Data, []sluice.File{f})
		WantEqual(t, links.Data, []sluice.Link{link})
	}
	if n := len(Read(t, s, service.Reader.Accounts)); n != len(hostile) {
		t.Errorf("%d accounts, want %d", n, len(hostile))
	}
}

func testMoments(t *testing.T, db Database) {
	s := openStore(t, db)
	east := time.FixedZone("east", 5*3600+1800)
	for i, moment := range []time.Time{
		{}, Epoch, Epoch.In(east), Epoch.Add(999 * time.Nanosecond), time.Unix(0, 0), time.Unix(-1, 1000),
		time.Date(1582, 10, 4, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		want := moment.UTC().Truncate(time.Microsecond)
		f, l, k := NewFile(LiveLedger, fmt.Sprint("file_", i)), NewLink(LiveLedger, fmt.Sprint("link_", i), "file_1"),
			NewKey(LiveLedger, fmt.Sprint("key_", i))
		f.Deleted, l.Expires, l.Revoked, l.Redeemed, k.Expires, k.Revoked = moment, moment, moment, moment, moment,
			moment
		k.MaxLinkLifetime = []time.Duration{0, time.Nanosecond, sluice.Forever}[i%3]
		Update(t, s, LiveLedger, func(tx service.Tx) error {
			return errors.Join(tx.CreateFile(f, NewEntry(LiveLedger)), tx.CreateLink(l, NewEntry(LiveLedger)),
				tx.CreateKey(k, NewEntry(LiveLedger)))
		})
		f.Deleted, l.Expires, l.Revoked, l.Redeemed, k.Expires, k.Revoked = want, want, want, want, want, want
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.File, error) { return r.File(LiveLedger, f.ID) }), f)
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Key, error) { return r.Key(LiveLedger, k.ID) }), k)
		wantLinks(t, s, l)
		got := Read(t, s, func(r service.Reader) (sluice.Link, error) { return r.Link(LiveLedger, l.ID) })
		if got.Expires.Location() != time.UTC || got.Created.Location() != time.UTC {
			t.Errorf("a time came back in %v", got.Expires.Location())
		}
	}
}

// testEntries records entries as the service does, and checks their leaves.
func testEntries(t *testing.T, db Database) {
	s := openStore(t, db)
	var want []sluice.Entry
	for i, text := range hostile {
		e := NewEntry(LiveLedger)
		e.Actor = sluice.Actor{Type: sluice.ActorKey, ID: "key_9", Name: text}
		e.Request = &sluice.Request{ID: fmt.Sprint("req_", i), Method: "GET", Route: "/l/{token}", IP: "203.0.113.7",
			UserAgent: text, ForwardedFor: text, RefererHost: text}
		if i%2 == 0 {
			e.File = &sluice.FilePart{ID: "file_1", Filename: text, Size: 1 << 40, SHA256: "00",
				Metadata: sluice.Metadata{"k": text}}
			e.Link = &sluice.LinkPart{ID: "link_1", Reason: text, Expires: Epoch, Metadata: sluice.Metadata{"k": text}}
			e.Key, e.Outcome, e.Refusal = &sluice.KeyPart{ID: "key_1", Name: text}, sluice.Refused, sluice.Expired
		}
		Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.Record(e) })
		e.Seq = int64(i)
		want = append([]sluice.Entry{e}, want...)
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Entry, error) { return r.Entry(LiveLedger, e.ID) }), e)
	}
	WantEqual(t, Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
		return r.Entries(LiveLedger, service.EntryFilter{}, sluice.Page{Limit: 100})
	}).Data, want)
	rows := Read(t, s, func(r service.Reader) ([]audit.SealedEntry, error) { return r.Leaves(LiveLedger, 0, 100) })
	salts := map[string]bool{}
	for i, row := range rows {
		if !ledger.IsCanonical(row.Leaf) || strings.Contains(string(row.Leaf), "203.0.113.7") {
			t.Errorf("leaf of seq %d: %s", i, row.Leaf)
		}
		var disclosed map[string]struct{ Salt, Value string }
		if err := json.Unmarshal(row.Disclosures, &disclosed); err != nil {
			t.Error(err)
		}
		for _, d := range disclosed {
			if d.Value == "203.0.113.7" {
				salts[d.Salt] = true
			}
		}
	}
	if len(salts) != len(hostile) {
		t.Errorf("%d salts for the same address in %d entries: they are not fresh", len(salts), len(hostile))
	}
}
