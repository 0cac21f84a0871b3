package postgres_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sluice/internal/store"
	"sluice/internal/store/postgres"
	"sluice/sluicetest"
)

// TestVacuumSpares keeps old row versions needed in every way that PostgreSQL has. The vacuumer must know that its
// VACUUM has not removed them.
func TestVacuumSpares(t *testing.T) {
	server := sluicetest.NewPostgresServer(t)
	url := server.NewDatabase(t)
	createTables(t, url)
	if err := execPostgres(url, "ALTER SYSTEM SET max_prepared_transactions = 1"); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	server.Start(t)
	for _, test := range []struct {
		name string
		hold func(*testing.T, string) (release func())
	}{
		{"an open snapshot", func(t *testing.T, url string) func() {
			return inTransaction(t, url, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
		}},
		{"a transaction that has written", func(t *testing.T, url string) func() {
			return inTransaction(t, url, "BEGIN", "SELECT pg_current_xact_id()")
		}},
		{"a prepared transaction", func(t *testing.T, url string) func() {
			inTransaction(t, url, "BEGIN", "SELECT pg_current_xact_id()", "PREPARE TRANSACTION 'held'")()
			return func() { inTransaction(t, url, "ROLLBACK PREPARED 'held'")() }
		}},
		{"a replication slot", heldBySlot},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := quietVacuumer(t, url)
			release := test.hold(t, url)
			if err := execPostgres(url, "SELECT pg_current_xact_id()"); err != nil { // a redaction takes one, too
				t.Fatal(err)
			}
			if gone, err := v.Vacuum(); gone || err != nil {
				t.Errorf("with the hold: gone %v, %v", gone, err)
			}
			release()
			// Autovacuum may hold some for a while.
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
				gone, err := v.Vacuum()
				if err != nil {
					t.Fatal(err)
				}
				if gone {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("without the hold, nothing is gone")
				}
			}
		})
	}
}

// TestVacuumNotOwner wants an error where PostgreSQL skips the table with a warning.
func TestVacuumNotOwner(t *testing.T) {
	owner := sluicetest.Postgres(t)
	createTables(t, owner)
	if err := execPostgres(owner, "CREATE ROLE vacuum_guest LOGIN PASSWORD 'pa55w0rd'"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("vacuum_guest", "pa55w0rd")
	if gone, err := quietVacuumer(t, u.String()).Vacuum(); gone || err == nil {
		t.Errorf("VACUUM by a role that does not own the table: gone %v, %v", gone, err)
	}
}

var ctx = context.Background()

// createTables migrates an empty database.
func createTables(t *testing.T, url string) {
	t.Helper()
	s, err := store.OpenPostgres(ctx, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
}

func execPostgres(url, query string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}

// quietVacuumer is a vacuumer that is told of no redaction.
func quietVacuumer(t *testing.T, url string) *postgres.Vacuumer {
	t.Helper()
	v, err := postgres.NewVacuumer(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// inTransaction runs statements on a connection of its own, which release closes.
func inTransaction(t *testing.T, url string, queries ...string) (release func()) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range queries {
		if _, err := c.ExecContext(ctx, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return func() { c.Close(); db.Close() }
}

// heldBySlot lets a standby report through a replication slot that it still reads an old snapshot, and then
// disconnect.
func heldBySlot(t *testing.T, url string) (release func()) {
	t.Helper()
	var oldest uint32
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.QueryRow("SELECT" +
		" pg_snapshot_xmin(pg_current_snapshot())::xid::text::bigint").Scan(&oldest); err != nil {
		t.Fatal(err)
	}
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "true"
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.Exec(ctx, "CREATE_REPLICATION_SLOT standby PHYSICAL RESERVE_WAL").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	c.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION SLOT standby PHYSICAL " +
		string(results[0].Rows[0][1])})
	// Hot standby feedback: https://www.postgresql.org/docs/current/protocol-replication.html
	feedback := binary.BigEndian.AppendUint64([]byte{'h'}, 0)
	feedback = binary.BigEndian.AppendUint32(feedback, oldest)
	feedback = append(feedback, make([]byte, 12)...)
	c.Frontend().Send(&pgproto3.CopyData{Data: feedback})
	if err := c.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for held := false; !held; time.Sleep(20 * time.Millisecond) {
		if err := db.QueryRowContext(within, "SELECT xmin IS NOT NULL FROM"+
			" pg_replication_slots").Scan(&held); err != nil {
			t.Fatal(err)
		}
	}
	c.Close(ctx)
	for active := true; active; time.Sleep(20 * time.Millisecond) { // its own connection shows an xmin
		if err := db.QueryRowContext(within, "SELECT active FROM pg_replication_slots").Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := db.Exec("SELECT pg_drop_replication_slot('standby')"); err != nil {
			t.Fatal(err)
		}
	}
}
