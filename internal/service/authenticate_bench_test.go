package service_test

import (
	"testing"

	"sluice"
	"sluice/sluicetest"
)

// BenchmarkAuthenticate is what a request pays for its key: alone, and with 32 others that bring the same key at the
// same moment.
func BenchmarkAuthenticate(b *testing.B) {
	for _, db := range []struct {
		name string
		open func() *sluicetest.Service
	}{
		{"SQLite", func() *sluicetest.Service { return sluicetest.NewService(b) }},
		{"PostgreSQL", func() *sluicetest.Service { return sluicetest.NewServiceOn(b, sluicetest.Postgres(b)) }},
	} {
		b.Run(db.name, func(b *testing.B) {
			s := db.open()
			_, secret := s.NewKey(b, s.Ledger(sluice.Test))
			ask := func(b *testing.B) {
				if _, err := s.Keys.Authenticate(ctx, secret, sluice.Request{}); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("alone", func(b *testing.B) {
				for b.Loop() {
					ask(b)
				}
			})
			b.Run("together", func(b *testing.B) {
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						ask(b)
					}
				})
			})
		})
	}
}
