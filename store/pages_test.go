package store

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
)

func TestPagesSQLite(t *testing.T) {
	testPages(t, func(t *testing.T) sluice.Store {
		s := openNativeSQLite(t)
		s.(*Store).few, s.(*Store).glance = crowdFew, crowdGlance
		return s
	})
}

// testPages reads every list under every filter and every pair of filters, page
// by page and in both directions, while objects come, change and go. What was
// there throughout stands in its place exactly once, and nothing is there that
// does not belong. The Stores that open gives have crowdFew and crowdGlance.
func testPages(t *testing.T, open func(*testing.T) sluice.Store) {
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, open(t))
		files := c.addFiles(crowdSize)
		walkAll(c, fileOptions(files), files, pages[sluice.FileFilter, sluice.File]{
			read: func(r sluice.Reader, f sluice.FileFilter, p sluice.Page) (sluice.List[sluice.File], error) {
				return r.Files(nativeLedger, f, p)
			},
			place:  func(f sluice.File) (time.Time, string) { return f.Created, f.ID },
			remove: c.deleteFile,
			oldest: c.oldestFile(),
		})
	})
	t.Run("links", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, open(t))
		links := c.addLinks(crowdSize)
		walkAll(c, linkOptions(links), links, pages[sluice.LinkFilter, sluice.Link]{
			read: func(r sluice.Reader, f sluice.LinkFilter, p sluice.Page) (sluice.List[sluice.Link], error) {
				return r.Links(nativeLedger, f, p)
			},
			place:  func(l sluice.Link) (time.Time, string) { return l.Created, l.ID },
			remove: c.hideLink,
			oldest: c.oldestLink(),
		})
	})
	t.Run("entries", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, open(t))
		oldest := nativeEntry()
		oldest.Time = at(-24 * time.Hour)
		c.change(func(tx sluice.Tx) error { return tx.Record(oldest) })
		entries := c.addEntries(crowdSize)
		walkAll(c, entryOptions(entries), entries, pages[sluice.EntryFilter, sluice.Entry]{
			read: func(r sluice.Reader, f sluice.EntryFilter, p sluice.Page) (sluice.List[sluice.Entry], error) {
				return r.Entries(nativeLedger, f, p)
			},
			place:  func(e sluice.Entry) (time.Time, string) { return e.Time, fmt.Sprintf("%020d", e.Seq) },
			oldest: oldest.ID,
		})
	})
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		c := newCrowd(t, open(t))
		keys := c.addKeys(crowdSize)
		oldest := nativeKey("key_oldest", 3)
		oldest.Created = at(-24 * time.Hour)
		c.change(func(tx sluice.Tx) error { return tx.CreateKey(oldest, nativeEntry()) })
		walkAll(c, keyOptions(), keys, pages[struct{}, sluice.Key]{
			read: func(r sluice.Reader, _ struct{}, p sluice.Page) (sluice.List[sluice.Key], error) {
				return r.Keys(nativeLedger, p)
			},
			place:  func(k sluice.Key) (time.Time, string) { return k.Created, k.ID },
			remove: c.revokeKey,
			oldest: oldest.ID,
		})
	})
}

// option is one way to use a filter: how to ask, and what meets it.
type option[F, T any] struct {
	filter string // options of one filter exclude each other
	name   string
	ask    func(*F)
	meets  func(T) bool
}

// combination is a filter made of options, and what meets all of them.
type combination[F, T any] struct {
	name    string
	filter  F
	options []option[F, T]
}

