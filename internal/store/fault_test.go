package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/postgres"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/storetest"
)

// TestUnreadableDatabase damages a database file. Every call says that the database cannot be used now: it is not the
// caller's fault.
func TestUnreadableDatabase(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string, size int64){
		"cut off": func(t *testing.T, path string, _ int64) {
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten": func(t *testing.T, path string, size int64) { overwrite(t, path, 4096, size) },
		"no database": func(t *testing.T, path string, size int64) { overwrite(t, path, 0, size) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sluice.db")
			s := open(t, path)
			k := storetest.NewKey(storetest.LiveLedger, "key_1")
			storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
				return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_1"),
					storetest.NewEntry(storetest.LiveLedger))
			})
			storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
				return tx.CreateKey(k, storetest.NewEntry(storetest.LiveLedger))
			})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, path)
			defer s.Close()
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, path, info.Size())

			wantUnavailable(t, "an upload", s.Update(storetest.Background, storetest.LiveLedger,
				func(tx service.Tx) error {
					return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_2"),
						storetest.NewEntry(storetest.LiveLedger))
				}))
			wantUnavailable(t, "a file", s.View(storetest.Background, func(r service.Reader) error {
				_, err := r.File(storetest.LiveLedger, "file_1")
				return err
			}))
			wantUnavailable(t, "a list", s.View(storetest.Background, func(r service.Reader) error {
				_, err := r.Files(storetest.LiveLedger, service.FileFilter{}, sluice.Page{Limit: 10})
				return err
			}))
			_, err = s.KeyByHash(storetest.Background, k.Hash)
			wantUnavailable(t, "a key", err)
			wantUnavailable(t, "readiness", s.Ready(storetest.Background))
		})
	}
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// overwrite replaces the bytes of a file between two offsets.
func overwrite(t *testing.T, path string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(to-from)), from)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	var e *sluice.Error
	if !errors.As(err, &e) || e.Code != sluice.CodeUnavailable || e.RetryAfter == 0 {
		t.Errorf("%s: got %v, want %s with a time to ask again", what, err, sluice.CodeUnavailable)
	}
}

// TestPostgresFaults wants a code for each error of a failing server, and of a connection to it.
func TestPostgresFaults(t *testing.T) {
	s := &sqldb.Dialect{Code: postgres.Code}
	for _, code := range []string{
		"08006", // connection_failure
		"53200", // out_of_memory
		"53300", // too_many_connections
		"57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P03", // cannot_connect_now
		"58000", // system_error
		"58030", // io_error
		"58P01", // undefined_file
		"XX001", // data_corrupted
		"XX002", // index_corrupted
	} {
		wantUnavailable(t, code, s.Classify(fmt.Errorf("read: %w", &pgconn.PgError{Code: code})))
	}
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, driver.ErrBadConn,
		sql.ErrConnDone,
		&net.OpError{Op: "read", Err: syscall.EIO},
	} {
		wantUnavailable(t, err.Error(), s.Classify(fmt.Errorf("read: %w", err)))
	}
	storetest.WantCode(t, s.Classify(&pgconn.PgError{Code: "53100"}), sluice.CodeStorageFull)
	storetest.WantCode(t, s.Classify(&pgconn.PgError{Code: "23505"}), sluice.CodeConflict)
	storetest.WantCode(t, s.Classify(&pgconn.PgError{Code: "42601"}), sluice.CodeInternal) // our own SQL
	if err := s.Classify(context.Canceled); !errors.Is(err, context.Canceled) ||
		sluice.CodeOf(err) == sluice.CodeUnavailable {
		t.Errorf("a caller that went away: %v", err)
	}
}
