package store_test

import (
	"flag"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/ledger"
	"sluice/sluicetest"
)

var large = flag.Bool("large", false, "run the benchmarks of the tree at 10,000,000 entries too")

// log is a service over a ledger of a given size.
type log struct {
	*service.Service
	store *store.Store
	ids   []string
}

// newLog fills a ledger with size entries and signs a checkpoint over all of them.
func newLog(b *testing.B, size int) *log {
	b.Helper()
	s, err := store.OpenSQLite(filepath.Join(b.TempDir(), "sluice.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	began := time.Now()
	l := &log{Service: serviceOn(b, s, sluicetest.NewLedgerKey(b)), store: s, ids: record(b, s, testL, size)}
	filled := time.Now()
	l.checkpoint(b)
	b.Logf("%d entries filled in %s, and signed in %s", size, filled.Sub(began).Round(time.Millisecond),
		time.Since(filled).Round(time.Millisecond))
	return l
}

func (l *log) checkpoint(b *testing.B) time.Duration {
	b.Helper()
	began := time.Now()
	if n, err := l.Ledgers.Checkpoint(ctx); n != 1 || err != nil {
		b.Fatal(n, err)
	}
	return time.Since(began)
}

// BenchmarkLedger measures a checkpoint after 10,000 new entries, with the
// longest Update that ran beside it, and proofs, on a large ledger.
func BenchmarkLedger(b *testing.B) {
	for name, size := range map[string]int{"1M": 1_000_000, "10M": 10_000_000} {
		if size > 1_000_000 && !*large {
			continue
		}
		b.Run(name, func(b *testing.B) {
			l := newLog(b, size)
			b.Run("checkpoint", l.benchCheckpoint)
			caller := service.Operator(testL)
			b.Run("inclusion", func(b *testing.B) {
				distribution(b, func(i int) error {
					_, err := l.Ledgers.ProveEntry(ctx, caller, l.ids[i*7919%size])
					return err
				})
			})
			b.Run("consistency", func(b *testing.B) {
				distribution(b, func(i int) error {
					_, err := l.Ledgers.ProveConsistency(ctx, caller, int64(i*7919%size), -1)
					return err
				})
			})
		})
	}
}

func (l *log) benchCheckpoint(b *testing.B) {
	var took, alone, beside []time.Duration
	for range b.N {
		record(b, l.store, testL, 10_000)
		alone = append(alone, l.longestUpdate(b, func() { time.Sleep(50 * time.Millisecond) }))
		beside = append(beside, l.longestUpdate(b, func() { took = append(took, l.checkpoint(b)) }))
	}
	report(b, "checkpoint", took)
	report(b, "update-alone", alone)
	report(b, "update-beside", beside)
}

// longestUpdate runs Updates of another ledger one after the other while fn
// runs, and gives the longest.
func (l *log) longestUpdate(b *testing.B, fn func()) (longest time.Duration) {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			began := time.Now()
			err := l.store.Update(ctx, testL, func(tx service.Tx) error { return tx.Record(newEntry(testL)) })
			if err != nil {
				b.Error(err)
			}
			longest = max(longest, time.Since(began))
		}
	}()
	fn()
	stop.Store(true)
	<-done
	return longest
}

// distribution reports the median, the 99th percentile and the longest of many runs of fn. A thousand runs are one
// operation of the benchmark.
func distribution(b *testing.B, fn func(i int) error) {
	var took []time.Duration
	for i := range 1000 * b.N {
		began := time.Now()
		if err := fn(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	report(b, "", took)
}

func report(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000 }
	if name != "" {
		name += "-"
	}
	b.ReportMetric(at(50), name+"p50-ms")
	b.ReportMetric(at(99), name+"p99-ms")
	b.ReportMetric(at(100), name+"max-ms")
}

// BenchmarkUnsigned asks which of 10,000 ledgers need a checkpoint, as a server does four times a second.
func BenchmarkUnsigned(b *testing.B) {
	s, err := store.OpenSQLite(filepath.Join(b.TempDir(), "sluice.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	by := signer(b)
	tiles := []ledger.TileData{{Tile: ledger.Tile{Level: 0, Width: 1}, Data: make([]byte, ledger.HashSize)}}
	for i := range 10_000 {
		l := sluice.LedgerID{Account: sluice.PrefixAccount + newEntry(testL).ID, Mode: sluice.Test}
		record(b, s, l, 1)
		if i > 0 {
			if err := s.Extend(ctx, l, 0, tiles, service.Checkpoint{Size: 1, Note: []byte("note"),
				Verifier: by.VerifierKey(), Created: time.UnixMicro(1).UTC()}); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		view(b, s, func(r service.Reader) error {
			due, err := r.Unsigned()
			if len(due) != 1 {
				b.Fatal(due)
			}
			return err
		})
	}
}

// BenchmarkRecord commits groups of Updates with one entry each.
func BenchmarkRecord(b *testing.B) {
	s, err := store.OpenSQLite(filepath.Join(b.TempDir(), "sluice.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			err := s.Update(ctx, testL, func(tx service.Tx) error { return tx.Record(newEntry(testL)) })
			if err != nil {
				b.Error(err)
			}
		}
	})
}
