package service_test

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/sluicetest"
)

// second returns the same service on a Store of its own, like that of another process.
func (f *fixture) second() *service.Service {
	f.Helper()
	var db *store.Store
	var err error
	if f.base.Database != "" {
		db, err = store.OpenPostgres(ctx, f.base.Database, store.Options{})
	} else {
		db, err = store.OpenSQLite(filepath.Join(f.base.Dir, "sluice.db"), store.Options{})
	}
	if err != nil {
		f.Fatal(err)
	}
	c := f.config
	c.Store = db
	s, err := service.New(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	return s
}

// eachDatabase runs a test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, test func(*testing.T, *fixture)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newFixture(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, newFixtureOver(t, sluicetest.NewServiceOn(t, sluicetest.Postgres(t))))
	})
}

// TestNoCallerAfterTheEnd revokes a key through one store while many callers authenticate with it through another one.
// After the revocation has returned, no caller is authenticated.
func TestNoCallerAfterTheEnd(t *testing.T) { eachDatabase(t, testNoCallerAfterTheEnd) }

func testNoCallerAfterTheEnd(t *testing.T, f *fixture) {
	other := f.second()
	var admitted atomic.Int64
	for range 5 {
		k, secret := f.base.NewKey(t, f.ledger)
		var all sync.WaitGroup
		var ended atomic.Bool
		for range 8 {
			all.Go(func() {
				for {
					late := ended.Load()
					switch _, err := f.Keys.Authenticate(ctx, secret, sluice.Request{}); {
					case err == nil && late:
						t.Error("authenticated after the revocation returned")
						return
					case err == nil:
						admitted.Add(1)
					default:
						wantCode(t, err, sluice.CodeUnauthenticated)
						return
					}
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		if _, err := other.Keys.Revoke(ctx, f.caller, k.ID, nil); err != nil {
			t.Error(err)
		}
		ended.Store(true)
		all.Wait()
	}
	if admitted.Load() == 0 {
		t.Error("no caller was authenticated")
	}
}
