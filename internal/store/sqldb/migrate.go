package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// Migrate brings the schema up to the version that this binary knows, and refuses a newer one. Several processes
// may call it at once: one of them migrates.
func Migrate(ctx context.Context, d goose.Dialect, db *sql.DB, files fs.FS, log *slog.Logger) error {
	p, err := goose.NewProvider(d, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	for attempt := 1; ; attempt++ {
		has, knows, err := p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("schema version: %w", err)
		}
		if has > knows {
			return fmt.Errorf("the database has schema version %d, and this binary knows versions up to %d:"+
				" use the newer binary that made it", has, knows)
		}
		if has == knows {
			return nil
		}
		if has > 0 {
			log.Info("migrating the database schema", "from", has, "to", knows)
		}
		if _, err = p.Up(ctx); err != nil && attempt == 3 {
			return fmt.Errorf("migrate the schema from version %d to %d: %w", has, knows, err)
		}
	}
}
