package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/service"
)

const crashRounds = 20

// TestCrash kills the real binary while many clients upload, mint, download and
// revoke. It starts the binary again and compares the data with the responses:
// every confirmed upload is complete and downloadable, every confirmed link
// works, a link whose revocation was confirmed does not, every download that
// received a byte has its entry, no orphan survives the sweeps, and seq has no
// gaps. At the end sluice fsck --deep finds nothing, and what any round
// confirmed is still there.
//
// SLUICE_LONG=1 runs a thousand rounds; docs/faults.md has the results.
func TestCrash(t *testing.T) {
	rounds, began := crashRounds, time.Now()
	if os.Getenv("SLUICE_LONG") != "" {
		rounds = 1000
	}
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data, "--no-rate-limit")
	c := &crashClients{key: p.key, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		stored: map[string]bool{}}
	if c.key == "" {
		t.Fatal("the first start printed no key")
	}
	for round := range rounds {
		c.load(p.url, time.Duration(100+rand.IntN(400))*time.Millisecond, p.kill)
		c.sweepAndCompare(t, data)
		p = startServer(t, data, "--no-rate-limit")
		c.verify(t, p.url)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		if (round+1)%100 == 0 {
			t.Logf("%d rounds after %v: %s", round+1, time.Since(began).Round(time.Second), c)
		}
	}
	t.Logf("%d rounds: %s", rounds, c)
	if c.uploads == 0 || c.mints == 0 || c.begun == 0 || c.revocations == 0 {
		t.Error("the clients got nothing done, so nothing was tested")
	}
	if code := p.stop(); code != 0 {
		t.Errorf("an orderly stop exits with %d", code)
	}
	if code, said := fsckRun(t, data, "--deep"); code != 0 {
		t.Errorf("fsck exits with %d:\n%s", code, said)
	}
	c.verifyRecords(t, data)
}

// crashClients are clients of one server, with the responses they got.
type crashClients struct {
	key  string
	http *http.Client

	mu      sync.Mutex
	files   map[string][32]byte // confirmed uploads of this round
	links   map[string]string   // confirmed links of this round: URL path to file
	started map[string]int      // downloads of this round that received a byte, by link
	revoked map[string]bool     // URL paths whose revocation was confirmed in this round
	stored  map[string]bool     // confirmed uploads of all rounds

	uploads, mints, begun, revocations, orphans int
	nextSeq                                     int64
}

// String says what was confirmed.
func (c *crashClients) String() string {
	return fmt.Sprintf("%d confirmed uploads, %d confirmed links, %d confirmed revocations, %d downloads begun, "+
		"%d entries, %d orphans swept", c.uploads, c.mints, c.revocations, c.begun, c.nextSeq, c.orphans)
}

// load runs clients until kill is called and all have noticed.
func (c *crashClients) load(base string, after time.Duration, kill func()) {
	c.files, c.links, c.started = map[string][32]byte{}, map[string]string{}, map[string]int{}
	c.revoked = map[string]bool{}
	var clients sync.WaitGroup
	for range 12 {
		clients.Go(func() {
			for c.session(base) == nil && c.revoke(base) == nil {
			}
		})
	}
	time.Sleep(after)
	kill()
	clients.Wait()
}

