package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// endWindow is how long links are marked, and another ledger records entries, after each of the two.
const endWindow = 10 * time.Second

// BenchmarkEnd deletes a file, and then revokes a key, that has ENDING_LINKS live links (20,000 when it is not set). It
// prints how long each took, how many of its links were marked a second afterwards, and how long another ledger waited
// for its commits before it and meanwhile: the median, the 99th percentile and the longest.
//
//	ENDING_LINKS=10000000 go test ./internal/store -run '^$' -bench '^BenchmarkEnd' -benchtime 1x -timeout 2h
func BenchmarkEnd(b *testing.B) { benchEnd(b, benchSQLite) }

// BenchmarkEndPostgres does so on PostgreSQL.
func BenchmarkEndPostgres(b *testing.B) { benchEnd(b, benchPostgres) }

func benchEnd(b *testing.B, open benchOpen) {
	links := int64(20_000)
	if text := os.Getenv("ENDING_LINKS"); text != "" {
		var err error
		if links, err = strconv.ParseInt(text, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	s, err := open(b, maxGroup)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	benchFill(b, s)
	began := time.Now()
	fillLinks(b, s, links)
	b.Logf("%d links were made in %v", links, time.Since(began).Round(time.Second))
	b.Run("file", func(b *testing.B) {
		measureEnd(b, s, func(tx service.Tx, now time.Time) error {
			return tx.DeleteFile("file_"+fmt.Sprintf("%026d", 0), now,
				benchEntry(-5, sluice.FileEnded, now, sluice.File{}, sluice.Link{}))
		})
	})
	b.Run("key", func(b *testing.B) {
		measureEnd(b, s, func(tx service.Tx, now time.Time) error {
			return tx.RevokeKey(benchKey, now, benchEntry(-6, sluice.KeyEnded, now, sluice.File{}, sluice.Link{}))
		})
	})
}

// fillLinks adds links to the first file.
func fillLinks(b *testing.B, s *Store, links int64) {
	b.Helper()
	file := fmt.Sprintf("file_%026d", 0)
	for from := int64(0); from < links; from += 1000 {
		err := s.Update(context.Background(), benchLedger, func(tx service.Tx) error {
			now := time.Now()
			for i := from; i < min(from+1000, links); i++ {
				l := benchLink(benchLinks+i, file, now)
				l.Expires = now.Add(24 * time.Hour)
				e := sluice.Entry{ID: benchID("aud_", i), Ledger: benchLedger, Time: now, Action: sluice.LinkCreated}
				if err := tx.CreateLink(l, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func measureEnd(b *testing.B, s *Store, end func(service.Tx, time.Time) error) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	alone, stop := context.WithTimeout(context.Background(), endWindow)
	defer stop()
	reportWaits(b, "alone", otherLedger(alone, b, s))
	ctx, stop := context.WithTimeout(context.Background(), endWindow)
	defer stop()
	waits := make(chan []time.Duration)
	go func() { waits <- otherLedger(ctx, b, s) }()
	began := time.Now()
	if err := s.Update(context.Background(), benchLedger,
		func(tx service.Tx) error { return end(tx, began) }); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "end-ms")
	marking, marked := time.Now(), 0
	for more := true; more && ctx.Err() == nil; {
		n := 0
		var err error
		if n, more, err = s.EndLinks(context.Background()); err != nil {
			b.Fatal(err)
		}
		marked += n
	}
	b.ReportMetric(float64(marked)/time.Since(marking).Seconds(), "links/s")
	stop()
	reportWaits(b, "other", <-waits)
}

func reportWaits(b *testing.B, name string, waits []time.Duration) {
	slices.Sort(waits)
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		wait := waits[int(q.of*float64(len(waits)-1))]
		b.ReportMetric(float64(wait.Microseconds())/1000, name+"-"+q.name+"-ms")
	}
}

// otherLedger records entries of another ledger, one every millisecond or as fast as they are committed, and says how
// long each took.
func otherLedger(ctx context.Context, b *testing.B, s *Store) (waits []time.Duration) {
	other := sluice.LedgerID{Account: "acct_00000000000000000000000002", Mode: sluice.Live}
	for ctx.Err() == nil {
		began := time.Now()
		e := sluice.Entry{ID: benchID("aud_", 1<<40+otherEntries.Add(1)), Ledger: other, Time: began,
			Action: sluice.FileRead}
		if err := s.Update(context.Background(), other, func(tx service.Tx) error { return tx.Record(e) }); err != nil {
			b.Error(err)
			break
		}
		waits = append(waits, time.Since(began))
		time.Sleep(time.Millisecond)
	}
	return waits
}

var otherEntries atomic.Int64
