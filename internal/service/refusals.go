package service

import (
	"context"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// refusalEvery is how often the refusals of one object for one reason are
// written to the log at most. Those between are counted.
const refusalEvery = time.Minute

// maxRefusals is how many objects and reasons are counted at once. Beyond it
// each refusal is written: whoever gets there holds as many links.
const maxRefusals = 8192

// maxRefusalText is how much an entry of a refusal keeps of each text that the
// client chose, in bytes.
const maxRefusalText = 256

// refusals count what is refused, so that nobody can make the log grow without
// bound: the first refusal of an object for a reason is written at once, then
// one a minute with the number of those since. They are of this process. The
// zero value is ready.
type refusals struct {
	mu      sync.Mutex
	objects map[refusedObject]map[sluice.Refusal]*refusalCount
	size    int // counts in all
	swept   time.Time
}

// refusedObject is a link that was refused, or a key.
type refusedObject struct {
	ledger sluice.LedgerID
	id     string
}

// refusalCount is what is known of one object and reason.
type refusalCount struct {
	wrote   time.Time // when an entry was made last
	by      *refusing // makes an entry now
	repeats int64     // refusals since that entry
	last    Caller    // of the newest of these
}

// refusing is one request that is refused.
type refusing struct {
	of     *refusals
	count  *refusalCount // nil when the request is not refused, or not counted
	writes bool          // whether an entry is made of it; else it is counted only
	taken  int64         // refusals that the entry tells of besides
}

// recent reports whether an object was refused within the last minute.
func (r *refusals) recent(o refusedObject) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.objects[o]) > 0
}

// within reports whether a refusal now is to be counted only. A clock that was
// set back makes an entry rather than none.
func (c *refusalCount) within(now time.Time) bool {
	since := now.Sub(c.wrote)
	return since >= 0 && since < refusalEvery
}

// repeated reports whether a refusal is one to be counted only, and then counts it.
func (r *refusals) repeated(o refusedObject, reason sluice.Refusal, c Caller, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.objects[o][reason]
	if count == nil || count.by != nil || !count.within(now) {
		return false
	}
	count.add(c)
	return true
}

func (c *refusalCount) add(by Caller) {
	c.repeats++
	by.Request, by.Key, by.Once = kept(by.Request), sluice.Key{}, nil
	c.last = by
}

// kept clips what is kept of a refused request, and shares no memory with it.
func kept(r sluice.Request) sluice.Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = strings.Clone(audit.Clip(*s, maxRefusalText))
	}
	return r
}

// begin decides, inside an Update, whether an entry is to be made of a refusal,
// and gives the number of those that it tells of besides.
func (f *refusing) begin(o refusedObject, reason sluice.Refusal, now time.Time) (repeats int64, write bool) {
	r := f.of
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.objects[o][reason]
	switch {
	case count == nil:
		if r.size >= maxRefusals {
			r.sweep(now)
		}
		if r.size >= maxRefusals {
			return 0, true
		}
		count = &refusalCount{}
		if r.objects == nil {
			r.objects = map[refusedObject]map[sluice.Refusal]*refusalCount{}
		}
		if r.objects[o] == nil {
			r.objects[o] = map[sluice.Refusal]*refusalCount{}
		}
		r.objects[o][reason] = count
		r.size++
	case count.by != nil || count.within(now):
		f.count = count
		return 0, false
	}
	count.by, f.count, f.writes, f.taken = f, count, true, count.repeats
	return f.taken, true
}

// again takes back what begin has decided: an Update runs its function again.
func (f *refusing) again() {
	if f.count == nil {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.letGo()
}

func (f *refusing) letGo() {
	if f.writes {
		f.count.by = nil
	}
	f.count, f.writes, f.taken = nil, false, 0
}

// end says what became of the Update.
func (f *refusing) end(c Caller, now time.Time, err error) {
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
func (r *refusals) sweep(now time.Time) {
	if since := now.Sub(r.swept); since >= 0 && since < time.Second {
		return
	}
	r.swept = now
	for o, counts := range r.objects {
		for reason, count := range counts {
			if count.by == nil && count.repeats == 0 && !count.within(now) {
				delete(counts, reason)
				r.size--
			}
		}
		if len(counts) == 0 {
			delete(r.objects, o)
		}
	}
}

// refusalTally is a number of refusals without an entry.
type refusalTally struct {
	object  refusedObject
	reason  sluice.Refusal
	caller  Caller // of the newest
	refused int64
}

// take gives the counts whose minute is over, or all, of the ledgers that have
// room for an entry. They count from zero then.
func (r *refusals) take(now time.Time, all bool, room func(sluice.LedgerID) bool) (tallies []refusalTally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	for o, counts := range r.objects {
		for reason, count := range counts {
			if count.repeats == 0 || count.by != nil || count.within(now) && !all || !room(o.ledger) {
				continue
			}
			tallies = append(tallies, refusalTally{o, reason, count.last, count.repeats})
			count.repeats, count.wrote = 0, now
		}
	}
	return tallies
}

// WriteRefusals writes to the log what was refused since the entries before,
// where a minute has passed since. Those entries are committed soon, like those
// of Delivered.
func (s *Service) WriteRefusals() { s.writeRefusals(false) }

func (s *Service) writeRefusals(all bool) {
	room := func(l sluice.LedgerID) bool { return s.delivered.full(l) == nil }
	for _, t := range s.refusals.take(s.Now(), all, room) {
		s.recordLate(t.object.ledger, lateEntry{id: s.ids.New(sluice.PrefixEntry, s.Now()), record: func(tx Tx, id string, now time.Time) error {
			return s.recordTally(tx, id, t, now)
		}}, all)
	}
}

// recordTally records refusals that have no entry yet: the newest of them, and
// how many there were besides.
func (s *Service) recordTally(tx Tx, id string, t refusalTally, now time.Time) error {
	e := s.entry(t.caller, sluice.AccessDenied, now)
	if t.caller.Actor.Type == sluice.ActorBearer {
		g := Grant{bearer: t.caller}
		if _, err := g.load(tx, t.object.ledger, t.object.id); err != nil {
			return err
		}
		e = s.linkEntry(t.caller, sluice.LinkRefused, now, g.File, g.Link)
		e.Key = g.key
	}
	e.ID, e.Outcome, e.Refusal, e.Repeats = id, sluice.Refused, t.reason, t.refused-1
	return tx.Record(e)
}

// deny refuses a caller who lacks a scope, and records it.
func (s *Service) deny(ctx context.Context, c Caller, scope sluice.Scope) error {
	object, reason := refusedObject{c.Ledger, c.Key.ID}, lacks(scope)
	if s.refusals.repeated(object, reason, c, s.Now()) {
		return nil
	}
	f := refusing{of: &s.refusals}
	err := s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		f.again()
		return s.recordDenial(tx, &f, c, scope, s.Now())
	})
	f.end(c, s.Now(), err)
	return err
}

// recordDenial records that a caller lacks a scope, unless it is only counted.
func (s *Service) recordDenial(tx Tx, f *refusing, c Caller, scope sluice.Scope, now time.Time) error {
	repeats, write := f.begin(refusedObject{c.Ledger, c.Key.ID}, lacks(scope), now)
	if !write {
		return nil
	}
	e := s.denial(c, scope, now)
	e.Repeats = repeats
	return tx.Record(e)
}

func lacks(scope sluice.Scope) sluice.Refusal {
	return sluice.Refusal("missing_scope:" + string(scope))
}
