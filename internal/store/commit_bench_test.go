package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sluice/internal/store/sqlite"
)

// BenchmarkCommit measures what a group of twelve redemptions costs below the writer: the statements of its
// transaction, on a database with as many links as BenchmarkRedeem, without requests, sealing and hand-over. append is
// the least that any log on this disk costs: one write of as many bytes to a file that has its size already, and one
// fdatasync. cpu-µs is the processor time of the process for each commit.
//
//	go test ./internal/store -run '^$' -bench '^BenchmarkCommit$' -benchtime 5000x
func BenchmarkCommit(b *testing.B) {
	row := make([]byte, 3<<10) // about as much as twelve packed entries with their disclosures
	rand.Read(row)
	const (
		insert = "INSERT INTO batch (ledger, first, time, leaves, disclosures) VALUES (?, ?, ?, ?, ?)"
		count  = "UPDATE link SET downloads = downloads + $3, redeemed = $4 WHERE id = $1 AND ledger = $2"
		head   = "UPDATE ledger SET next = $1, indexed = $2, latest = $3, longest = $4 WHERE id = $5"
	)
	type step struct {
		query string
		args  func(n int64) []any
	}
	inserts := step{insert, func(n int64) []any { return []any{1, 1<<40 + 12*n, n, row[:2<<10], row[2<<10:]} }}
	counts := step{count, func(n int64) []any { return []any{fmt.Sprintf("link_%026d", 0), 1, 12, 1<<50 + n} }}
	heads := step{head, func(n int64) []any { return []any{1<<40 + 12*n, 0, 1<<50 + n, 1 << 30, 1} }}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"empty", nil},
		{"head", []step{heads}}, {"insert", []step{inserts}}, {"three", []step{inserts, counts, heads}},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "sluice.db")
			s, err := openSQLite(path, Options{}, maxGroup, time.Second)
			if err != nil {
				b.Fatal(err)
			}
			benchFill(b, s)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			db, err := sqlite.Open(path, slog.Default())
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			conn, err := db.Connect(ctx, db.Writer)
			if err != nil {
				b.Fatal(err)
			}
			measureCPU(b, func(n int64) error {
				if _, err := conn.Exec(ctx, db.Begin); err != nil {
					return err
				}
				for _, step := range c.steps {
					if _, err := conn.Exec(ctx, step.query, step.args(n)...); err != nil {
						return err
					}
				}
				_, err := conn.Exec(ctx, "COMMIT")
				db.Committed()
				return err
			})
		})
	}
	b.Run("append", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "journal"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		const size = 16 << 20
		if _, err := f.Write(make([]byte, size)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		measureCPU(b, func(n int64) error {
			if _, err := f.WriteAt(row, n*int64(len(row))%(size-int64(len(row)))); err != nil {
				return err
			}
			return syscall.Fdatasync(int(f.Fd()))
		})
	})
}

// measureCPU runs do, and reports the user and system time of this process for each run.
func measureCPU(b *testing.B, do func(n int64) error) {
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	for n := range int64(b.N) {
		if err := do(n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// cpuTime gives the user and system time that this process has taken.
func cpuTime() time.Duration {
	var use syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
