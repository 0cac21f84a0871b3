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

// Swept says what a sweep did.
type Swept struct {
	Orphans    int // bytes that no file names, moved to the trash
	Deleted    int // bytes of deleted files, removed
	Unfinished int // what broken uploads left behind, removed
	Emptied    int // orphans removed from the trash for good
}

// Total is the number of all that a sweep moved or removed.
func (s Swept) Total() int { return s.Orphans + s.Deleted + s.Unfinished + s.Emptied }

const (
	// SweepAge is how old bytes without a record are before a running server
	// takes them for orphans, and how long it then waits before it moves them.
	SweepAge = time.Hour

	// TrashAge is how long orphans stay in the trash.
	TrashAge = 7 * 24 * time.Hour

	// A sweep that finds more than maxOrphans orphans, and more than one in
	// orphanShare of what is stored, moves none: the database is more likely to be
	// wrong than the files.
	maxOrphans  = 20
	orphanShare = 20

	sweepPage = 500     // ids that the store is asked about at a time
	sweepMost = 100_000 // ids of each kind that a sweep keeps in memory; the others wait for the next one
)

// orphanSightings are the orphans that the last sweep found, and when a sweep of
// this process saw each first.
type orphanSightings struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// due notes the orphans that a sweep found, and gives those that a sweep had
// found before a moment.
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

// Sweep moves to the trash the bytes that no file names: those that a crash
// left between bytes and record. They must be older than a moment, by their own
// time and by that of their id, and an earlier Sweep of this Service must have
// found them before that moment. A Sweep that finds suspiciously many moves none
// and fails. Before that, Sweep removes the bytes of deleted files whose removal
// failed, and what has been in the trash for TrashAge.
func (s *Service) Sweep(ctx context.Context, before time.Time) (swept Swept, err error) {
	if swept.Unfinished, err = s.blobs.Sweep(ctx, before); err != nil {
		return swept, err
	}
	if swept.Emptied, err = s.blobs.EmptyTrash(ctx, s.now().Add(-TrashAge)); err != nil {
		return swept, err
	}
	f := orphanScan{ctx: ctx, service: s, before: before}
	if err = s.blobs.Walk(ctx, f.look); err == nil {
		err = f.ask()
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

// orphanScan finds the stored bytes that no active file names.
type orphanScan struct {
	ctx     context.Context
	service *Service
	before  time.Time

	stored  int      // all bytes, by number
	orphans int      // those old enough that no file names
	unknown []string // the first sweepMost of the orphans
	deleted []string // the first sweepMost of those that deleted files name
	page    []string
}

// look takes the next key that is stored.
func (n *orphanScan) look(key string, written time.Time) error {
	n.stored++
	if !written.Before(n.before) || !idTime(key).Before(n.before) {
		return nil
	}
	if n.page = append(n.page, key); len(n.page) < sweepPage {
		return nil
	}
	return n.ask()
}

// ask asks the store about the keys of a page.
func (n *orphanScan) ask() error {
	if len(n.page) == 0 {
		return nil
	}
	var known map[string]bool
	err := n.service.store.View(n.ctx, func(r Reader) (err error) {
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

// idTime is when an id was made, zero for one that does not tell.
func idTime(id string) time.Time {
	_, text, _ := strings.Cut(id, "_")
	u, err := ulid.ParseStrict(strings.ToUpper(text))
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(u.Time())
}

// moveToTrash moves orphans to the trash that no ledger knows now. It asks inside
// Updates: a commit that is still on its way to a ledger ends before they begin.
// They write nothing, so a full disk does not stop them.
func (s *Service) moveToTrash(ctx context.Context, ids []string) (moved int, err error) {
	accounts, err := s.Accounts.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, a := range accounts {
		for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
			var known map[string]bool
			err := s.readAfterCommits(Ending(ctx), sluice.LedgerID{Account: a.ID, Mode: m}, func(tx Reader) (err error) {
				known, err = tx.KnownFiles(ids)
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
