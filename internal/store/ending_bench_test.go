package store

import (
	"context"
	"fmt"
	"os"
	"sluice/internal/service"
	"strconv"
	"testing"
	"time"

	"sluice"
)

// BenchmarkEnd deletes a file, and revokes a key, that has ENDING_LINKS live links (20,000 when it is not set), while
// another ledger records entries. It prints how long the deletion took, the longest that the other ledger waited until
// all links were marked, and how many links were marked a second.
//
//	ENDING_LINKS=1000000 go test ./internal/store -run '^$' -bench '^BenchmarkEnd' -benchtime 1x
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
	for _, test := range []struct {
		name string
		end  func(tx service.Tx, now time.Time) error
	}{
		{"file", func(tx service.Tx, now time.Time) error {
			return tx.DeleteFile("file_"+fmt.Sprintf("%026d", 0), now, benchEntry(-5, sluice.FileEnded, now, sluice.File{}, sluice.Link{}))
		}},
		{"key", func(tx service.Tx, now time.Time) error {
			return tx.RevokeKey(benchKey, now, benchEntry(-6, sluice.KeyEnded, now, sluice.File{}, sluice.Link{}))
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			s, err := open(b, maxGroup)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			benchFill(b, s)
			fillLinks(b, s, links)
			b.ResetTimer()
			for range b.N {
				measureEnd(b, s, links, test.end)
			}
		})
	}
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

func measureEnd(b *testing.B, s *Store, links int64, end func(service.Tx, time.Time) error) {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	other := sluice.LedgerID{Account: "acct_00000000000000000000000002", Mode: sluice.Live}
	longest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for n := int64(0); ctx.Err() == nil; n++ {
			began := time.Now()
			e := sluice.Entry{ID: benchID("aud_", 1<<40+n), Ledger: other, Time: began, Action: sluice.FileRead}
			if err := s.Update(context.Background(), other, func(tx service.Tx) error { return tx.Record(e) }); err != nil {
				b.Error(err)
				break
			}
			most = max(most, time.Since(began))
			time.Sleep(time.Millisecond)
		}
		longest <- most
	}()
	began := time.Now()
	if err := s.Update(ctx, benchLedger, func(tx service.Tx) error { return end(tx, began) }); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	marking := time.Now()
	for more := true; more; {
		var err error
		if _, more, err = s.EndLinks(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(links)/time.Since(marking).Seconds(), "links/s")
	stop()
	b.ReportMetric(float64(took.Microseconds())/1000, "end-ms")
	b.ReportMetric(float64((<-longest).Microseconds())/1000, "other-max-ms")
}
