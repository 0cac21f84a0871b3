package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pressly/goose/v3"
)

// Migrate brings the schema up to the version that this binary knows, and refuses a newer one. Several processes
// may call it at once: one of them migrates.
func Migrate(ctx context.Context, d goose.Dialect, db *sql.DB, files fs.FS, log *slog.Logger) error {
	all, err := migrations(files)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(d, db, nil, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(all...))
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

// migrations returns the SQL files as migrations that the database runs as a whole. Goose would split them into
// statements, with a buffer of 4 MiB for each line. A file has the annotation "Up", which is a comment of SQL, and no
// other.
func migrations(files fs.FS) (all []*goose.Migration, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		statements := string(text)
		if strings.Count(statements, "+goose") != 1 || !strings.Contains(statements, "-- +goose Up\n") {
			return nil, fmt.Errorf("%s must have one annotation of goose, Up", name)
		}
		run := func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, statements); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: run}, nil))
	}
	return all, nil
}
