// Package leader has work done by one of the servers that share a database.
package leader

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/service"
)

// retryEvery is how long a server waits before it asks again for a lease that
// another one holds.
const retryEvery = 2 * time.Second

// Run does work while this server holds the lease of a name, until ctx ends.
// The context of work ends when ctx ends or the lease is lost. A server whose
// holder stops or freezes gives the lease to another within ten seconds, see
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
