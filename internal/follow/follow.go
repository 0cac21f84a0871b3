// Package follow sends new parts of the logs to followers, such as anchors and
// witnesses. Each follower has a cursor into every log.
package follow

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sluice"
	"sluice/internal/leader"
	"sluice/internal/service"
)

// Follower receives new parts of every log.
type Follower struct {
	Name string // in log lines and metrics
	// Pause is the minimum time between two sends of one log.
	Pause time.Duration
	// Head returns the size of a log from the follower's point of view.
	Head func(service.LogSize) int64
	// Send sends the part of a log beyond the cursor and returns the new cursor.
	// The cursor is 0 after a server has taken over, so that a follower that knows
	// more than the database contains is asked and can report it.
	Send func(ctx context.Context, s service.Store, l sluice.LedgerID, cursor int64) (int64, error)
}

// Observer is notified of the lag of each follower over all logs, and of each send.
type Observer interface {
	FollowerBehind(follower string, behind int64)
	FollowerSent(follower string, took time.Duration, err error)
}

// Runner runs followers.
type Runner struct {
	Store    service.Store
	Log      *slog.Logger
	Observer Observer // may be nil
}

// After a failure, sends of that log are retried after firstRetry; the delay doubles
// with each failure up to longRetry. An orderly stop allows lastSends for the last
// sends.
const (
	firstRetry = time.Second
	longRetry  = time.Hour
	lastSends  = 5 * time.Second
	lookEvery  = time.Second
)

// leaseName is the name of the lease for running the followers.
const leaseName = "followers"

// Run runs followers until ctx ends, and then sends each what is new once more. Of
// the servers that share a database, one runs them. A slow or failing follower does
// not delay the others.
func (r *Runner) Run(ctx context.Context, list []Follower) {
	if len(list) == 0 {
		return
	}
	leader.Run(ctx, r.Store, leaseName, r.Log, func(turn context.Context) {
		var all sync.WaitGroup
		for _, f := range list {
			all.Go(func() {
				p := progress{Follower: f, Runner: r, logs: map[sluice.LedgerID]*position{}}
				p.run(turn)
				if ctx.Err() != nil { // an orderly stop, not a lost lease
					p.last(ctx)
				}
			})
		}
		all.Wait()
	})
}

// progress is the progress of one follower.
type progress struct {
	Follower
	*Runner
	logs map[sluice.LedgerID]*position
}

// position is the progress of a follower in one log.
type position struct {
	cursor int64
	next   time.Time     // time of the next send
	retry  time.Duration // delay after the last failure; 0 after a success
}

func (p *progress) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		p.round(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// last sends what is new, without regard to Pause.
func (p *progress) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSends)
	defer cancel()
	p.round(ctx, time.Now().Add(p.Pause))
}

// round sends from every log that is due.
func (p *progress) round(ctx context.Context, now time.Time) {
	heads, err := p.heads(ctx)
	if err != nil && ctx.Err() == nil {
		p.Log.Error("follower cannot read the logs", "follower", p.Name, "error", err)
	}
	behind := int64(0)
	for l, head := range heads {
		at := p.logs[l]
		if at == nil {
			at = &position{}
			p.logs[l] = at
		}
		if head > at.cursor && !now.Before(at.next) && ctx.Err() == nil {
			p.send(ctx, l, at)
		}
		behind += max(0, head-at.cursor)
	}
	if p.Observer != nil && err == nil {
		p.Observer.FollowerBehind(p.Name, behind)
	}
}

// heads returns the head of each log.
func (p *progress) heads(ctx context.Context) (heads map[sluice.LedgerID]int64, err error) {
	err = p.Store.View(ctx, func(r service.Reader) error {
		list, err := r.Logs()
		heads = make(map[sluice.LedgerID]int64, len(list))
		for _, l := range list {
			heads[l.Ledger] = p.Head(l)
		}
		return err
	})
	return heads, err
}

func (p *progress) send(ctx context.Context, l sluice.LedgerID, at *position) {
	began := time.Now()
	cursor, err := p.Send(ctx, p.Store, l, at.cursor)
	if ctx.Err() != nil && err != nil {
		return
	}
	if p.Observer != nil {
		p.Observer.FollowerSent(p.Name, time.Since(began), err)
	}
	if err == nil {
		*at = position{cursor: cursor, next: time.Now().Add(p.Pause)}
		return
	}
	at.retry = min(max(firstRetry, 2*at.retry), longRetry)
	at.next = time.Now().Add(at.retry)
	p.Log.Error("follower failed", "follower", p.Name, "ledger", l.String(), "cursor", at.cursor,
		"retry_in", at.retry.String(), "error", err)
}
