package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"sluice"
)

// Sweep removes bytes that no file needs. An orphan, bytes without a record, goes to the trash first.
type Sweep struct {
	*core
	blobs    Blobs
	accounts *Accounts
	orphans  orphanSightings
}

// Swept counts what a sweep did.
type Swept struct {
	Orphans    int // orphans moved to the trash
	Deleted    int // removed bytes of deleted files
	Unfinished int // removed leftovers of uploads that broke off
	Emptied    int // orphans removed from the trash for good
}

// Total is the number of everything that a sweep moved or removed.
func (s Swept) Total() int { return s.Orphans + s.Deleted + s.Unfinished + s.Emptied }

const (
	// SweepAge is how old bytes without a record must be for a running server to consider them orphans, and how long it
	// then waits before it moves them to the trash.
	SweepAge = time.Hour

	// TrashAge is how long orphans stay in the trash.
	TrashAge = 7 * 24 * time.Hour

	// A sweep that finds more than maxOrphans orphans, and more than one orphan in orphanShare stored files, moves
	// none: the database is more likely to be wrong than the files.
	maxOrphans  = 20
	orphanShare = 20

	sweepPage = 500     // ids in one query
	sweepMost = 100_000 // ids of each kind that a sweep keeps in memory; the next sweep finds the others
)

// orphanSightings are the orphans that the last sweep found, and when a sweep of this process first saw each of them.
type orphanSightings struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// due notes the orphans that a sweep found, and returns those that were first seen before a moment.
func (s *orphanSightings) due(found []string, now, before time.Time) (due []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[string]time.Time, len(found))
	for _, id := range found {
		first, ok := s.seen[id]
		if !ok {
			first = now
		}
		seen[id] = first
		if ok && first.Before(before) {
			due = append(due, id)
		}
	}
	s.seen = seen
	return due
}

// Run moves orphans to the trash: bytes that a crash left without a record. Both the bytes and their id must be older
// than a moment, and an earlier Run of this process must have found them before that moment. A Run that finds
// suspiciously many orphans moves none and fails. Before that, Run removes the bytes of deleted files whose removal
// failed, leftovers of broken uploads, and what has been in the trash for TrashAge.
func (s *Sweep) Run(ctx context.Context, before time.Time) (swept Swept, err error) {
	if swept.Unfinished, err = s.blobs.Sweep(ctx, before); err != nil {
		return swept, err
	}
	if swept.Emptied, err = s.blobs.EmptyTrash(ctx, s.now().Add(-TrashAge)); err != nil {
		return swept, err
	}
	f := orphanScan{ctx: ctx, store: s.store, before: before}
	if err = s.blobs.Walk(ctx, f.add); err == nil {
		err = f.lookUp()
	}
	if err != nil {
		return swept, err
	}
	for _, id := range f.deleted {
		if err := s.blobs.Remove(ctx, id); err != nil {
			return swept, err
		}
		swept.Deleted++
	}
	due := s.orphans.due(f.unknown, s.now(), before)
	if f.orphans > maxOrphans && f.orphans*orphanShare > f.stored {
		return swept, fmt.Errorf("%d of %d stored files are unknown to the database, such as %s: nothing was moved, "+
			"since the database may be an old or a wrong one", f.orphans, f.stored, f.unknown[0])
	}
	for page := range slices.Chunk(due, sweepPage) {
		moved, err := s.moveToTrash(ctx, page)
		swept.Orphans += moved
		if err != nil {
			return swept, err
		}
	}
	return swept, nil
}

// orphanScan finds stored bytes that belong to no active file.
type orphanScan struct {
	ctx    context.Context
	store  Store
	before time.Time

	stored  int      // number of keys that are stored
	orphans int      // number of orphans that are old enough
	unknown []string // the first sweepMost of these orphans
	deleted []string // the first sweepMost keys of deleted files
	page    []string
}

// add adds a stored key to the page, and asks about the page when it is full.
func (n *orphanScan) add(key string, written time.Time) error {
	n.stored++
	if !written.Before(n.before) || !idTime(key).Before(n.before) {
		return nil
	}
	if n.page = append(n.page, key); len(n.page) < sweepPage {
		return nil
	}
	return n.lookUp()
}

// lookUp looks up the keys of the page in the store.
func (n *orphanScan) lookUp() error {
	if len(n.page) == 0 {
		return nil
	}
	var known map[string]bool
	err := n.store.View(n.ctx, func(r Reader) (err error) {
		known, err = r.KnownFiles(n.page)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range n.page {
		switch active, ok := known[id]; {
		case ok && !active && len(n.deleted) < sweepMost:
			n.deleted = append(n.deleted, id)
		case !ok:
			n.orphans++
			if len(n.unknown) < sweepMost {
				n.unknown = append(n.unknown, id)
			}
		}
	}
	n.page = n.page[:0]
	return nil
}

// idTime is when an id was made, or zero if the id has no time.
func idTime(id string) time.Time {
	_, text, _ := strings.Cut(id, "_")
	u, err := ulid.ParseStrict(strings.ToUpper(text))
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(u.Time())
}

// moveToTrash moves orphans to the trash, except those that a ledger knows by now. It asks each ledger after all
// commits that are under way.
func (s *Sweep) moveToTrash(ctx context.Context, ids []string) (moved int, err error) {
	accounts, err := s.accounts.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, a := range accounts {
		for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
			var known map[string]bool
			ledger := sluice.LedgerID{Account: a.ID, Mode: m}
			err := s.readAfterCommits(Ending(ctx), ledger, func(r Reader) (err error) {
				known, err = r.KnownFiles(ids)
				return err
			})
			if err != nil {
				return 0, err
			}
			ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := known[id]; return ok })
		}
	}
	for _, id := range ids {
		if err := s.blobs.Discard(ctx, id); err != nil {
			return moved, err
		}
		s.log.Info("moved a file without a record to the trash", "file", id)
		moved++
	}
	return moved, nil
}
