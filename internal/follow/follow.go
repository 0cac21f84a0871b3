// Package follow takes what the logs hold to others: each follower has a cursor
// into every log, and is told when a log has gone beyond it.
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

// Follower is somebody who is to have what the logs hold.
type Follower struct {
	Name string // of its cursors, in logs and in metrics
	// Pause is the shortest time between two sends of one log.
	Pause time.Duration
	// Head says how far a log has come for this follower.
	Head func(service.LogSize) int64
	// Send brings over what a log holds beyond a cursor, and gives the new
	// cursor. It begins at 0 whenever a server takes over, so that a follower who
	// remembers more than the database holds is asked, and can say so.
	Send func(ctx context.Context, s service.Store, l sluice.LedgerID, cursor int64) (int64, error)
}

// Observer is told how far a follower is behind, over all logs, after each look
// at them; and of each send.
type Observer interface {
	FollowerBehind(follower string, behind int64)
	FollowerSent(follower string, took time.Duration, err error)
}

// Runner runs followers until its context ends.
type Runner struct {
	Store    service.Store
	Log      *slog.Logger
	Observer Observer // nil: nobody is told
}

// How long a follower that fails for one log is left alone: twice as long each
// time. An orderly stop waits for the last sends.
const (
	firstRetry = time.Second
	longRetry  = time.Hour
	lastSends  = 5 * time.Second
	lookEvery  = time.Second
)

// leaseName names the lease of the server that runs the followers.
const leaseName = "followers"

// Run runs followers until ctx ends, and gives each what is new at last. Of the
// servers on one database, one runs them. A follower that is slow or fails holds
// up nothing but itself.
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
				if ctx.Err() != nil { // an orderly stop, and not a lost lease
					p.last(ctx)
				}
			})
		}
		all.Wait()
	})
}

// progress is how far one follower has come.
type progress struct {
	Follower
	*Runner
	logs map[sluice.LedgerID]*position
}

// position is how far a follower has come in one log.
type position struct {
	cursor int64
	next   time.Time     // when it may be sent to again
	retry  time.Duration // 0 after a success
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

// last sends what is new without a pause.
func (p *progress) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSends)
	defer cancel()
	p.round(ctx, time.Now().Add(p.Pause))
}

// round sends from every log whose turn has come.
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

// heads gives how far each log has come.
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
	p.Log.Error("follower failed", "follower", p.Name, "ledger", l.String(), "cursor", at.cursor, "retry_in", at.retry.String(), "error", err)
}
