// Lists measures every list and every filter that the API has on two data
// folders that bench/fill has filled, a small and a large one, and prints how
// much longer the large one takes. A list is flat when that is 1.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("lists: ")
	small := flag.String("small", "", "data folder with few links")
	large := flag.String("large", "", "data folder with many links")
	rounds := flag.Int("rounds", 3, "rounds; the median of them is printed")
	runs := flag.Int("runs", 100, "measurements of each list in each round")
	only := flag.String("only", "", "measure lists with this text in their name only")
	flag.Parse()
	if err := run(context.Background(), *small, *large, *only, *rounds, *runs); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, small, large, only string, rounds, runs int) error {
	var folders [2]*folder
	for i, dir := range []string{small, large} {
		f, err := open(ctx, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		defer f.store.Close()
		folders[i] = f
	}
	var rows []string
	var worst summary
	for i, q := range folders[0].queries {
		if !strings.Contains(q.name, only) {
			continue
		}
		for _, at := range places {
			a, b, err := measure(ctx, folders, i, at, rounds, runs)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", q.name, at, err)
			}
			alike := worst.add(a, b)
			rows = append(rows, fmt.Sprintf("| %s | %s | %d, %d%s | %s | %s | %.2f | %s | %s | %.2f |", q.name, at,
				a.rows, b.rows, alike, ms(a.p50), ms(b.p50), ratio(b.p50, a.p50), ms(a.p99), ms(b.p99), ratio(b.p99, a.p99)))
		}
	}
	fmt.Println(worst)
	fmt.Println()
	fmt.Println("| list of 100 | page | rows | p50 small | p50 large | ratio | p99 small | p99 large | ratio |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	fmt.Println(strings.Join(rows, "\n"))
	return nil
}

// target is how much longer a list of many may take than one of few.
const target = 1.5

// summary tells of the lists that gave as many rows from both folders.
type summary struct {
	lists, beyond int
	p50, p99      float64 // the worst ratios
}

// add counts a list, and gives a mark when it gave other numbers of rows: then
// the times cannot be compared.
func (s *summary) add(a, b timing) string {
	if min(a.rows, b.rows)*10 < max(a.rows, b.rows)*9 {
		return " *"
	}
	s.lists++
	s.p50, s.p99 = max(s.p50, ratio(b.p50, a.p50)), max(s.p99, ratio(b.p99, a.p99))
	if ratio(b.p99, a.p99) > target {
		s.beyond++
	}
	return ""
}

func (s summary) String() string {
	return fmt.Sprintf("Of %d lists that give as many rows from both, %d have a p99 beyond %.1f times that of the small one; the worst is %.2f, the worst p50 %.2f times.",
		s.lists, s.beyond, target, s.p99, s.p50)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// timing is what a query took.
type timing struct {
	p50, p99 time.Duration
	rows     int
}

// measure runs a query on both folders in turn.
func measure(ctx context.Context, folders [2]*folder, query int, at place, rounds, runs int) (small, large timing, err error) {
	var all [2][]timing
	for range rounds {
		for i, f := range folders {
			t, err := f.time(ctx, f.queries[query], at, runs)
			if err != nil {
				return small, large, err
			}
			all[i] = append(all[i], t)
		}
	}
	return median(all[0]), median(all[1]), nil
}

func median(list []timing) timing {
	at := func(of func(timing) time.Duration) time.Duration {
		slices.SortFunc(list, func(a, b timing) int { return cmp.Compare(of(a), of(b)) })
		return of(list[len(list)/2])
	}
	return timing{
		at(func(t timing) time.Duration { return t.p50 }), at(func(t timing) time.Duration { return t.p99 }), list[0].rows,
	}
}

// place is a page of a list, and the direction it is come to from.
type place string

var places = []place{"first", "first, from below", "middle", "middle, from below", "last", "last, from below"}

// anchors are the cursors of one kind of object that lead to the places.
type anchors struct {
	newest, oldest string   // the hundredth newest, and the hundredth oldest
	bottom         string   // the oldest of all
	middle         []string // some that lie in the middle
}

// page is the page at a place; n chooses one of many in the middle.
func (a anchors) page(at place, n int) sluice.Page {
	p := sluice.Page{Limit: sluice.MaxPageSize}
	middle := a.middle[n%len(a.middle)]
	switch at {
	case "first, from below":
		p.Before = a.newest
	case "middle":
		p.After = middle
	case "middle, from below":
		p.Before = middle
	case "last":
		p.After = a.oldest
	case "last, from below":
		p.Before = a.bottom
	}
	return p
}

// query is a list with a filter, on one of the kinds of objects.
type query struct {
	name string
	kind string
	read func(service.Reader, sluice.Page) (rows int, err error)
}

// folder is an open data folder, with queries that fit what is in it.
type folder struct {
	store   *store.Store
	ledger  sluice.LedgerID
	anchors map[string]anchors
	queries []query
}

// warmUp is how many runs go before those that are measured.
const warmUp = 20

// patience is after how long a slow list is measured often enough, but fewest times.
const (
	patience = 3 * time.Second
	fewest   = 3
)

func (f *folder) time(ctx context.Context, q query, at place, runs int) (t timing, err error) {
	took := make([]time.Duration, 0, runs)
	began := time.Now()
	for i := range warmUp + runs {
		late := time.Since(began) > patience
		if late && len(took) >= fewest {
			break
		}
		page := f.anchors[q.kind].page(at, i)
		start := time.Now()
		err := f.store.View(ctx, func(r service.Reader) (err error) {
			t.rows, err = q.read(r, page)
			return err
		})
		if err != nil {
			return t, err
		}
		if i >= warmUp || late {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	t.p50, t.p99 = took[len(took)/2], took[len(took)*99/100]
	return t, nil
}

func open(ctx context.Context, dir string) (*folder, error) {
	path := filepath.Join(dir, "sluice.db")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	s, err := store.OpenSQLite(path, store.Options{})
	if err != nil {
		return nil, err
	}
	f := &folder{store: s, anchors: map[string]anchors{}}
	err = s.View(ctx, func(r service.Reader) error {
		accounts, err := r.Accounts()
		if err != nil || len(accounts) == 0 {
			return errors.Join(err, errors.New("no account: fill the folder first"))
		}
		f.ledger = sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test}
		return f.prepare(r)
	})
	return f, err
}

// prepare finds the anchors, and a value for each filter.
func (f *folder) prepare(r service.Reader) (err error) {
	for kind, list := range f.kinds(r) {
		if f.anchors[kind], err = findAnchors(list, kind != "entry"); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	if err := f.middleOfLog(r); err != nil {
		return err
	}
	for _, add := range []func(service.Reader) error{f.linkQueries, f.fileQueries, f.entryQueries} {
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
}

// object is what places an object in a list.
type object struct {
	id   string
	made time.Time
}

// lister gives a page of all objects of a kind within a range.
type lister func(sluice.TimeRange, sluice.Page) ([]object, error)

func (f *folder) kinds(r service.Reader) map[string]lister {
	return map[string]lister{
		"link": func(t sluice.TimeRange, p sluice.Page) ([]object, error) {
			l, err := r.Links(f.ledger, service.LinkFilter{Created: t}, p)
			return objects(l, err, func(l sluice.Link) object { return object{l.ID, l.Created} })
		},
		"file": func(t sluice.TimeRange, p sluice.Page) ([]object, error) {
			l, err := r.Files(f.ledger, service.FileFilter{Created: t}, p)
			return objects(l, err, func(f sluice.File) object { return object{f.ID, f.Created} })
		},
		"entry": func(t sluice.TimeRange, p sluice.Page) ([]object, error) {
			l, err := r.Entries(f.ledger, service.EntryFilter{Created: t}, p)
			return objects(l, err, func(e sluice.Entry) object { return object{e.ID, e.Time} })
		},
	}
}

func objects[T any](l sluice.List[T], err error, as func(T) object) (list []object, _ error) {
	for _, item := range l.Data {
		list = append(list, as(item))
	}
	return list, err
}

// span is the time in which bench/fill makes objects, and day a part of it.
const (
	span = 365 * 24 * time.Hour
	day  = 24 * time.Hour
)

func findAnchors(list lister, byTime bool) (a anchors, err error) {
	all := sluice.Page{Limit: sluice.MaxPageSize}
	newest, err := list(sluice.TimeRange{}, all)
	if err != nil || len(newest) == 0 {
		return a, errors.Join(err, errors.New("there are none"))
	}
	a.newest = newest[len(newest)-1].id
	end := newest[0].made

	oldest, err := list(sluice.TimeRange{}, sluice.Page{Limit: sluice.MaxPageSize, Last: true})
	if err != nil || len(oldest) == 0 {
		return a, errors.Join(err, errors.New("there are none"))
	}
	a.oldest, a.bottom = oldest[0].id, oldest[len(oldest)-1].id
	if !byTime {
		return a, nil
	}
	for i := range middles {
		t := end.Add(-span/2 + time.Duration(i-middles/2)*day)
		some, err := list(sluice.TimeRange{LTE: &t}, sluice.Page{Limit: 1})
		if err != nil || len(some) == 0 {
			return a, errors.Join(err, errors.New("nothing lies in the middle"))
		}
		a.middle = append(a.middle, some[0].id)
	}
	return a, nil
}

// middles is how many objects stand for the middle of a list.
const middles = 50

// middleOfLog takes the middle of the entries by their places: bench/fill writes
// the links of a year in any order, and a log is in the order of its writing.
func (f *folder) middleOfLog(r service.Reader) error {
	size, err := r.Size(f.ledger)
	if err != nil {
		return err
	}
	a := f.anchors["entry"]
	a.middle = nil
	for i := range int64(middles) {
		at := size/2 + (i-middles/2)*size/(4*middles)
		leaves, err := r.Leaves(f.ledger, at, 1)
		if err != nil || len(leaves) == 0 {
			return errors.Join(err, fmt.Errorf("entry %d is missing", at))
		}
		e, err := leaves[0].Open(at)
		if err != nil {
			return err
		}
		a.middle = append(a.middle, e.ID)
	}
	f.anchors["entry"] = a
	return nil
}

func (f *folder) add(kind, name string, read func(service.Reader, sluice.Page) (int, error)) {
	f.queries = append(f.queries, query{name, kind, read})
}

// middleOf bounds the middle of the time in which everything was made.
func middleOf(days int) sluice.TimeRange {
	middle := time.Now().Add(-span / 2)
	from, to := middle.Add(-time.Duration(days)*day/2), middle.Add(time.Duration(days)*day/2)
	return sluice.TimeRange{GTE: &from, LT: &to}
}

// sample gives a hundred objects of a kind from the middle of the list.
func sample[T any](list func(sluice.Page) (sluice.List[T], error), a anchors) ([]T, error) {
	l, err := list(sluice.Page{Limit: sluice.MaxPageSize, After: a.middle[0]})
	if err == nil && len(l.Data) == 0 {
		err = errors.New("there is nothing to ask for")
	}
	return l.Data, err
}

func ids[T any](list []T, id func(T) string) (ids []string) {
	for _, item := range list {
		ids = append(ids, id(item))
	}
	return ids
}

func (f *folder) linkQueries(r service.Reader) error {
	some, err := sample(func(p sluice.Page) (sluice.List[sluice.Link], error) {
		return r.Links(f.ledger, service.LinkFilter{}, p)
	}, f.anchors["link"])
	if err != nil {
		return err
	}
	common, single := commonest(ids(some, func(l sluice.Link) string { return l.FileID }))
	yes, no := true, false
	for _, q := range []struct {
		name   string
		filter service.LinkFilter
	}{
		{"", service.LinkFilter{}},
		{"file_id, many", service.LinkFilter{FileID: common}},
		{"file_id, few", service.LinkFilter{FileID: single}},
		{"ids, 100", service.LinkFilter{IDs: ids(some, func(l sluice.Link) string { return l.ID })}},
		{"created, half a year", service.LinkFilter{Created: middleOf(182)}},
		{"expired=true", service.LinkFilter{Expired: &yes}},
		{"expired=false", service.LinkFilter{Expired: &no}},
		{"revoked=true", service.LinkFilter{Revoked: &yes}},
		{"revoked=false", service.LinkFilter{Revoked: &no}},
		{"expires_at, half a year", service.LinkFilter{Expires: middleOf(182)}},
		{"expires_at, a week", service.LinkFilter{Expires: middleOf(7)}},
		{"file_id, many, expired=true", service.LinkFilter{FileID: common, Expired: &yes}},
		{"file_id, many, expired=false", service.LinkFilter{FileID: common, Expired: &no}},
		{"file_id, many, revoked=true", service.LinkFilter{FileID: common, Revoked: &yes}},
		{"expired=true, revoked=true", service.LinkFilter{Expired: &yes, Revoked: &yes}},
		{"expired=false, revoked=true", service.LinkFilter{Expired: &no, Revoked: &yes}},
		{"expired=true, created, half a year", service.LinkFilter{Expired: &yes, Created: middleOf(182)}},
	} {
		f.add("link", "links "+q.name, func(r service.Reader, p sluice.Page) (int, error) {
			q.filter.Now = time.Now()
			l, err := r.Links(f.ledger, q.filter, p)
			return len(l.Data), err
		})
	}
	return nil
}

// commonest gives the text that is there most often, and one of the others.
func commonest(list []string) (common, other string) {
	count := map[string]int{}
	for _, s := range list {
		count[s]++
	}
	for s := range count {
		if count[s] > count[common] {
			common = s
		}
	}
	for _, s := range list {
		if s != common {
			other = s
		}
	}
	return common, other
}

func (f *folder) fileQueries(r service.Reader) error {
	some, err := sample(func(p sluice.Page) (sluice.List[sluice.File], error) {
		return r.Files(f.ledger, service.FileFilter{}, p)
	}, f.anchors["file"])
	if err != nil {
		return err
	}
	i := slices.IndexFunc(some, func(f sluice.File) bool { return f.Title == "" })
	one := some[max(i, 0)]
	small, large, huge, none := int64(1<<15), int64(1<<15+1<<14), int64(1<<29), int64(1<<40)
	for _, q := range []struct {
		name   string
		filter service.FileFilter
	}{
		{"", service.FileFilter{}},
		{"status=deleted", service.FileFilter{Status: service.DeletedFiles}},
		{"purpose", service.FileFilter{Purpose: one.Purpose}},
		{"ids, 100", service.FileFilter{IDs: ids(some, func(f sluice.File) string { return f.ID })}},
		{"created, half a year", service.FileFilter{Created: middleOf(182)}},
		{"filename, many", service.FileFilter{Filename: "invoice.pdf"}},
		{"filename, one", service.FileFilter{Filename: one.Filename}},
		{"title, many", service.FileFilter{Title: "Invoice"}},
		{"type", service.FileFilter{Type: one.Type}},
		{"sha256", service.FileFilter{SHA256: &one.SHA256}},
		{"size, half of all", service.FileFilter{Size: sluice.Range[int64]{GT: &small}}},
		{"size, one in 60", service.FileFilter{Size: sluice.Range[int64]{GTE: &small, LT: &large}}},
		{"size, one in 30", service.FileFilter{Size: sluice.Range[int64]{GTE: &huge}}},
		{"size, none", service.FileFilter{Size: sluice.Range[int64]{GT: &none}}},
		{"linked_resource, many", service.FileFilter{Linked: &sluice.Resource{Type: "tenant", ID: "common"}}},
		{"linked_resource, one", service.FileFilter{Linked: &one.Linked[0]}},
		{"purpose, type", service.FileFilter{Purpose: one.Purpose, Type: one.Type}},
	} {
		f.add("file", "files "+q.name, func(r service.Reader, p sluice.Page) (int, error) {
			l, err := r.Files(f.ledger, q.filter, p)
			return len(l.Data), err
		})
	}
	return nil
}

func (f *folder) entryQueries(r service.Reader) error {
	some, err := sample(func(p sluice.Page) (sluice.List[sluice.Entry], error) {
		return r.Entries(f.ledger, service.EntryFilter{Action: sluice.LinkCreated}, p)
	}, f.anchors["entry"])
	if err != nil {
		return err
	}
	one := some[0]
	common, single := commonest(ids(some, func(e sluice.Entry) string { return e.File.ID }))
	for _, q := range []struct {
		name   string
		filter service.EntryFilter
	}{
		{"", service.EntryFilter{}},
		{"file_id, many", service.EntryFilter{FileID: common}},
		{"file_id, few", service.EntryFilter{FileID: single}},
		{"link_id", service.EntryFilter{LinkID: one.Link.ID}},
		{"key_id", service.EntryFilter{KeyID: one.KeyID()}},
		{"action, most", service.EntryFilter{Action: sluice.LinkCreated}},
		{"action, few", service.EntryFilter{Action: sluice.FileCreated}},
		{"action, none", service.EntryFilter{Action: sluice.FileHeld}},
		{"outcome=allowed", service.EntryFilter{Outcome: sluice.Allowed}},
		{"outcome=refused", service.EntryFilter{Outcome: sluice.Refused}},
		{"created, half a year", service.EntryFilter{Created: middleOf(182)}},
		{"ids, 100", service.EntryFilter{IDs: ids(some, func(e sluice.Entry) string { return e.ID })}},
		{"request_id", service.EntryFilter{RequestID: one.Request.ID}},
		{"key_id, outcome=refused", service.EntryFilter{KeyID: one.KeyID(), Outcome: sluice.Refused}},
		{"file_id, many, action few", service.EntryFilter{FileID: common, Action: sluice.LinkEnded}},
	} {
		f.add("entry", "audit_entries "+q.name, func(r service.Reader, p sluice.Page) (int, error) {
			l, err := r.Entries(f.ledger, q.filter, p)
			return len(l.Data), err
		})
	}
	for i := range f.queries {
		f.queries[i].name = strings.TrimSpace(f.queries[i].name)
	}
	return nil
}
