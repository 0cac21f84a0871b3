//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice"
	"sluice/internal/service"
)

// memory is a Store that redeems one link in memory. Everything else is the Store's below it.
type memory struct {
	service.Store
	mu      sync.Mutex
	link    sluice.Link
	file    sluice.File
	key     sluice.Key
	size    int64
	seals   bool         // entries are sealed
	updates chan *update // of the goroutine that runs them in groups; nil: callers run them
	journal *os.File     // gets what a group has sealed; nil: nothing does
	at      int64        // where the next group goes
	group   []byte       // what it has sealed
}

func newMemory(rung string, below service.Store, l sluice.Link, journal string) (*memory, error) {
	m := &memory{Store: below, link: l, seals: rung != "decide"}
	err := below.View(context.Background(), func(r service.Reader) (err error) {
		if m.file, err = r.File(l.Ledger, l.FileID); err == nil {
			m.key, err = r.Key(l.Ledger, l.KeyID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch rung {
	case "decide", "seal":
		return m, nil
	case "group":
	case "journal":
		if m.journal, err = os.Create(journal); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("there is no rung %q", rung)
	}
	m.updates = make(chan *update, 4096)
	go m.run()
	return m, nil
}

// update is an Update that waits for its group.
type update struct {
	fn   func(service.Tx) error
	done chan struct{}
	err  error
}

func (m *memory) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	if m.updates == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		return fn(&memoryTx{memory: m})
	}
	u := &update{fn: fn, done: make(chan struct{})}
	m.updates <- u
	select {
	case <-u.done:
		return u.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run runs all updates that wait, up to 256, as a group, and answers them.
func (m *memory) run() {
	for first := range m.updates {
		group := []*update{first}
		for len(group) < 256 && len(m.updates) > 0 {
			group = append(group, <-m.updates)
		}
		for _, u := range group {
			u.err = u.fn(&memoryTx{memory: m})
		}
		err := m.write()
		for _, u := range group {
			if u.err == nil {
				u.err = err
			}
			close(u.done)
		}
	}
}

// journalSize is where the journal begins anew. Bytes that were written before take no change of the file's size or
// blocks, as in the WAL of SQLite.
const journalSize = 16 << 20

// write writes what a group has sealed with one call, and syncs it.
func (m *memory) write() error {
	if m.journal == nil {
		m.group = m.group[:0]
		return nil
	}
	if m.at+int64(len(m.group)) > journalSize {
		m.at = 0
	}
	n, err := m.journal.WriteAt(m.group, m.at)
	m.at += int64(n)
	m.group = m.group[:0]
	if err != nil {
		return err
	}
	return syscall.Fdatasync(int(m.journal.Fd()))
}

// memoryTx is the part of a Tx that the download of an ordinary link uses.
type memoryTx struct {
	service.Tx
	*memory
}

func (t *memoryTx) Link(sluice.LedgerID, string) (sluice.Link, error) { return t.link, nil }
func (t *memoryTx) File(sluice.LedgerID, string) (sluice.File, error) { return t.file, nil }
func (t *memoryTx) Key(sluice.LedgerID, string) (sluice.Key, error)   { return t.key, nil }
func (t *memoryTx) Size(sluice.LedgerID) (int64, error)               { return t.size, nil }

func (t *memoryTx) Record(e sluice.Entry) error {
	e.Seq = t.size
	t.size++
	if t.seals {
		t.group = appendSealed(t.group, e)
		if t.updates == nil {
			t.group = t.group[:0]
		}
	}
	return nil
}

func (t *memoryTx) Redeemed(_ string, now time.Time, e sluice.Entry) error {
	t.link.Downloads++
	t.link.Redeemed = now
	return t.Record(e)
}

func (t *memoryTx) Delivered(_ []string, e sluice.Entry) error { return t.Record(e) }
