package service

import (
	"context"
	"sync"
	"time"

	"sluice"
)

// watchEvery is how often the sizes of the logs that someone watches are read: once for a log and process, however many
// watch it. The entries may come from other processes.
const watchEvery = time.Second

// maxCounted limits how many new entries are read to count those that tell something.
const maxCounted = 1000

// News is how far a log has grown.
type News struct {
	Size int64 // entries of the log
	// New are the entries since the beginning of the watch, without those that only record how downloads ended: their
	// downloads tell it.
	New int64
}

// watched is a log that someone watches. counted grows by what News.New counts.
type watched struct {
	size, counted int64
	grown         chan struct{} // closed when the log has grown
	watches       int
}

// watches are the logs that someone watches. The zero value is ready to use.
type watches struct {
	mu   sync.Mutex
	logs map[sluice.LedgerID]*watched
	stop context.CancelFunc // of the goroutine that reads the sizes, which runs while there are logs
}

// Watch is someone who waits for news of a log. It is used by one goroutine.
type Watch struct {
	entries *Entries
	caller  Caller
	log     *watched
	before  int64 // entries that were new when the watch began
	begun   int64 // log.counted then
	told    int64 // log.size that the last Next returned
	closed  bool
}

// Watch begins to watch the log of the caller, who knows its first entries, as many as known. The caller must close the
// watch. It needs audit:read.
func (s *Entries) Watch(ctx context.Context, c Caller, known int64) (*Watch, error) {
	w := &Watch{entries: s, caller: c, told: known}
	var size, before int64
	err := s.read(ctx, c, sluice.AuditRead, func(r Reader) (err error) {
		if size, err = r.Size(c.Ledger); err == nil {
			before, err = s.count(r, c.Ledger, max(0, known), size)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	w.log = s.watches.logs[c.Ledger]
	if w.log == nil {
		w.log = &watched{size: size, grown: make(chan struct{})}
		s.begin(c.Ledger, w.log)
	}
	// The log may have been read a moment before or after this snapshot: those between are counted once too often or
	// not at all. It is a number for people.
	w.log.watches++
	w.before, w.begun = before, w.log.counted
	return w, nil
}

// begin adds a log, and starts the goroutine that reads the sizes with the first.
func (s *Entries) begin(l sluice.LedgerID, log *watched) {
	if s.watches.logs == nil {
		s.watches.logs = map[sluice.LedgerID]*watched{}
	}
	s.watches.logs[l] = log
	if s.watches.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		s.watches.stop = stop
		go s.follow(ctx)
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	all := &w.entries.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	if w.log.watches--; w.log.watches > 0 {
		return
	}
	delete(all.logs, w.caller.Ledger)
	if len(all.logs) == 0 {
		all.stop()
		all.stop = nil
	}
}

// Next waits until the log has grown since the last Next, and returns how far. It fails when the caller may not read
// the log any more, such as after the end of the session: every entry is a reason to ask, and the end of a session or
// key is one. When ctx ends it asks too, and returns the error of ctx.
func (w *Watch) Next(ctx context.Context) (News, error) {
	for {
		news, grown := w.news()
		if news.Size > w.told {
			w.told = news.Size
			return news, w.Check(context.WithoutCancel(ctx))
		}
		select {
		case <-grown:
		case <-ctx.Done():
			if err := w.Check(context.WithoutCancel(ctx)); err != nil {
				return News{}, err
			}
			return News{}, ctx.Err()
		}
	}
}

func (w *Watch) news() (News, <-chan struct{}) {
	all := &w.entries.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	return News{Size: w.log.size, New: w.before + w.log.counted - w.begun}, w.log.grown
}

// Check fails if the caller may not read the log any more.
func (w *Watch) Check(ctx context.Context) error {
	s, c := w.entries, w.caller
	err := s.store.View(ctx, func(r Reader) error { return s.recheck(r, &c) })
	if err == nil && !c.Grants(sluice.AuditRead) {
		err = missingScope(c, sluice.AuditRead)
	}
	return err
}

// follow reads the sizes of the logs that someone watches, until ctx ends.
func (s *Entries) follow(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("the logs that people watch cannot be read", "error", err)
		}
		failing = err != nil
	}
}

// look reads the sizes of the logs that someone watches once.
func (s *Entries) look(ctx context.Context) error {
	known := map[sluice.LedgerID]int64{}
	s.watches.mu.Lock()
	for l, log := range s.watches.logs {
		known[l] = log.size
	}
	s.watches.mu.Unlock()
	grown := map[sluice.LedgerID]News{}
	err := s.store.View(ctx, func(r Reader) error {
		clear(grown)
		for l, from := range known {
			size, err := r.Size(l)
			if err != nil {
				return err
			}
			if size <= from {
				continue
			}
			n, err := s.count(r, l, from, size)
			if err != nil {
				return err
			}
			grown[l] = News{size, n}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	for l, news := range grown {
		if log := s.watches.logs[l]; log != nil && log.size == known[l] {
			log.size, log.counted = news.Size, log.counted+news.New
			close(log.grown)
			log.grown = make(chan struct{})
		}
	}
	return nil
}

// count counts entries for News.New. Beyond maxCounted it counts all.
func (s *Entries) count(r Reader, l sluice.LedgerID, from, size int64) (n int64, err error) {
	if size-from > maxCounted {
		return size - from, nil
	}
	for at := from; at < size; {
		leaves, err := r.Leaves(l, at, int(size-at))
		if err != nil || len(leaves) == 0 {
			return n, err
		}
		for _, e := range leaves {
			if t, _ := e.IndexTerms(); t.Action != sluice.LinkDelivered {
				n++
			}
		}
		at += int64(len(leaves))
	}
	return n, nil
}
