// Lists measures every list and filter of the API on two data folders filled by
// bench/fill, a small and a large one. It prints the ratio of their times. A
// ratio of 1 means that the time does not depend on the number of objects.
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
	rounds := flag.Int("rounds", 3, "rounds; prints their median")
	runs := flag.Int("runs", 100, "measurements of each list per round")
	only := flag.String("only", "", "measure only lists whose name contains this text")
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

// target is the largest acceptable ratio.
const target = 1.5

// summary covers the lists that returned the same number of rows from both
// folders.
type summary struct {
	lists, beyond int
	p50, p99      float64 // worst ratios
}

// add counts a list. It returns a mark if the numbers of rows differ, because
// the times are then not comparable.
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
	return fmt.Sprintf("Of %d lists with equal numbers of rows, %d have a p99 above %.1f times that of the small folder; "+
		"the worst p99 ratio is %.2f, the worst p50 ratio %.2f.",
		s.lists, s.beyond, target, s.p99, s.p50)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// timing holds the measurements of a query.
type timing struct {
	p50, p99 time.Duration
	rows     int
}

// measure runs a query on both folders alternately.
func measure(
	ctx context.Context, folders [2]*folder, query int, at place, rounds, runs int,
) (small, large timing, err error) {
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

// place is the position of a page in a list and the direction of its cursor.
type place string

var places = []place{"first", "first, from below", "middle", "middle, from below", "last", "last, from below"}

// anchors holds the cursors of the places for one kind of object.
type anchors struct {
	newest, oldest string   // the hundredth newest, and the hundredth oldest
	bottom         string   // the oldest
	middle         []string // several from the middle
}

// page returns the page at a place. n selects one of the pages in the middle.
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

// query is a list with a filter.
type query struct {
	name string
	kind string
	read func(service.Reader, sluice.Page) (rows int, err error)
}

// folder is an open data folder with the queries for its data.
type folder struct {
	store   *store.Store
	ledger  sluice.LedgerID
	anchors map[string]anchors
	queries []query
}

// warmUp is the number of unmeasured runs before the measured ones.
const warmUp = 20

// patience is the time after which a slow list needs only fewest measurements.
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

// prepare finds the cursors and a value for each filter.
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

// object is the position of an object in a list.
type object struct {
	id   string
	made time.Time
}

// lister returns a page of all objects of a kind within a range.
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

// span is the period in which bench/fill creates objects; day is a part of it.
const (
	span = 365 * 24 * time.Hour
	day  = 24 * time.Hour
)

func findAnchors(list lister, byTime bool) (a anchors, err error) {
	all := sluice.Page{Limit: sluice.MaxPageSize}
	newest, err := list(sluice.TimeRange{}, all)
	if err != nil || len(newest) == 0 {
		return a, errors.Join(err, errors.New("no objects"))
	}
	a.newest = newest[len(newest)-1].id
	end := newest[0].made

	oldest, err := list(sluice.TimeRange{}, sluice.Page{Limit: sluice.MaxPageSize, Last: true})
	if err != nil || len(oldest) == 0 {
		return a, errors.Join(err, errors.New("no objects"))
	}
	a.oldest, a.bottom = oldest[0].id, oldest[len(oldest)-1].id
	if !byTime {
		return a, nil
	}
	for i := range middles {
		t := end.Add(-span/2 + time.Duration(i-middles/2)*day)
		some, err := list(sluice.TimeRange{LTE: &t}, sluice.Page{Limit: 1})
		if err != nil || len(some) == 0 {
			return a, errors.Join(err, errors.New("no objects in the middle"))
		}
		a.middle = append(a.middle, some[0].id)
	}
	return a, nil
}

// middles is the number of objects that represent the middle of a list.
const middles = 50

// middleOfLog finds the middle of the entries by position: bench/fill writes
// the links of a year in random order, and a log is in the order of writing.
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

// middleOf returns a range around the middle of the period.
func middleOf(days int) sluice.TimeRange {
	middle := time.Now().Add(-span / 2)
	from, to := middle.Add(-time.Duration(days)*day/2), middle.Add(time.Duration(days)*day/2)
	return sluice.TimeRange{GTE: &from, LT: &to}
}

// sample returns a hundred objects of a kind from the middle of the list.
func sample[T any](list func(sluice.Page) (sluice.List[T], error), a anchors) ([]T, error) {
	l, err := list(sluice.Page{Limit: sluice.MaxPageSize, After: a.middle[0]})
	if err == nil && len(l.Data) == 0 {
		err = errors.New("no objects to query")
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

// commonest returns the most frequent text and one of the others.
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
