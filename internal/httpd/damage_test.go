package httpd_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/blob"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// eachStorage runs a test with files in a folder and with files in S3. The test gets a client of a server that caches
// small files in memory, and the path of the bytes of a file.
func eachStorage(t *testing.T, test func(t *testing.T, c client, path func(id string) string)) {
	t.Run("disk", func(t *testing.T) {
		c := newOver(t, func(config *service.Config) { config.Blobs = blob.Cached(config.Blobs) }, 0)
		test(t, c, func(id string) string { return filepath.Join(c.Dir, "blobs", id[len(id)-2:], id) })
	})
	t.Run("S3", func(t *testing.T) {
		s3 := newS3(t)
		c := newOver(t, func(config *service.Config) { config.Blobs = blob.Cached(openS3(t, s3)) }, 0)
		test(t, c, func(id string) string { return s3.Path("files/" + id) })
	})
}

func newS3(t *testing.T) *sluicetest.S3Server {
	if testing.Short() {
		t.Skip("it starts an S3 server")
	}
	return sluicetest.NewS3Server(t)
}

func openS3(t *testing.T, s *sluicetest.S3Server) *blob.S3 {
	t.Helper()
	options, err := blob.ParseS3URL(s.URL("files"))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := blob.OpenS3(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	return bucket
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A small file with one changed bit is not sent, and the download does not count. After the bytes are restored, the
// same link gives the file.
func TestChangedBit(t *testing.T) {
	eachStorage(t, func(t *testing.T, c client, path func(id string) string) {
		content := bytes.Repeat([]byte("0123456789abcdef"), 4096/16)
		for name, place := range map[string]int{"first byte": 0, "last byte": len(content) - 1} {
			f := c.upload(t, name, "text/plain", string(content))
			l := c.mint(t, f.ID, `{"max_downloads": 1}`)
			damaged := bytes.Clone(content)
			damaged[place] ^= 1
			writeFile(t, path(f.ID), damaged)
			for range 2 { // also when it was read before
				a := c.get(t, l.URL)
				c.problem(t, a, sluice.CodeInternal)
				if bytes.Contains(a.body, damaged[1:100]) {
					t.Errorf("%s: changed bytes were sent: %q", name, a.body)
				}
				entries := c.Entries(t, c.Ledger(sluice.Test))
				if d := entries[len(entries)-2].Delivery; d == nil || !d.Returned || d.Sent.Bytes != 0 {
					t.Errorf("%s: the redemption says %+v", name, d)
				}
			}
			if n := c.downloads(t, l.ID); n != 0 {
				t.Errorf("%s: %d downloads are counted", name, n)
			}
			if !loggedError(c, f.ID) {
				t.Errorf("%s: no error in the log names the file", name)
			}
			_, err := c.Gate.ReadFile(t.Context(), service.Operator(c.Ledger(sluice.Test)), f.ID, gate.Want{Method: "GET"})
			if sluice.CodeOf(err) != sluice.CodeInternal {
				t.Errorf("%s: a key reads changed bytes: %v", name, err)
			}

			writeFile(t, path(f.ID), content)
			if a := c.get(t, l.URL).want(t, 200); !bytes.Equal(a.body, content) {
				t.Errorf("%s: %d bytes after the repair", name, len(a.body))
			}
		}
	})
}

func loggedError(c client, id string) bool {
	for line := range strings.Lines(c.Log.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, id) {
			return true
		}
	}
	return false
}

// HEAD fails like GET when the bytes are missing or have another size.
func TestHeadOfDamaged(t *testing.T) {
	eachStorage(t, func(t *testing.T, c client, path func(id string) string) {
		for _, size := range []int{1000, 100_000} {
			content := strings.Repeat("x", size)
			for name, damage := range damages {
				f := c.upload(t, name, "text/plain", content)
				l := c.mint(t, f.ID, "")
				c.ask(t, "HEAD", l.URL, "").want(t, 200)
				if err := damage(path(f.ID)); err != nil {
					t.Fatal(err)
				}
				for _, method := range []string{"HEAD", "GET"} {
					if a := c.ask(t, method, l.URL, ""); a.status != 500 {
						t.Errorf("%s of %d bytes, %s: %d", method, size, name, a.status)
					}
				}
				if !loggedError(c, f.ID) {
					t.Errorf("%d bytes, %s: no error in the log names the file", size, name)
				}
			}
		}
	})
}

var damages = map[string]func(path string) error{
	"cut":     func(path string) error { return os.Truncate(path, 3) },
	"grown":   func(path string) error { return os.Truncate(path, 200_000) },
	"missing": os.Remove,
}

// A request for a file whose bytes are missing or have another size is not redirected, and the download does not
// count.
func TestRedirectOfDamaged(t *testing.T) {
	s3 := newS3(t)
	bucket := openS3(t, s3)
	c := newRedirecting(t, func(config *service.Config) { config.Blobs = blob.Cached(bucket) }, bucket, 0)
	for name, damage := range damages {
		f := c.upload(t, name, "text/plain", strings.Repeat("x", 100_000))
		l := c.mint(t, f.ID, "")
		if err := damage(s3.Path("files/" + f.ID)); err != nil {
			t.Fatal(err)
		}
		c.problem(t, c.get(t, l.URL), sluice.CodeInternal)
		if err := c.Gate.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := c.downloads(t, l.ID); n != 0 {
			t.Errorf("%s: %d downloads are counted", name, n)
		}
	}
}

// Something other than a file in the place of the bytes is refused, whatever its size.
func TestNoFileInPlace(t *testing.T) {
	c := newOver(t, func(config *service.Config) { config.Blobs = blob.Cached(config.Blobs) }, 0)
	f := c.upload(t, "a.txt", "text/plain", "content")
	l := c.mint(t, f.ID, "")
	path := filepath.Join(c.Dir, "blobs", f.ID[len(f.ID)-2:], f.ID)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"HEAD", "GET"} {
		if a := c.ask(t, method, l.URL, ""); a.status != 500 {
			t.Errorf("%s: %d", method, a.status)
		}
	}
}

