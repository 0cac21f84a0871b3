package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCheckpointInTime proves new entries. The contract gives a checkpoint one second, which SLUICE_STRICT=1 enforces;
// a busy machine may take longer.
func TestCheckpointInTime(t *testing.T) {
	limit := time.Minute
	if os.Getenv("SLUICE_STRICT") != "" {
		limit = time.Second
	}
	p := startServer(t, filepath.Join(t.TempDir(), "data"))
	c := &crashClients{key: p.key, http: http.DefaultClient}
	for i := range 5 {
		if _, err := c.upload(p.url, fmt.Appendf(nil, "file %d", i)); err != nil {
			t.Fatal(err)
		}
		recorded := time.Now()
		var list struct{ Data []struct{ ID string } }
		if err := c.do("GET", p.url+"/v1/audit_entries?limit=1", nil, "", http.StatusOK, &list); err != nil {
			t.Fatal(err)
		}
		for {
			r, err := http.NewRequest("GET", p.url+"/v1/ledger/proof/inclusion?entry="+list.Data[0].ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+p.key)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
			if took := time.Since(recorded); took > limit {
				t.Fatalf("entry %d has no proof after %s: %s", i, took, res.Status)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("proved after %s", time.Since(recorded).Round(time.Millisecond))
	}
}
