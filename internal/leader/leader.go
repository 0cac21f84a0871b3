// Package leader lets one of the servers that share a database do work for all of them.
package leader

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/service"
)

// retryEvery is how long a server waits before it tries again to acquire a lease.
const retryEvery = 2 * time.Second

// Run calls work whenever this server acquires the lease with the given name, until
// ctx ends. The context of work ends when ctx ends or the lease is lost. If a server
// stops or freezes, another acquires its lease within ten seconds; see
// service.Store.Exclusive.
func Run(ctx context.Context, s service.Store, name string, log *slog.Logger, work func(context.Context)) {
	for ctx.Err() == nil {
		_, err := s.Exclusive(ctx, name, func(ctx context.Context) error {
			work(ctx)
			return context.Cause(ctx)
		})
		if err != nil && ctx.Err() == nil {
			log.Warn("lease lost; another server may take over", "lease", name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}