// combinations gives no option, each by itself, and each with each. An option
// without a way to ask holds where none of its filter is asked for.
func combinations[F, T any](options []option[F, T]) (all []combination[F, T]) {
	add := func(chosen ...option[F, T]) {
		var c combination[F, T]
		for _, o := range options {
			same := func(other option[F, T]) bool { return other.filter == o.filter }
			if o.ask == nil && !slices.ContainsFunc(chosen, same) {
				c.options = append(c.options, o)
			}
		}
		for _, o := range chosen {
			o.ask(&c.filter)
			c.name += " " + o.filter + "=" + o.name
		}
		c.options = append(c.options, chosen...)
		all = append(all, c)
	}
	add()
	for i, a := range options {
		if a.ask == nil {
			continue
		}
		add(a)
		for _, b := range options[i+1:] {
			if b.ask != nil && b.filter != a.filter {
				add(a, b)
			}
		}
	}
	return all
}

func (c combination[F, T]) meets(v T) bool {
	return !slices.ContainsFunc(c.options, func(o option[F, T]) bool { return !o.meets(v) })
}

// pages is how one kind of list is read.
type pages[F, T any] struct {
	read   func(sluice.Reader, F, sluice.Page) (sluice.List[T], error)
	place  func(T) (at time.Time, tie string) // lists are in the order of these, the greatest first
	remove func(T)                            // ends what came meanwhile; nil where nothing can be
	oldest string                             // the id of what stands below all others
}

func (p pages[F, T]) compare(a, b T) int {
	atA, tieA := p.place(a)
	atB, tieB := p.place(b)
	return cmp.Or(atB.Compare(atA), strings.Compare(tieB, tieA))
}

// walkAll walks every combination of options, up and down.
func walkAll[F, T any](c *crowd, options []option[F, T], lasting []T, p pages[F, T]) {
	stir := c.stir()
	defer stir.stop()
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		c.passBy(r)
	}
	slices.SortFunc(lasting, p.compare)
	met := map[string]int{}
	for i, combination := range combinations(options) {
		var want []T
		for _, v := range lasting {
			if combination.meets(v) {
				want = append(want, v)
			}
		}
		for _, o := range combination.options {
			met[o.filter+"="+o.name] += len(want)
		}
		for _, up := range []bool{false, true} {
			got := walkPages(c, stir, combination, p, 11+i%30, up)
			compareWalk(c, combination.name, p, got, want)
		}
		if c.Failed() {
			return
		}
	}
	for name, n := range met {
		if n == 0 {
			c.Errorf("nothing meets %s", name)
		}
	}
	if p.remove != nil && stir.removed == 0 {
		c.Error("no cursor was removed")
	}
}

// walkPages reads a list page by page, and holds each page to its contract.
func walkPages[F, T any](c *crowd, stir *stirring, f combination[F, T], p pages[F, T], limit int, up bool) (all []T) {
	page := sluice.Page{Limit: limit}
	if up {
		page.Before = p.oldest
	}
	for {
		var list sluice.List[T]
		c.look(func(r sluice.Reader) (err error) {
			list, err = p.read(r, f.filter, page)
			return err
		})
		stir.step()
		switch {
		case c.Failed():
			return all
		case len(list.Data) > limit, list.More && len(list.Data) < limit:
			c.Fatalf("%s: %d of %d in a page, more %v", f.name, len(list.Data), limit, list.More)
		}
		for _, v := range list.Data {
			if !f.meets(v) {
				c.Errorf("%s: %+v does not belong", f.name, v)
			}
		}
		if up {
			all = append(slices.Clone(list.Data), all...)
		} else {
			all = append(all, list.Data...)
		}
		if !list.More {
			return all
		}
		next := list.Data[len(list.Data)-1]
		if up {
			next = list.Data[0]
		}
		page.After, page.Before = idOf(next), ""
		if up {
			page.After, page.Before = "", page.After
		}
		if p.remove != nil && strings.Contains(idOf(next), "passing") {
			p.remove(next)
			stir.removed++
		}
	}
}

func idOf(v any) string {
	switch v := v.(type) {
	case sluice.File:
		return v.ID
	case sluice.Link:
		return v.ID
	case sluice.Key:
		return v.ID
	default:
		return v.(sluice.Entry).ID
	}
}

