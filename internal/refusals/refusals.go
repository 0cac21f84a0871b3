// Package refusals counts what is refused, so that nobody can make the log grow without bound: the first refusal of
// an object for a reason is written at once, then one a minute with the number of those since.
package refusals

import (
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// every is how often the refusals of one object for one reason are
// written to the log at most. Those between are counted.
const every = time.Minute

// maxCounts and maxLedgerCounts are how many objects and reasons are counted at
// once, in all and of one ledger. Those of a ledger beyond are counted together,
// by their reason: its log grows no faster, and other ledgers are not concerned.
const (
	maxCounts       = 8192
	maxLedgerCounts = 1024
)

// maxText is how much an entry of a refusal keeps of each text that the
// client chose, in bytes.
const maxText = 256

// Counts are the refusals of one process. The zero value is ready. It is safe for concurrent use.
type Counts struct {
	mu      sync.Mutex
	objects map[Object]map[sluice.Refusal]*history
	ledgers map[sluice.LedgerID]int // counts of each, but for those of the rest
	size    int                     // of all ledgers
	swept   time.Time
}

// Object is a link that was refused, or a key.
type Object struct {
	Ledger sluice.LedgerID
	ID     string
}

// Caller is who was refused, and what they asked.
type Caller struct {
	Actor   sluice.Actor
	Request sluice.Request
}

// history is what is known of one object and reason.
type history struct {
	wrote   time.Time // when an entry was made last
	by      *Attempt  // makes an entry now
	repeats int64     // refusals since that entry
	last    Caller    // of the newest of these
}

// Attempt is one request that may be refused. It is made by Counts.Attempt.
type Attempt struct {
	of     *Counts
	count  *history // nil when the request is not refused, or not counted
	writes bool     // whether an entry is made of it; else it is counted only
	taken  int64    // refusals that the entry tells of besides
}

// Attempt begins to count one request.
func (r *Counts) Attempt() *Attempt { return &Attempt{of: r} }

// Recent reports whether an object was refused within the last minute. Of one that
// is not counted by itself it may say so for another.
func (r *Counts) Recent(o Object) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.objects[o]) > 0 || len(r.objects[rest(o)]) > 0
}

// rest stands for the objects of a ledger that are not counted by themselves.
func rest(o Object) Object { return Object{Ledger: o.Ledger} }

// find gives what is known of an object and reason, nil for nothing. The caller
// holds the lock.
func (r *Counts) find(o Object, reason sluice.Refusal) *history {
	if h := r.objects[o][reason]; h != nil || !r.full(o.Ledger) {
		return h
	}
	return r.objects[rest(o)][reason]
}

func (r *Counts) full(l sluice.LedgerID) bool {
	return r.size >= maxCounts || r.ledgers[l] >= maxLedgerCounts
}

// add begins to count an object and reason, or the rest of its ledger.
func (r *Counts) add(o Object, reason sluice.Refusal) *history {
	if r.full(o.Ledger) {
		o = rest(o)
	}
	if r.objects == nil {
		r.objects, r.ledgers = map[Object]map[sluice.Refusal]*history{}, map[sluice.LedgerID]int{}
	}
	if r.objects[o] == nil {
		r.objects[o] = map[sluice.Refusal]*history{}
	}
	h := &history{}
	r.objects[o][reason] = h
	if o.ID != "" {
		r.ledgers[o.Ledger]++
		r.size++
	}
	return h
}

// within reports whether a refusal now is to be counted only. A clock that was
// set back makes an entry rather than none.
func (c *history) within(now time.Time) bool {
	since := now.Sub(c.wrote)
	return since >= 0 && since < every
}

// Repeated reports whether a refusal is one to be counted only, and then counts it.
func (r *Counts) Repeated(o Object, reason sluice.Refusal, c Caller, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.find(o, reason)
	if count == nil || count.by != nil || !count.within(now) {
		return false
	}
	count.add(c)
	return true
}

func (c *history) add(by Caller) {
	c.repeats++
	by.Request = Kept(by.Request)
	c.last = by
}

// Kept clips what is kept of a refused request, and shares no memory with it.
func Kept(r sluice.Request) sluice.Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = strings.Clone(audit.Clip(*s, maxText))
	}
	return r
}

// Begin decides, inside an Update, whether an entry is to be made of a refusal,
// and gives the number of those that it tells of besides.
func (f *Attempt) Begin(o Object, reason sluice.Refusal, now time.Time) (repeats int64, write bool) {
	r := f.of
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full(o.Ledger) {
		r.sweep(now)
	}
	count := r.find(o, reason)
	switch {
	case count == nil:
		count = r.add(o, reason)
	case count.by != nil || count.within(now):
		f.count = count
		return 0, false
	}
	count.by, f.count, f.writes, f.taken = f, count, true, count.repeats
	return f.taken, true
}

// Again takes back what Begin has decided: an Update runs its function again.
func (f *Attempt) Again() {
	if f.count == nil {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.letGo()
}

func (f *Attempt) letGo() {
	if f.writes {
		f.count.by = nil
	}
	f.count, f.writes, f.taken = nil, false, 0
}

// End says what became of the Update.
func (f *Attempt) End(c Caller, now time.Time, err error) {
	if f.count == nil {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	switch {
	case err != nil:
	case f.writes:
		f.count.wrote = now
		f.count.repeats -= f.taken
	default:
		f.count.add(c)
	}
	f.letGo()
}

// sweep forgets what was not refused for a minute, once a second at most. The
// caller holds the lock.
func (r *Counts) sweep(now time.Time) {
	if since := now.Sub(r.swept); since >= 0 && since < time.Second {
		return
	}
	r.swept = now
	for o, counts := range r.objects {
		for reason, count := range counts {
			if count.by == nil && count.repeats == 0 && !count.within(now) {
				delete(counts, reason)
				r.forget(o)
			}
		}
		if len(counts) == 0 {
			delete(r.objects, o)
		}
	}
}

func (r *Counts) forget(o Object) {
	if o.ID == "" {
		return
	}
	r.size--
	if r.ledgers[o.Ledger]--; r.ledgers[o.Ledger] == 0 {
		delete(r.ledgers, o.Ledger)
	}
}

// Tally is a number of refusals without an entry.
type Tally struct {
	Ledger  sluice.LedgerID
	Reason  sluice.Refusal
	Caller  Caller // of the newest; its actor is the link or key that was refused
	Refused int64
}

// Take gives the counts whose minute is over, or all, of the ledgers that have
// room for an entry. They count from zero then.
func (r *Counts) Take(now time.Time, all bool, room func(sluice.LedgerID) bool) (tallies []Tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	for o, counts := range r.objects {
		for reason, count := range counts {
			if count.repeats == 0 || count.by != nil || count.within(now) && !all || !room(o.Ledger) {
				continue
			}
			tallies = append(tallies, Tally{o.Ledger, reason, count.last, count.repeats})
			count.repeats, count.wrote = 0, now
		}
	}
	return tallies
}
