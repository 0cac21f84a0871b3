package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/gate"
	"sluice/internal/service"
)

// chore is work that a running server does by itself, again and again. Of the
// servers on one database, one does it.
type chore struct {
	name  string
	every time.Duration
	after time.Duration // before it is done first
	do    func(context.Context, *service.Service) (done int, err error)
}

var chores = []chore{
	{"checkpoints", 250 * time.Millisecond, 0, func(ctx context.Context, svc *service.Service) (int, error) {
		_, err := svc.Checkpoint(ctx) // made too often to log each
		return 0, err
	}},
	{"endings", time.Second, 0, func(ctx context.Context, svc *service.Service) (int, error) {
		return svc.EndLinks(ctx)
	}},
	{"retention", time.Minute, 0, func(ctx context.Context, svc *service.Service) (int, error) {
		return svc.Retain(ctx)
	}},
	// Late, so that whoever started on a wrong database sees it before anything moves.
	{"sweep", 10 * time.Minute, time.Hour, func(ctx context.Context, svc *service.Service) (int, error) {
		swept, err := svc.Sweep(ctx, svc.Now().Add(-service.SweepAge))
		return swept.Total(), err
	}},
	{"forgetting", 10 * time.Minute, 0, func(ctx context.Context, svc *service.Service) (int, error) {
		return svc.Forget(ctx)
	}},
}

// keyUsage is done by every server: each knows what it was asked itself.
var keyUsage = chore{"key usage", time.Minute, 0, writeUsage}

// refusals is done by every server: each counts what it refused itself.
func refusals(links *gate.Gate) chore {
	return chore{"refusals", 10 * time.Second, 0, func(context.Context, *service.Service) (int, error) {
		links.WriteRefusals()
		return 0, nil
	}}
}

func writeUsage(ctx context.Context, svc *service.Service) (int, error) {
	return 0, svc.WriteUsage(ctx)
}

// keep does the chores until ctx ends, and writes down at last when keys were
// used. A chore that fails is tried again when its time comes.
func keep(ctx context.Context, i *installation, log *slog.Logger) {
	svc := i.service
	var all sync.WaitGroup
	all.Go(func() { keyUsage.repeat(ctx, svc, log) })
	all.Go(func() { refusals(i.gate).repeat(ctx, svc, log) })
	all.Go(func() {
		inTurn(ctx, i.store, "chores", log, func(ctx context.Context) {
			var all sync.WaitGroup
			for _, c := range chores {
				all.Go(func() { c.repeat(ctx, svc, log) })
			}
			all.Wait()
		})
	})
	all.Wait()
	keyUsage.once(context.WithoutCancel(ctx), svc, log)
}

// turnPause is how long a server waits before it looks again whether the one
// that does some work still does.
const turnPause = 2 * time.Second

// inTurn does work that one server at a time does, when it is this one's turn,
// until ctx ends. The context of work ends, too, when the turn is lost.
func inTurn(ctx context.Context, s service.Store, name string, log *slog.Logger, work func(context.Context)) {
	for ctx.Err() == nil {
		_, err := s.Exclusive(ctx, name, func(ctx context.Context) error {
			work(ctx)
			return context.Cause(ctx)
		})
		if err != nil && ctx.Err() == nil {
			log.Warn("work is left to another server for now", "work", name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(turnPause):
		}
	}
}

func (c chore) repeat(ctx context.Context, svc *service.Service, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(c.after):
	}
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		c.once(ctx, svc, log)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c chore) once(ctx context.Context, svc *service.Service, log *slog.Logger) {
	done, err := c.do(ctx, svc)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error("a chore failed", "chore", c.name, "error", err)
	case done > 0:
		log.Info("a chore was done", "chore", c.name, "items", done)
	}
}
