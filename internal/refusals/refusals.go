// Package refusals limits how fast refused requests make the log grow. The first refusal of an object for a reason is
// written to the log at once. After that, one entry a minute is written, with the number of the refusals since.
package refusals

import (
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// every is the shortest time between two entries for the refusals of one object
// for one reason. The refusals in between are counted.
const every = time.Minute

// maxCounts and maxLedgerCounts limit the number of counts, that is of pairs of
// object and reason, in total and per ledger. Beyond the limit, the refusals of a
// ledger are counted by reason only, so its log grows no faster. Other ledgers are
// not affected.
const (
	maxCounts       = 8192
	maxLedgerCounts = 1024
)

// maxText is the maximum length of each text in a refusal entry that the client
// chose, in characters.
const maxText = 256

// Counts counts the refusals of one process. The zero value is ready to use. It is safe for concurrent use.
type Counts struct {
	mu      sync.Mutex
	objects map[Object]map[sluice.Refusal]*history
	ledgers map[sluice.LedgerID]int // number of counts per ledger, without those of the rest
	size    int                     // number of counts of all ledgers
	swept   time.Time
}

// Object is a refused link or key.
type Object struct {
	Ledger sluice.LedgerID
	ID     string
}

// Caller is the actor that was refused, with its request.
type Caller struct {
	Actor   sluice.Actor
	Request sluice.Request
}

// history is the count of one object and reason.
type history struct {
	wrote   time.Time // time of the last entry
	by      *Attempt  // the attempt that is writing an entry now, or nil
	repeats int64     // refusals since that entry
	last    Caller    // the caller of the newest of them
}

// Attempt is one request that may be refused. Counts.Attempt returns one.
type Attempt struct {
	of     *Counts
	count  *history // nil if the request is not refused or not counted
	writes bool     // whether it writes an entry; otherwise it is only counted
	taken  int64    // earlier refusals that the entry includes
}

// Attempt returns an Attempt for one request.
func (r *Counts) Attempt() *Attempt { return &Attempt{of: r} }

// Recent reports whether an object may have been refused within the last minute.
// For an object without a count of its own, the refusal may be that of another.
func (r *Counts) Recent(o Object) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.objects[o]) > 0 || len(r.objects[rest(o)]) > 0
}

// rest stands for the objects of a ledger that have no count of their own.
func rest(o Object) Object { return Object{Ledger: o.Ledger} }

// find returns the count of an object and reason, or nil. The caller holds the
// lock.
func (r *Counts) find(o Object, reason sluice.Refusal) *history {
	if h := r.objects[o][reason]; h != nil || !r.full(o.Ledger) {
		return h
	}
	return r.objects[rest(o)][reason]
}

func (r *Counts) full(l sluice.LedgerID) bool {
	return r.size >= maxCounts || r.ledgers[l] >= maxLedgerCounts
}

// add adds a count of an object and reason, or of the rest of its ledger.
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

// within reports whether a refusal at now is within a minute of the last entry and
// thus only counted. If the clock was set back, it is not.
func (c *history) within(now time.Time) bool {
	since := now.Sub(c.wrote)
	return since >= 0 && since < every
}

// Repeated counts a refusal if it needs no entry, and reports whether it did.
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

// Kept shortens the texts of a refused request for its entry. The copy shares no
// memory with them.
func Kept(r sluice.Request) sluice.Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = strings.Clone(audit.Clip(*s, maxText))
	}
	return r
}

// Begin decides, inside an Update, whether a refusal needs an entry. It returns the
// number of earlier refusals that the entry includes.
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

// Again undoes Begin. Updates call it first, because they may run their function
// more than once.
func (f *Attempt) Again() {
	if f.count == nil {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.reset()
}

func (f *Attempt) reset() {
	if f.writes {
		f.count.by = nil
	}
	f.count, f.writes, f.taken = nil, false, 0
}

// End reports the result of the Update.
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
	f.reset()
}

// sweep removes counts without a refusal in the last minute, at most once a
// second. The caller holds the lock.
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

// Tally is a number of counted refusals that have no entry yet.
type Tally struct {
	Ledger  sluice.LedgerID
	Reason  sluice.Refusal
	Caller  Caller // of the newest refusal; its actor is the refused link or key
	Refused int64
}

// Take returns the tallies of counts whose minute is over, or of all counts if
// all is set, for the ledgers that are writable. It resets those counts to zero.
func (r *Counts) Take(now time.Time, all bool, writable func(sluice.LedgerID) bool) (tallies []Tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	for o, counts := range r.objects {
		for reason, count := range counts {
			if count.repeats == 0 || count.by != nil || count.within(now) && !all || !writable(o.Ledger) {
				continue
			}
			tallies = append(tallies, Tally{o.Ledger, reason, count.last, count.repeats})
			count.repeats, count.wrote = 0, now
		}
	}
	return tallies
}
