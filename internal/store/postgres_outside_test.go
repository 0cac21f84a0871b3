package store_test

import (
	"testing"

	"sluice/internal/store"
	"sluice/sluicetest"
)

func init() {
	store.NewPostgres = sluicetest.Postgres
	store.NewPostgresServer = func(t testing.TB) (url string, stop, start func()) {
		s := sluicetest.NewPostgresServer(t)
		return s.NewDatabase(t), func() { s.Stop(t) }, func() { s.Start(t) }
	}
}
