package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// leaseTime is how long a lease lasts after its holder has renewed it. An open connection would be no sign of life:
// that of a frozen process stays open.
const leaseTime = 6 * time.Second

var errLeaseLost = errors.New("the lease could not be renewed in time")

// lease is the right to run a function exclusively, and its state while it is taken.
type lease struct {
	store        *Store
	name, holder string
	end          time.Time // not later than the end by the database's clock
}

// Exclusive implements service.Store.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(context.Context) error) (ran bool, err error) {
	l := &lease{store: s, name: name, holder: rand.Text()}
	if taken, err := l.taken(ctx); taken || err != nil {
		return false, err
	}
	if ran, err = l.take(ctx); !ran {
		return false, err
	}
	work, lost := context.WithCancelCause(ctx)
	// The lease is renewed until fn has returned, also when fn goes on after the end of ctx.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.keepRenewing(renewing, lost)
	}()
	defer func() {
		stop()
		<-ended
		lost(nil)
		l.release(renewing)
	}()
	return true, fn(work)
}

// taken reports whether anyone has the lease, without a write.
func (l *lease) taken(ctx context.Context) (taken bool, err error) {
	err = l.store.View(ctx, func(given service.Reader) error {
		var one int64
		err := given.(*reader).session.One([]any{&one},
			"SELECT 1 FROM lease WHERE name = $1 AND until > "+l.store.db.Now, l.name)
		if err == sqldb.ErrNotFound {
			return nil
		}
		taken = err == nil
		return err
	})
	return taken, err
}

// take gives the lease to this holder, unless another has it. A holder that cannot know whether it got the lease,
// as after a lost connection, waits until it has expired.
func (l *lease) take(ctx context.Context) (got bool, err error) {
	now := l.store.db.Now
	return l.write(ctx, "INSERT INTO lease (name, holder, until) VALUES ($1, $2, "+
		now+" + $3) ON CONFLICT (name) DO UPDATE"+
		" SET holder = excluded.holder, until = excluded.until WHERE lease.until <= "+now)
}

func (l *lease) renew(ctx context.Context) (got bool, err error) {
	return l.write(ctx, "UPDATE lease SET until = "+l.store.db.Now+" + $3 WHERE name = $1 AND holder = $2")
}

func (l *lease) write(ctx context.Context, query string) (got bool, err error) {
	end := time.Now().Add(l.store.lease)
	err = l.store.unlogged(ctx, noLedger, func(t *tx) error {
		n, err := t.session.Exec(query, l.name, l.holder, l.store.lease.Microseconds())
		got = n > 0
		return err
	})
	if got = got && err == nil; got {
		l.end = end
	}
	return got, err
}

// keepRenewing renews the lease until ctx ends, and calls lost when that fails. It measures time by this machine's
// monotonic clock, which runs on while a process is frozen.
func (l *lease) keepRenewing(ctx context.Context, lost context.CancelCauseFunc) {
	alarm := time.AfterFunc(time.Until(l.end), func() { lost(errLeaseLost) })
	defer alarm.Stop()
	tick := time.NewTicker(l.store.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch got, err := l.renew(ctx); {
		case got:
			alarm.Reset(time.Until(l.end))
		case err == nil: // another holder has it
			lost(errLeaseLost)
			return
		case ctx.Err() == nil:
			l.store.log.Warn("lease not renewed", "lease", l.name, "error", err)
		}
	}
}

// release lets another holder have the lease at once. Where that fails the lease expires.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), l.end)
	defer cancel()
	err := l.store.unlogged(ctx, noLedger, func(t *tx) error {
		_, err := t.session.Exec("DELETE FROM lease WHERE name = $1 AND holder = $2", l.name, l.holder)
		return err
	})
	if err != nil && ctx.Err() == nil {
		l.store.log.Warn("lease not released", "lease", l.name, "error", err)
	}
}
