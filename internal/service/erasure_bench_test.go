package service_test

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// BenchmarkErasure erases a person from a hundred thousand entries. It reports the longest and the mean time that an
// upload of another client waited beside it.
func BenchmarkErasure(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkErasure(b, "") })
	b.Run("PostgreSQL", func(b *testing.B) { benchmarkErasure(b, sluicetest.Postgres(b)) })
}

func benchmarkErasure(b *testing.B, database string) {
	const entries = 100_000
	s := sluicetest.NewServiceOn(b, database)
	s.Tampered = true
	l := s.Ledger(sluice.Test)
	fill := func(address string, n int) {
		for range n / 500 {
			err := s.Store.Update(b.Context(), l, func(tx service.Tx) error {
				for range 500 {
					e := s.NewEntry(service.Caller{Ledger: l, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: "link_1"},
						Request: sluice.Request{ID: "req_1", IP: "192.0.2.1", ClientIP: "192.0.2.1", UserAgent: "curl/8"},
					}, sluice.LinkVerified, s.Now())
					e.Link, e.Recipient = &sluice.LinkPart{ID: "link_1"}, &sluice.RecipientPart{Email: address}
					if err := tx.Record(e); err != nil {
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
	for b.Loop() {
		b.StopTimer()
		fill("ann@bank.example", entries)
		if _, err := s.Erasures.Begin(b.Context(), service.Operator(l), service.NewErasure{
			Recipient: "ann@bank.example"}); err != nil {
			b.Fatal(err)
		}
		done, waited := make(chan struct{}), make(chan [2]time.Duration)
		go func() {
			var longest, all, n time.Duration
			for {
				select {
				case <-done:
					waited <- [2]time.Duration{longest, all / max(n, 1)}
					return
				default:
				}
				began := time.Now()
				if err := s.Store.Update(b.Context(), l, func(tx service.Tx) error {
					return tx.Record(s.NewEntry(service.Operator(l), sluice.AccessDenied, s.Now()))
				}); err != nil {
					b.Error(err)
				}
				took := time.Since(began)
				longest, all, n = max(longest, took), all+took, n+1
			}
		}()
		b.StartTimer()
		n, err := s.Erasures.Run(b.Context())
		b.StopTimer()
		close(done)
		w := <-waited
		if err != nil || n != entries {
			b.Fatal(n, err)
		}
		b.ReportMetric(float64(w[0].Milliseconds()), "longest-ms")
		b.ReportMetric(float64(w[1].Microseconds())/1000, "mean-ms")
		b.StartTimer()
	}
}