// session uploads a file, mints a link to it, and downloads it.
func (c *crashClients) session(base string) error {
	content := make([]byte, rand.IntN(1<<uint(rand.IntN(19))))
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	id, err := c.upload(base, content)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.files[id] = sha256.Sum256(content)
	if c.stored != nil {
		c.stored[id] = true
	}
	c.uploads++
	c.mu.Unlock()
	link, path, err := c.mint(base, id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.links[path] = id
	c.mints++
	c.mu.Unlock()
	return c.download(base, path, link)
}

// revoke mints a link to a file and revokes it.
func (c *crashClients) revoke(base string) error {
	c.mu.Lock()
	file := ""
	for file = range c.files {
		break
	}
	c.mu.Unlock()
	link, path, err := c.mint(base, file)
	if err != nil {
		return err
	}
	var answer struct{ Deleted bool }
	if err := c.do("DELETE", base+"/v1/file_links/"+link, nil, "", http.StatusOK, &answer); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked[path] = true
	c.revocations++
	return nil
}

func (c *crashClients) do(method, target string, body io.Reader, contentType string, want int, into any) error {
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s %s: %s %s", method, target, res.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

func (c *crashClients) upload(base string, content []byte) (string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "crash.bin")
	if err != nil {
		return "", err
	}
	part.Write(content)
	form.WriteField("purpose", "export")
	form.Close()
	var file struct{ ID string }
	err = c.do("POST", base+"/v1/files", &body, form.FormDataContentType(), http.StatusCreated, &file)
	return file.ID, err
}

func (c *crashClients) mint(base, file string) (link, path string, err error) {
	var answer struct{ ID, URL string }
	err = c.do("POST", base+"/v1/files/"+file+"/links", strings.NewReader(`{"reason":"crash test"}`), "application/json",
		http.StatusOK, &answer)
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(answer.URL)
	if err != nil {
		return "", "", err
	}
	return answer.ID, u.Path, nil
}

// download records the link as soon as a byte of content has arrived.
func (c *crashClients) download(base, path, link string) error {
	res, err := c.http.Get(base + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	first := make([]byte, 1)
	if n, _ := res.Body.Read(first); n == 1 {
		c.mu.Lock()
		c.started[link]++
		c.begun++
		c.mu.Unlock()
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// sweepAndCompare runs sweeps on a data folder without a server, and compares
// the remaining blobs with the records.
func (c *crashClients) sweepAndCompare(t *testing.T, data string) {
	t.Helper()
	ctx := context.Background()
	i, err := place{Data: data}.open(t.Context(), service.Config{PublicURL: "http://localhost",
		Log: slog.New(slog.DiscardHandler)}, opening{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.close()
	for range 2 { // the first sweep finds the orphans, the second moves them
		swept, err := i.service.Sweep.Run(ctx, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		c.orphans += swept.Total()
	}
	blobs := map[string]bool{}
	var keys []string
	err = i.blobs.Walk(ctx, func(key string, _ time.Time) error {
		blobs[key] = true
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for some := range slices.Chunk(keys, 500) {
		err := i.store.View(ctx, func(r service.Reader) error {
			active, err := r.KnownFiles(some)
			for _, key := range some {
				if err == nil && !active[key] {
					t.Errorf("orphan %s outlived the sweep", key)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for id := range c.files {
		if !blobs[id] {
			t.Errorf("confirmed upload %s has no bytes", id)
		}
	}
	leftovers, err := filepath.Glob(filepath.Join(data, "blobs", "tmp", "*"))
	if err != nil || len(leftovers) > 0 {
		t.Errorf("unfinished uploads outlived the sweep: %v %v", leftovers, err)
	}
	if _, err := os.Stat(filepath.Join(data, "blobs")); err != nil {
		t.Fatal(err)
	}
}

func (c *crashClients) verify(t *testing.T, base string) {
	t.Helper()
	redeemed := c.verifyLog(t, base)
	for link, n := range c.started {
		if redeemed[link] < n {
			t.Errorf("%d downloads by %s got bytes, and %d are in the log", n, link, redeemed[link])
		}
	}
	for path, file := range c.links {
		c.verifyDownload(t, base+path, file)
	}
	for path := range c.revoked {
		res, err := c.http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusGone {
			t.Errorf("a link whose revocation was confirmed: %s", res.Status)
		}
	}
	linked := map[string]bool{}
	for _, file := range c.links {
		linked[file] = true
	}
	for file := range c.files {
		if linked[file] {
			continue // its own link has just worked
		}
		_, path, err := c.mint(base, file)
		if err != nil {
			t.Errorf("confirmed upload %s: %v", file, err)
			continue
		}
		c.verifyDownload(t, base+path, file)
	}
}

func (c *crashClients) verifyDownload(t *testing.T, target, file string) {
	t.Helper()
	res, err := c.http.Get(target)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("confirmed link to %s: %s %v", file, res.Status, err)
		return
	}
	if want := c.files[file]; !bytes.Equal(h.Sum(nil), want[:]) {
		t.Errorf("%s came back with other bytes", file)
	}
}

// verifyLog reads the entries since the last round, newest first, and counts
// the redemptions of each link.
func (c *crashClients) verifyLog(t *testing.T, base string) map[string]int {
	t.Helper()
	redeemed := map[string]int{}
	var newest, seq int64 = -1, -1
	for after := ""; ; {
		target := base + "/v1/audit_entries?limit=100"
		if after != "" {
			target += "&starting_after=" + after
		}
		var page struct {
			Data []struct {
				ID, Action string
				Seq        int64
				Link       struct{ ID string }
			}
			HasMore bool `json:"has_more"`
		}
		if err := c.do("GET", target, nil, "", http.StatusOK, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Data {
			if newest < 0 {
				newest, seq = e.Seq, e.Seq+1
			}
			if e.Seq != seq-1 {
				t.Fatalf("seq %d follows %d", seq, e.Seq)
			}
			seq = e.Seq
			if e.Action == "link.redeemed" {
				redeemed[e.Link.ID]++
			}
			after = e.ID
		}
		if !page.HasMore || seq <= c.nextSeq {
			break
		}
	}
	if seq > c.nextSeq {
		t.Fatalf("the log begins at %d, and %d was expected", seq, c.nextSeq)
	}
	c.nextSeq = newest + 1
	return redeemed
}

// verifyRecords wants a record of every upload that any round confirmed, in a
// data folder without a server.
func (c *crashClients) verifyRecords(t *testing.T, data string) {
	t.Helper()
	i, err := place{Data: data}.open(t.Context(), service.Config{PublicURL: "http://localhost",
		Log: slog.New(slog.DiscardHandler)}, opening{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.close()
	err = i.store.View(t.Context(), func(r service.Reader) error {
		for id := range c.stored {
			if active, err := r.KnownFiles([]string{id}); err != nil || !active[id] {
				return fmt.Errorf("confirmed upload %s has no record: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCrashAtStart kills the first start at random moments. The next start
// always completes it and prints a working key.
func TestCrashAtStart(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for range crashRounds {
		data := filepath.Join(t.TempDir(), "data")
		var printed bytes.Buffer
		cmd := newServe(path, data, &printed)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		p := startServer(t, data)
		key := p.key
		if key == "" {
			key = secret.FindString(printed.String())
		}
		if key == "" {
			t.Log("a key was made and killed before it was printed; the operator makes another")
		} else {
			var list struct{ Object string }
			c := &crashClients{key: key, http: http.DefaultClient}
			if err := c.do("GET", p.url+"/v1/files", nil, "", http.StatusOK, &list); err != nil {
				t.Error(err)
			}
		}
		p.kill()
	}
}
