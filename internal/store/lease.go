package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"sluice/internal/service"
)

// leaseTime is how long work that is held exclusively stays so after its holder
// was last heard of. A connection would be no sign of life: that of a frozen
// process stays open.
const leaseTime = 6 * time.Second

var errLeaseLost = errors.New("the lease could not be renewed in time")

// lease is the right to do something exclusively, on its way.
type lease struct {
	store        *Store
	name, holder string
	end          time.Time // not after the database takes it for ended
}

// Exclusive implements service.Store.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(context.Context) error) (ran bool, err error) {
	l := &lease{store: s, name: name, holder: rand.Text()}
	if held, err := l.held(ctx); held || err != nil {
		return false, err
	}
	if ran, err = l.take(ctx); !ran {
		return false, err
	}
	work, lost := context.WithCancelCause(ctx)
	// The lease is kept until fn has returned, also when it lingers after ctx.
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.keep(keeping, lost)
	}()
	defer func() {
		stop()
		<-kept
		lost(nil)
		l.release(keeping)
	}()
	return true, fn(work)
}

// held says whether somebody holds the lease, without a write.
func (l *lease) held(ctx context.Context) (held bool, err error) {
	err = l.store.View(ctx, func(r service.Reader) error {
		var one int64
		err := r.(*reader).one([]any{&one}, "SELECT 1 FROM lease WHERE name = $1 AND until > "+l.store.now, l.name)
		if err == errNotFound {
			return nil
		}
		held = err == nil
		return err
	})
	return held, err
}

// take makes the lease this holder's, unless somebody else holds it. Whoever is
// in doubt whether it did, as after a lost connection, waits until it has ended.
func (l *lease) take(ctx context.Context) (taken bool, err error) {
	return l.write(ctx, "INSERT INTO lease (name, holder, until) VALUES ($1, $2, "+l.store.now+" + $3) ON CONFLICT (name) DO UPDATE"+
		" SET holder = excluded.holder, until = excluded.until WHERE lease.until <= "+l.store.now)
}

func (l *lease) renew(ctx context.Context) (held bool, err error) {
	return l.write(ctx, "UPDATE lease SET until = "+l.store.now+" + $3 WHERE name = $1 AND holder = $2")
}

func (l *lease) write(ctx context.Context, query string) (held bool, err error) {
	end := time.Now().Add(l.store.lease)
	err = l.store.chore(ctx, noLedger, func(t *tx) error {
		n, err := t.exec(query, l.name, l.holder, l.store.lease.Microseconds())
		held = n > 0
		return err
	})
	if held = held && err == nil; held {
		l.end = end
	}
	return held, err
}

// keep renews the lease until ctx ends, and calls lost when that fails. It goes
// by this machine's own measure of time, which runs on while a process is frozen.
func (l *lease) keep(ctx context.Context, lost context.CancelCauseFunc) {
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
		switch held, err := l.renew(ctx); {
		case held:
			alarm.Reset(time.Until(l.end))
		case err == nil: // another has it
			lost(errLeaseLost)
			return
		case ctx.Err() == nil:
			l.store.log.Warn("a lease was not renewed", "lease", l.name, "error", err)
		}
	}
}

// release lets others have the lease at once. Where that fails it ends by itself.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), l.end)
	defer cancel()
	err := l.store.chore(ctx, noLedger, func(t *tx) error {
		_, err := t.exec("DELETE FROM lease WHERE name = $1 AND holder = $2", l.name, l.holder)
		return err
	})
	if err != nil && ctx.Err() == nil {
		l.store.log.Warn("a lease was not released", "lease", l.name, "error", err)
	}
}
