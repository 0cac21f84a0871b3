package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sluice/api"
	"sluice/client"
)

// TestErasureKilled kills a server with SIGKILL again and again while it erases a person from thousands of entries, and
// exports the log meanwhile. The next server goes on. At the end nothing is left of the person, everything else
// verifies, and the erasure is recorded once, with each entry counted once.
func TestErasureKilled(t *testing.T) {
	data, dir := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "log")
	t.Setenv("SLUICE_DATA", data)
	p := startLog(t, data)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	const batches = 25
	ids := strings.TrimSuffix(strings.Repeat(`"`+file+`",`, 100), ",")
	for range batches {
		body := fmt.Sprintf(`{"file_ids":[%s],"recipients":[{"email":"ann@bank.example"}],"verification":"none"}`, ids)
		err := c.do("POST", p.url+"/v1/file_links/batch", strings.NewReader(body), "application/json", 200, &struct{}{})
		if err != nil {
			t.Fatal(err)
		}
	}
	server, err := client.New(p.url, p.key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := server.BeginErasure(t.Context(), api.NewErasure{Recipient: "ann@bank.example"})
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for last := int64(-1); ; {
		eventually(t, func() error {
			if last < 0 {
				return nil // as it began
			}
			if e, err = server.Erasure(t.Context(), e.ID); err == nil && e.Entries <= last && e.State == api.ErasureRunning {
				err = fmt.Errorf("it has not gone on: %+v", e)
			}
			return err
		})
		if e.State == api.ErasureEnded {
			break
		}
		if last = e.Entries; last < batches*100/2 {
			if kills++; kills == 2 {
				sluiceRun(t, 0, "audit", "export", dir)
			}
			p.kill()
			p = startServer(t, data)
			t.Setenv("SLUICE_URL", p.url)
			if server, err = client.New(p.url, c.key); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("killed %d times", kills)
	if e.Entries != batches*100 || e.Links != batches*100 || kills == 0 {
		t.Errorf("%+v after %d kills", e, kills)
	}
	if out := sluiceRun(t, 0, "audit", "ls", "--action", "audit.erased", "--json"); strings.Count(out, "\n") != 1 {
		t.Errorf("recorded as %s", out)
	}
	if kills > 1 {
		sluiceRun(t, 0, "audit", "verify", dir) // the copy that was made meanwhile
	}
	awaitCheckpoint(t, p, batches*100+4)
	sluiceRun(t, 0, "audit", "export", dir)
	sluiceRun(t, 0, "audit", "verify", dir)
	if text := string(readFolder(t, dir)[disclosuresName]); strings.Contains(text, "ann@") {
		t.Error("an export has the person still")
	}
	if p.stop() != 0 {
		t.Error("the server did not stop well")
	}
	sluiceRun(t, 0, "fsck")
}