// The scrub finds the same in S3 as on disk.
func TestScrubOfS3(t *testing.T) {
	s3 := newS3(t)
	bucket := openS3(t, s3)
	c := newOver(t, func(config *service.Config) { config.Blobs = blob.Cached(bucket) }, 0)
	claim(t, c, bucket)
	want := map[string]string{}
	for name, d := range map[string]struct {
		size    int
		damage  func(path string) error
		problem string
	}{
		"whole":   {100_000, func(string) error { return nil }, ""},
		"cut":     {100_000, damages["cut"], "size"},
		"grown":   {1000, damages["grown"], "size"},
		"missing": {1000, damages["missing"], "missing"},
		"changed": {100_000, func(path string) error {
			return os.WriteFile(path, bytes.Repeat([]byte("y"), 100_000),
				0o600)
		}, "sha256"},
	} {
		f := c.upload(t, name, "text/plain", strings.Repeat("x", d.size))
		if err := d.damage(s3.Path("files/" + f.ID)); err != nil {
			t.Fatal(err)
		}
		if d.problem != "" {
			want[name] = d.problem
		}
	}
	for range 2 {
		if n, err := c.Scrub.Run(t.Context(), service.ScrubInterval); n != 5 || err != nil {
			t.Error(n, err)
		}
		got := map[string]string{}
		for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
			if e.Action == sluice.FileDamaged {
				got[e.File.Filename] += string(e.File.Found.Problem)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		c.Clock.Advance(service.ScrubInterval)
	}
}

// claim marks a folder or bucket as that of the installation of a client.
func claim(t *testing.T, c client, b service.Blobs) {
	t.Helper()
	var id string
	err := c.Store.View(t.Context(), func(r service.Reader) (err error) {
		id, err = r.Installation()
		return err
	})
	if err := errors.Join(err, b.Claim(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
}

// The API, the CSV export and the metrics show what the scrub found.
func TestScrubIsShown(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	claim(t, c, c.Blobs)
	_, secret := c.NewKey(t, c.Ledger(sluice.Live))
	live := c.as(secret)
	metrics := func(want ...string) {
		t.Helper()
		if err := c.Scrub.Watch(ctx); err != nil {
			t.Fatal(err)
		}
		text := string(live.ask(t, "GET", "/metrics", "").want(t, 200).body)
		for _, line := range want {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("no %q in the metrics", line)
			}
		}
	}
	metrics("sluice_damaged_files 0", "sluice_scrub_progress_ratio 0", "sluice_scrub_completed_timestamp_seconds 0",
		"sluice_scrub_read_bytes_total 0")

	f := c.upload(t, "a.txt", "text/plain", "content")
	writeFile(t, filepath.Join(c.Dir, "blobs", f.ID[len(f.ID)-2:], f.ID), []byte("Content"))
	if n, err := c.Scrub.Run(ctx, service.ScrubInterval); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	metrics("sluice_damaged_files 1", "sluice_scrub_progress_ratio 1", "sluice_scrub_read_bytes_total 14",
		fmt.Sprintf("sluice_scrub_completed_timestamp_seconds %g", float64(c.Now().Unix())))

	list := read[api.List[api.AuditEntry]](t,
		c.ask(t, "GET", "/v1/audit_entries?action=file.damaged&file_id="+f.ID, "").want(t, 200))
	if len(list.Data) != 1 {
		t.Fatalf("%d entries", len(list.Data))
	}
	e, size := list.Data[0], int64(7)
	want := api.Found{Problem: "sha256", Size: &size, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("Content")))}
	if diff := cmp.Diff(&want, e.File.Found); diff != "" || e.File.SHA256 != f.SHA256 || e.File.Size != 7 ||
		e.Actor != (api.Actor{Type: "system", Name: "scrub"}) || e.Outcome != "allowed" {
		t.Errorf("%+v %+v %s", e, e.File, diff)
	}
	found := `{""problem"":""sha256"",""size"":7,""sha256"":""` + want.SHA256 + `""}`
	if csv := c.ask(t, "GET", "/v1/audit_entries/export?format=csv", "").want(t, 200); !strings.Contains(string(csv.body),
		found) {
		t.Errorf("the CSV is %s", csv.body)
	}
}