// compareWalk wants what was read to be in order, without a repetition, and to
// hold all that lasted and no more of it.
func compareWalk[F, T any](c *crowd, name string, p pages[F, T], got, want []T) {
	c.Helper()
	for i := 1; i < len(got); i++ {
		if p.compare(got[i-1], got[i]) >= 0 {
			c.Fatalf("%s: %s stands before %s", name, idOf(got[i-1]), idOf(got[i]))
		}
	}
	var gotIDs, wantIDs []string
	for _, v := range got {
		if strings.Contains(idOf(v), "lasting") {
			gotIDs = append(gotIDs, idOf(v))
		}
	}
	for _, v := range want {
		wantIDs = append(wantIDs, idOf(v))
	}
	if !slices.Equal(gotIDs, wantIDs) {
		c.Errorf("%s: read %d, want %d\n got %v\nwant %v", name, len(gotIDs), len(wantIDs), gotIDs, wantIDs)
	}
}

// What most of a crowd has in common is more than a glance takes in, and what
// few have is few.
const (
	crowdSize   = 200
	crowdGlance = 120
	crowdFew    = 30
)

// crowd is objects that last, and objects that come and go among them.
type crowd struct {
	*native
	files, links, keys passers
}

func newCrowd(t *testing.T, s sluice.Store) *crowd {
	return &crowd{native: &native{T: t, Store: s}}
}

// trait gives the i-th of a crowd a trait: most have one, few another.
func trait(i, salt int) string {
	switch n := rand.New(rand.NewPCG(uint64(i), uint64(salt))).IntN(100); {
	case n < 5:
		return "rare"
	case n < 90:
		return "common"
	}
	return "other"
}

// crowdMoment is when the i-th came: several come at once.
func crowdMoment(i int) time.Time { return at(time.Duration(i/4) * 80 * time.Second) }

// crowdID gives ids that are not in the order of coming.
func crowdID(kind string, i int) string {
	return fmt.Sprintf("%s_lasting_%06d", kind, i*7919%1_000_003)
}

func crowdEntry(i int) sluice.Entry {
	e := nativeEntry()
	e.Time = crowdMoment(i)
	return e
}

func crowdFile(i int, id string) sluice.File {
	f := sluice.File{
		ID: id, Ledger: nativeLedger, Purpose: trait(i, 1), Filename: trait(i, 2), Title: trait(i, 3), Size: 2000 + int64(i%7),
		SHA256: sluice.Digest{trait(i, 4)[0]}, Created: crowdMoment(i), Updated: crowdMoment(i), Linked: crowdResources(i),
	}
	switch trait(i, 6) {
	case "common":
		f.Type = "application/pdf"
	case "rare":
		f.Type = "text/plain"
	default:
		f.Type = "text/plain; charset=utf-8"
	}
	switch trait(i, 7) {
	case "rare":
		f.Size = 5_000_000 + int64(i)
	case "other":
		f.Size = int64(i % 3)
	}
	if trait(i, 8) == "other" {
		f.Deleted, f.Updated = at(48*time.Hour), at(48*time.Hour)
	}
	return f
}

func crowdResources(i int) []sluice.Resource {
	return []sluice.Resource{{Type: "order", ID: trait(i, 5)}, {Type: "tenant", ID: trait(i, 9)}}
}

