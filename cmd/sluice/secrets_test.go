package main

import (
	"path/filepath"
	"sync"
	"testing"

	"sluice/internal/service"
)

// Servers that start concurrently on an empty database share the secrets of the
// first one.
func TestConcurrentFirstStarts(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), secretsName)
		var configs [8]service.Config
		var all sync.WaitGroup
		for i := range configs {
			all.Go(func() {
				if err := loadSecrets(path, true, &configs[i]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		for _, c := range configs {
			if c.SigningKeys[0].ID() != configs[0].SigningKeys[0].ID() || c.LedgerKeys[0] != configs[0].LedgerKeys[0] {
				t.Fatal("two servers have different secrets")
			}
		}
	}
}
