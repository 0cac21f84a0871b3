package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// The kinds of Update that must be fast, by the number of callers that wait at once, and by how many may share a
// commit.
//
//	go test ./internal/store -run '^$' -bench . -benchtime 20000x

// BenchmarkRedeem redeems links in turn, so that a group has each link once.
func BenchmarkRedeem(b *testing.B) { benchRedeem(b, benchSQLite, benchLinks) }

// BenchmarkRedeemPostgres does the same where every statement is a round trip.
func BenchmarkRedeemPostgres(b *testing.B) { benchRedeem(b, benchPostgres, benchLinks) }

// BenchmarkRedeemOne redeems one link.
func BenchmarkRedeemOne(b *testing.B) { benchRedeem(b, benchSQLite, 1) }

func benchRedeem(b *testing.B, open benchOpen, links int64) {
	bench(b, open, func(s *Store, n int64) error {
		link := fmt.Sprintf("link_%026d", n%links)
		return s.Update(service.Prefetch(context.Background(), link), benchLedger, func(tx service.Tx) error {
			l, err := tx.Link(benchLedger, link)
			if err != nil {
				return err
			}
			f, err := tx.File(benchLedger, l.FileID)
			if err != nil {
				return err
			}
			k, err := tx.Key(benchLedger, l.KeyID)
			if err != nil {
				return err
			}
			now := time.Now()
			e := benchEntry(n, sluice.LinkRedeemed, now, f, l)
			e.Key = &sluice.KeyPart{ID: k.ID, Name: k.Name}
			return tx.Redeemed(link, now, e)
		})
	})
}

func BenchmarkMint(b *testing.B) { benchMint(b, benchSQLite) }

func BenchmarkMintPostgres(b *testing.B) { benchMint(b, benchPostgres) }

func benchMint(b *testing.B, open benchOpen) {
	bench(b, open, func(s *Store, n int64) error {
		return s.Update(context.Background(), benchLedger, func(tx service.Tx) error {
			k, err := tx.Key(benchLedger, benchKey)
			if err != nil {
				return err
			}
			f, err := tx.File(benchLedger, fmt.Sprintf("file_%026d", n%benchLinks))
			if err != nil {
				return err
			}
			now := time.Now()
			l := benchLink(benchLinks+n, f.ID, now)
			e := benchEntry(n, sluice.LinkCreated, now, f, l)
			e.Actor = sluice.Actor{Type: sluice.ActorKey, ID: k.ID, Name: k.Name}
			return tx.CreateLink(l, e)
		})
	})
}

const (
	benchLinks = 2_000
	benchKey   = "key_00000000000000000000000001"
)

var benchLedger = sluice.LedgerID{Account: "acct_00000000000000000000000001", Mode: sluice.Live}

// benchOpen opens a new database; group is how many Updates may share a commit.
type benchOpen func(b *testing.B, group int) (*Store, error)

func benchSQLite(b *testing.B, group int) (*Store, error) {
	return openSQLite(filepath.Join(b.TempDir(), "sluice.db"), Options{}, group, time.Second)
}

func benchPostgres(b *testing.B, group int) (*Store, error) {
	return openPostgres(context.Background(), NewPostgres(b), Options{}.Complete(), group)
}

func bench(b *testing.B, open benchOpen, update func(*Store, int64) error) {
	for _, group := range []int{1, maxGroup} {
		for _, callers := range []int{1, 32, 64, 256} {
			b.Run(fmt.Sprintf("group=%d/callers=%d", group, callers), func(b *testing.B) {
				s, err := open(b, group)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				benchFill(b, s)
				var wg sync.WaitGroup
				var next atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime()
				for range callers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							if err := update(s, n); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
			})
		}
	}
}

// benchFill makes a key, and files with a link each.
func benchFill(b *testing.B, s *Store) {
	now := time.Now()
	err := s.Update(context.Background(), benchLedger, func(tx service.Tx) error {
		k := sluice.Key{ID: benchKey, Ledger: benchLedger, Name: "billing", Scopes: sluice.AllScopes(), Created: now,
			Updated: now}
		if err := tx.CreateKey(k, sluice.Entry{ID: "aud_key", Ledger: benchLedger, Time: now}); err != nil {
			return err
		}
		for i := range int64(benchLinks) {
			f := sluice.File{
				ID: fmt.Sprintf("file_%026d", i), Ledger: benchLedger, Purpose: "invoice",
				Filename: "invoice-2026-0042.pdf", Type: "application/pdf",
				Size: 48_213, Metadata: sluice.Metadata{"invoice": "INV-2026-0042", "region": "eu"}, Created: now,
				Updated: now,
			}
			if err := tx.CreateFile(f, benchEntry(-2*i-1, sluice.FileCreated, now, f, sluice.Link{})); err != nil {
				return err
			}
			l := benchLink(i, f.ID, now)
			if err := tx.CreateLink(l, benchEntry(-2*i-2, sluice.LinkCreated, now, f, l)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func benchLink(n int64, file string, now time.Time) sluice.Link {
	return sluice.Link{
		ID: fmt.Sprintf("link_%026d", n), Ledger: benchLedger, FileID: file, KeyID: benchKey, SigningKey: "0a1b2c3d",
		Reason: "monthly invoice", Metadata: sluice.Metadata{"customer": "4711"}, Created: now, Updated: now,
		Expires: now.Add(time.Hour),
	}
}

// benchID makes ids of which a hundred begin with the same nine characters, those of 32 milliseconds.
func benchID(prefix string, n int64) string { return fmt.Sprintf("%s%09d%017d", prefix, n/100, n) }

func benchEntry(n int64, a sluice.Action, now time.Time, f sluice.File, l sluice.Link) sluice.Entry {
	return sluice.Entry{
		ID: benchID("aud_", n), Ledger: benchLedger, Time: now, Action: a, Outcome: sluice.Allowed,
		Actor: sluice.Actor{Type: sluice.ActorBearer, ID: l.ID},
		File: &sluice.FilePart{ID: f.ID, Filename: f.Filename, Size: f.Size, Type: f.Type, SHA256: f.SHA256.String(),
			Purpose: f.Purpose, Metadata: f.Metadata},
		Link: &sluice.LinkPart{ID: l.ID, Expires: l.Expires, Reason: l.Reason, Metadata: l.Metadata},
		Request: &sluice.Request{
			ID: benchID("req_", n), Method: "GET", Route: "/l/{token}", IP: "203.0.113.7",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0" +
				" Safari/537.36",
		},
	}
}