func (c *crowd) addFiles(count int) (files []sluice.File) {
	c.change(func(tx sluice.Tx) error {
		for i := range count {
			files = append(files, crowdFile(i, crowdID("file", i)))
			if err := tx.CreateFile(files[i], crowdEntry(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return files
}

func (c *crowd) oldestFile() string {
	f := nativeFile("file_oldest")
	f.Created, f.Deleted = at(-24*time.Hour), at(0)
	c.change(func(tx sluice.Tx) error { return tx.CreateFile(f, nativeEntry()) })
	return f.ID
}

func (c *crowd) deleteFile(f sluice.File) {
	err := c.try(func(tx sluice.Tx) error { return tx.DeleteFile(f.ID, at(time.Hour), nativeEntry()) })
	if err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
		c.Error(err)
	}
}

func crowdLink(i int, id string) sluice.Link {
	l := sluice.Link{
		ID: id, Ledger: nativeLedger, FileID: "file_" + trait(i, 1), KeyID: "key_1", SigningKey: "0a0b0c0d", Created: crowdMoment(i), Updated: crowdMoment(i),
	}
	switch n := i % 20; {
	case n < 12:
		l.Expires = l.Created.Add(30 * time.Minute)
	case n < 15:
		l.Expires = l.Created.Add(10 * time.Minute)
	case n < 17:
		l.Expires = l.Created.Add(24 * time.Hour)
	case n < 19:
		l.Expires = l.Created.Add(time.Duration(i*7919%7200_000) * time.Millisecond)
	}
	switch trait(i, 2) {
	case "other":
		l.Revoked, l.Ended = at(time.Hour), sluice.KeyRevoked
	case "rare":
		l.Revoked, l.Ended = at(time.Hour), sluice.Revoked
	}
	return l
}

func (c *crowd) addLinks(count int) (links []sluice.Link) {
	c.change(func(tx sluice.Tx) error {
		for i := range count {
			links = append(links, crowdLink(i, crowdID("link", i)))
			if err := tx.CreateLink(links[i], crowdEntry(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return links
}

func (c *crowd) oldestLink() string {
	l := nativeLink("link_oldest", time.Hour)
	l.Created, l.Revoked, l.Ended = at(-24*time.Hour), at(0), sluice.Revoked
	c.change(func(tx sluice.Tx) error { return tx.CreateLink(l, nativeEntry()) })
	return l.ID
}

func (c *crowd) hideLink(l sluice.Link) {
	err := c.updateLink(l.ID, func(l *sluice.Link) { l.Revoked, l.Ended = at(time.Hour), sluice.Revoked })
	if err != nil {
		c.Error(err)
	}
}

func (c *crowd) addEntries(count int) (entries []sluice.Entry) {
	first := c.entries()
	c.change(func(tx sluice.Tx) error {
		for i := range count {
			e := crowdEntry((i*37)%count + first) // times are not in the order of seq
			e.ID, e.Seq = crowdID("aud", i+first), int64(first+i)
			e.Action = sluice.Action(trait(i, 1))
			if trait(i, 2) == "other" {
				e.Outcome = sluice.Refused
			}
			e.File = &sluice.FilePart{ID: "file_" + trait(i, 3)}
			e.Link = &sluice.LinkPart{ID: "link_" + trait(i, 4)}
			e.Key = &sluice.KeyPart{ID: "key_" + trait(i, 5)}
			e.Request = &sluice.Request{ID: "req_" + trait(i, 6)}
			entries = append(entries, e)
			if err := tx.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
	return entries
}

func (c *crowd) addKeys(count int) (keys []sluice.Key) {
	c.change(func(tx sluice.Tx) error {
		for i := range count {
			k := nativeKey(crowdID("key", i), 0)
			k.Hash = sluice.Digest{1, byte(i), byte(i >> 8)}
			k.Created = crowdMoment(i)
			keys = append(keys, k)
			if err := tx.CreateKey(k, nativeEntry()); err != nil {
				return err
			}
		}
		return nil
	})
	return keys
}

func (c *crowd) revokeKey(k sluice.Key) {
	err := c.try(func(tx sluice.Tx) error { return tx.RevokeKey(k.ID, at(time.Hour), nativeEntry()) })
	if err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
		c.Error(err)
	}
}

// stirring is goroutines that change the passing part of a crowd, by one change
// for every page that is read.
type stirring struct {
	removed int
	changes chan struct{}
	wg      sync.WaitGroup
}

func (c *crowd) stir() *stirring {
	s := &stirring{changes: make(chan struct{}, 8)}
	for i := range 3 {
		r := rand.New(rand.NewPCG(uint64(i), 99))
		s.wg.Go(func() {
			for range s.changes {
				c.passBy(r)
			}
		})
	}
	return s
}

func (s *stirring) step() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

func (s *stirring) stop() {
	close(s.changes)
	s.wg.Wait()
}

// passBy makes one change.
func (c *crowd) passBy(r *rand.Rand) {
	i := r.IntN(crowdSize)
	var err error
	switch r.IntN(8) {
	case 0, 1:
		f := crowdFile(i, c.files.add("file"))
		f.Deleted = time.Time{}
		err = c.try(func(tx sluice.Tx) error { return tx.CreateFile(f, crowdEntry(i)) })
	case 2, 3:
		k, l := nativeKey(c.keys.add("key"), 2), crowdLink(i, c.links.add("link"))
		copy(k.Hash[1:], k.ID)
		k.Created, l.KeyID = crowdMoment(i), k.ID
		err = c.try(func(tx sluice.Tx) error {
			return errors.Join(tx.CreateKey(k, crowdEntry(i)), tx.CreateLink(l, crowdEntry(i)))
		})
	case 4:
		c.deleteFile(sluice.File{ID: c.files.take(r)})
	case 5:
		c.revokeKey(sluice.Key{ID: c.keys.take(r)})
	case 6:
		err = c.updateFile(c.files.any(r), i)
	case 7:
		err = c.updateLink(c.links.any(r), func(l *sluice.Link) { l.Expires = l.Created.Add(time.Duration(r.IntN(7200)) * time.Second) })
	}
	if err != nil {
		c.Error(err)
	}
}

func (c *crowd) updateFile(id string, i int) error {
	return c.try(func(tx sluice.Tx) error {
		f, err := tx.File(nativeLedger, id)
		if err != nil {
			return ignoreMissing(err)
		}
		f.Filename, f.Title, f.Linked = trait(i, 2), trait(i, 3), crowdResources(i)
		return tx.UpdateFile(f, crowdEntry(i))
	})
}

func (c *crowd) updateLink(id string, change func(*sluice.Link)) error {
	return c.try(func(tx sluice.Tx) error {
		l, err := tx.Link(nativeLedger, id)
		if err != nil {
			return ignoreMissing(err)
		}
		change(&l)
		return tx.UpdateLink(l, crowdEntry(0))
	})
}

// ignoreMissing is for what may not have come yet, or be gone.
func ignoreMissing(err error) error {
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil
	}
	return err
}

// passers are the ids of objects that came and may be changed.
type passers struct {
	mu    sync.Mutex
	count int
	ids   []string
}

func (p *passers) add(kind string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	id := fmt.Sprintf("%s_passing_%06d", kind, p.count*7919%1_000_003)
	p.ids = append(p.ids, id)
	return id
}

func (p *passers) any(r *rand.Rand) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ids) == 0 {
		return "none"
	}
	return p.ids[r.IntN(len(p.ids))]
}

func (p *passers) take(r *rand.Rand) string {
	id := p.any(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = slices.DeleteFunc(p.ids, func(other string) bool { return other == id })
	return id
}

// The options of every filter of the contract.

func createdOptions[F, T any](set func(*F, sluice.TimeRange), created func(T) time.Time) []option[F, T] {
	from, to := crowdMoment(crowdSize/3), crowdMoment(crowdSize/2)
	return []option[F, T]{
		{"created", "gte lt", func(f *F) { set(f, sluice.TimeRange{GTE: &from, LT: &to}) }, func(v T) bool { return !created(v).Before(from) && created(v).Before(to) }},
		{"created", "gt", func(f *F) { set(f, sluice.TimeRange{GT: &from}) }, func(v T) bool { return created(v).After(from) }},
		{"created", "lte", func(f *F) { set(f, sluice.TimeRange{LTE: &to}) }, func(v T) bool { return !created(v).After(to) }},
	}
}

// idsOption asks for some of a crowd, one of them twice, and one that is not there.
func idsOption[F, T any](lasting []T, set func(*F, []string)) option[F, T] {
	ids := []string{"unknown"}
	for i := 5; i < len(lasting); i += 3 {
		ids = append(ids, idOf(lasting[i]))
	}
	ids = append(ids, ids[len(ids)-1])
	return option[F, T]{"ids", "some", func(f *F) { set(f, ids) }, func(v T) bool { return slices.Contains(ids, idOf(v)) }}
}

// keyOptions asks for nothing, a few times.
func keyOptions() (options []option[struct{}, sluice.Key]) {
	for i := range 30 {
		options = append(options, option[struct{}, sluice.Key]{"again", fmt.Sprint(i), func(*struct{}) {}, func(sluice.Key) bool { return true }})
	}
	return options
}

func fileOptions(files []sluice.File) []option[sluice.FileFilter, sluice.File] {
	type of = option[sluice.FileFilter, sluice.File]
	options := []of{
		{"status", "", nil, sluice.File.Active},
		{"status", "deleted", func(f *sluice.FileFilter) { f.Status = sluice.DeletedFiles }, func(f sluice.File) bool { return !f.Active() }},
		{"type", "application/pdf", func(f *sluice.FileFilter) { f.Type = "application/pdf" }, func(f sluice.File) bool { return f.Type == "application/pdf" }},
		{"type", "text/plain", func(f *sluice.FileFilter) { f.Type = "text/plain" }, func(f sluice.File) bool { return strings.HasPrefix(f.Type, "text/plain") }},
		{"type", "with a parameter", func(f *sluice.FileFilter) { f.Type = "text/plain;charset=utf-8" }, func(f sluice.File) bool { return f.Type == "text/plain; charset=utf-8" }},
		idsOption(files, func(f *sluice.FileFilter, ids []string) { f.IDs = ids }),
	}
	for _, v := range []string{"common", "rare"} {
		sum, linked := sluice.Digest{v[0]}, sluice.Resource{Type: "order", ID: v}
		options = append(options,
			of{"purpose", v, func(f *sluice.FileFilter) { f.Purpose = v }, func(f sluice.File) bool { return f.Purpose == v }},
			of{"filename", v, func(f *sluice.FileFilter) { f.Filename = v }, func(f sluice.File) bool { return f.Filename == v }},
			of{"title", v, func(f *sluice.FileFilter) { f.Title = v }, func(f sluice.File) bool { return f.Title == v }},
			of{"sha256", v, func(f *sluice.FileFilter) { f.SHA256 = &sum }, func(f sluice.File) bool { return f.SHA256 == sum }},
			of{"linked", v, func(f *sluice.FileFilter) { f.Linked = &linked }, func(f sluice.File) bool { return slices.Contains(f.Linked, linked) }},
		)
	}
	size := func(name string, r sluice.Range[int64], meets func(int64) bool) {
		options = append(options, of{"size", name, func(f *sluice.FileFilter) { f.Size = r }, func(f sluice.File) bool { return meets(f.Size) }})
	}
	low, high, big := int64(2001), int64(2004), int64(1_000_000)
	size("gte lte", sluice.Range[int64]{GTE: &low, LTE: &high}, func(n int64) bool { return n >= low && n <= high })
	size("gt", sluice.Range[int64]{GT: &big}, func(n int64) bool { return n > big })
	size("lt", sluice.Range[int64]{LT: &high}, func(n int64) bool { return n < high })
	return append(options, createdOptions(
		func(f *sluice.FileFilter, r sluice.TimeRange) { f.Created = r }, func(f sluice.File) time.Time { return f.Created })...)
}

func linkOptions(links []sluice.Link) []option[sluice.LinkFilter, sluice.Link] {
	type of = option[sluice.LinkFilter, sluice.Link]
	now := at(50 * time.Minute)
	options := []of{
		{"hidden", "", nil, func(l sluice.Link) bool { return l.Ended != sluice.Revoked }},
		idsOption(links, func(f *sluice.LinkFilter, ids []string) { f.IDs = ids }),
	}
	for _, v := range []string{"common", "rare"} {
		options = append(options, of{"file_id", v, func(f *sluice.LinkFilter) { f.FileID = "file_" + v }, func(l sluice.Link) bool { return l.FileID == "file_"+v }})
	}
	for _, v := range []bool{true, false} {
		options = append(options,
			of{"expired", fmt.Sprint(v), func(f *sluice.LinkFilter) { f.Expired, f.Now = &v, now }, func(l sluice.Link) bool { return l.Expired(now) == v }},
			of{"revoked", fmt.Sprint(v), func(f *sluice.LinkFilter) { f.Revoked = &v }, func(l sluice.Link) bool { return !l.Revoked.IsZero() == v }},
		)
	}
	expires := func(name string, r sluice.TimeRange, meets func(time.Time) bool) {
		options = append(options, of{"expires", name, func(f *sluice.LinkFilter) { f.Expires = r }, func(l sluice.Link) bool { return !l.Expires.IsZero() && meets(l.Expires) }})
	}
	from, to, late := at(40*time.Minute), at(70*time.Minute), at(20*time.Hour)
	expires("gt lte", sluice.TimeRange{GT: &from, LTE: &to}, func(t time.Time) bool { return t.After(from) && !t.After(to) })
	expires("gte", sluice.TimeRange{GTE: &late}, func(t time.Time) bool { return !t.Before(late) })
	expires("lt", sluice.TimeRange{LT: &to}, func(t time.Time) bool { return t.Before(to) })
	return append(options, createdOptions(
		func(f *sluice.LinkFilter, r sluice.TimeRange) { f.Created = r }, func(l sluice.Link) time.Time { return l.Created })...)
}

func entryOptions(entries []sluice.Entry) []option[sluice.EntryFilter, sluice.Entry] {
	type of = option[sluice.EntryFilter, sluice.Entry]
	options := []of{idsOption(entries, func(f *sluice.EntryFilter, ids []string) { f.IDs = ids })}
	for _, v := range []string{"common", "rare"} {
		options = append(options,
			of{"file_id", v, func(f *sluice.EntryFilter) { f.FileID = "file_" + v }, func(e sluice.Entry) bool { return e.File != nil && e.File.ID == "file_"+v }},
			of{"link_id", v, func(f *sluice.EntryFilter) { f.LinkID = "link_" + v }, func(e sluice.Entry) bool { return e.Link != nil && e.Link.ID == "link_"+v }},
			of{"key_id", v, func(f *sluice.EntryFilter) { f.KeyID = "key_" + v }, func(e sluice.Entry) bool { return e.KeyID() == "key_"+v }},
			of{"action", v, func(f *sluice.EntryFilter) { f.Action = sluice.Action(v) }, func(e sluice.Entry) bool { return string(e.Action) == v }},
			of{"request_id", v, func(f *sluice.EntryFilter) { f.RequestID = "req_" + v }, func(e sluice.Entry) bool { return e.Request != nil && e.Request.ID == "req_"+v }},
		)
	}
	for _, v := range []sluice.Outcome{sluice.Allowed, sluice.Refused} {
		options = append(options, of{"outcome", string(v), func(f *sluice.EntryFilter) { f.Outcome = v }, func(e sluice.Entry) bool { return e.Outcome == v }})
	}
	return append(options, createdOptions(
		func(f *sluice.EntryFilter, r sluice.TimeRange) { f.Created = r }, func(e sluice.Entry) time.Time { return e.Time })...)
}
