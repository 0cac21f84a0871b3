package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/client"
	"sluice/internal/follow/anchor"
	"sluice/internal/service"
	"sluice/ledger"
	"sluice/sluicetest"
)

// entries is the size of a log with more than one bundle, the last of them
// partial.
const entries = 300

// logServer returns a server whose test log has that many entries, most of them
// with personal fields.
func logServer(t *testing.T, n int) *sluicetest.Server {
	t.Helper()
	s := sluicetest.NewServer(t)
	growLog(t, s, n)
	return s
}

func growLog(t *testing.T, s *sluicetest.Server, n int) {
	t.Helper()
	caller := service.Operator(s.Ledger(sluice.Test))
	caller.Request = sluice.Request{IP: "192.0.2.7", UserAgent: "curl/8"}
	for len(s.Entries(t, s.Ledger(sluice.Test))) < n {
		for range min(50, n) {
			if _, err := s.Keys.Create(context.Background(), caller, service.NewKey{Name: "one more"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Checkpoint(t)
}

// audit runs an audit command against a server and returns its output.
func audit(t *testing.T, s *sluicetest.Server, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	t.Setenv("SLUICE_URL", s.URL)
	t.Setenv("SLUICE_KEY", s.Secret)
	var out, errs bytes.Buffer
	if got := run(context.Background(), append([]string{"audit"}, args...), &out, &errs); got != want {
		t.Fatalf("sluice audit %q exits with %d, want %d\n%s%s", args, got, want, &out, &errs)
	}
	return out.String(), errs.String()
}

// exportLog exports the log of a server to a new folder.
func exportLog(t *testing.T, s *sluicetest.Server) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	audit(t, s, 0, "export", dir)
	return dir
}

func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// tamper changes a file in a folder.
func tamper(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	name = filepath.Join(dir, name)
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte { data[(at+len(data))%len(data)] ^= 1; return data }
}

func strangersKey(t *testing.T, like string) string {
	t.Helper()
	name, _, _ := strings.Cut(like, "+")
	signer, err := ledger.NewSigner(sluicetest.NewLedgerKey(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return signer.VerifierKey()
}

func TestVerifyNamesFault(t *testing.T) {
	s := logServer(t, entries)
	whole := exportLog(t, s)
	key, err := os.ReadFile(filepath.Join(whole, keyName))
	if err != nil {
		t.Fatal(err)
	}
	vkey := strings.TrimSpace(string(key))
	stranger := strangersKey(t, vkey)
	width := entryCount(t, whole) - 256
	for _, c := range []struct {
		name  string
		spoil func(dir string)
		vkey  string
		says  string
	}{
		{"hash tile", func(dir string) { tamper(t, dir, "tile/0/000", flip(40)) }, vkey,
			`tile fault: tile/0/000: hash 1 does not match`},
		{"hash tile of level 1", func(dir string) { tamper(t, dir, "tile/1/000.p/1", flip(0)) }, vkey,
			`tile fault: tile/1/000.p/1`},
		{"short tile", func(dir string) { tamper(t, dir, "tile/0/000", func(b []byte) []byte { return b[1:] }) }, vkey,
			`tile fault: tile/0/000`},
		{"entry", func(dir string) { tamper(t, dir, "tile/entries/000", flip(60)) }, vkey,
			`entry fault: entry 0 \(tile/entries/000\)`},
		{"last entry", func(dir string) { tamper(t, dir, fmt.Sprintf("tile/entries/001.p/%d", width), flip(-9)) }, vkey,
			fmt.Sprintf(`entry fault: entry %d \(tile/entries/001.p/%d\)`, 255+width, width)},
		{"checkpoint", func(dir string) { tamper(t, dir, checkpointName, flip(-9)) }, vkey, `checkpoint fault: checkpoint: `},
		{"size", func(dir string) {
			tamper(t, dir, checkpointName, func(b []byte) []byte {
				return bytes.Replace(b, fmt.Appendf(nil, "\n%d\n", 256+width), []byte("\n299\n"), 1)
			})
		}, vkey, `checkpoint fault: checkpoint: `},
		{"value", func(dir string) {
			tamper(t, dir, disclosuresName,
				func(b []byte) []byte { return bytes.Replace(b, []byte("192.0.2.7"), []byte("192.0.2.8"), 1) })
		}, vkey, `disclosure fault: entry \d+ \(disclosures /request/ip\): salt and value do not open`},
		{"disclosure of nothing", func(dir string) {
			tamper(t, dir, disclosuresName, func(b []byte) []byte {
				line, err := ledger.AppendDisclosure(nil, ledger.Disclosure{Seq: 5000, Field: "/request/ip", Value: "192.0.2.1"})
				if err != nil {
					t.Fatal(err)
				}
				return append(append(b, line...), '\n')
			})
		}, vkey, `disclosure fault: entry 5000 .*the log has no such entry`},
		{"own key", func(dir string) { tamper(t, dir, keyName, flip(-3)) }, vkey, `key fault: key: `},
		{"stranger's key in the folder", func(dir string) {
			tamper(t, dir, keyName, func([]byte) []byte { return []byte(stranger + "\n") })
		}, vkey, `key fault: key: the key that came with the log`},
		{"stranger's key", func(string) {}, stranger, `checkpoint fault: checkpoint: `},
		{"rotations", func(dir string) {
			tamper(t, dir, rotationsName, func([]byte) []byte { return []byte("c2sp.org/tlog-proof@v1\n") })
		}, vkey, `rotations fault: rotations: `},
		{"no checkpoint", func(dir string) { os.Remove(filepath.Join(dir, checkpointName)) }, vkey,
			`checkpoint fault: checkpoint: .*no such file`},
		{"no disclosures", func(dir string) { os.Remove(filepath.Join(dir, disclosuresName)) }, vkey,
			`disclosure fault: disclosures: .*no such file`},
		{"no key", func(dir string) { os.Remove(filepath.Join(dir, keyName)) }, vkey, `key fault: key: .*no such file`},
		{"no rotations", func(dir string) { os.Remove(filepath.Join(dir, rotationsName)) }, vkey,
			`rotations fault: rotations: .*no such file`},
		{"no tile", func(dir string) { os.Remove(filepath.Join(dir, "tile/0/000")) }, vkey,
			`tile fault: tile/0/000: .*no such file`},
		{"no bundle", func(dir string) { os.Remove(filepath.Join(dir, "tile/entries/000")) }, vkey,
			`entry fault: entries 0 to 255 \(tile/entries/000\): .*no such file`},
		{"folder for a file", func(dir string) {
			os.Remove(filepath.Join(dir, "tile/0/000"))
			os.Mkdir(filepath.Join(dir, "tile/0/000"), 0o700)
		}, vkey, `tile fault: tile/0/000: .*not a regular file`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyFolder(t, whole)
			c.spoil(dir)
			stdout, stderr := audit(t, s, exitFailed, "verify", dir, "--vkey", c.vkey)
			if !regexp.MustCompile(c.says).MatchString(stderr) || strings.Count(stderr, "\n") != 1 || stdout != "" {
				t.Errorf("stderr %q and stdout %q, want %q", stderr, stdout, c.says)
			}
			stdout, _ = audit(t, s, exitFailed, "verify", dir, "--vkey", c.vkey, "--json")
			if !strings.HasPrefix(stdout, `{"ok":false`) || !strings.Contains(stdout, `"fault":{"kind":"`) {
				t.Errorf("prints %s", stdout)
			}
		})
	}
}

func entryCount(t *testing.T, dir string) int {
	t.Helper()
	signed, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if err != nil {
		t.Fatal(err)
	}
	c, err := claimed(signed)
	if err != nil {
		t.Fatal(err)
	}
	return int(c.Size)
}

// Every byte of an export matters. The test changes all bytes of short files
// and some of the others.
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	s := logServer(t, entries)
	dir := exportLog(t, s)
	key, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for name, data := range readFolder(t, dir) {
		step := 1 + len(data)/40
		for at := 0; at < len(data); at += 1 + random.IntN(2*step) {
			changed := bytes.Clone(data)
			changed[at] ^= 1 << random.IntN(8)
			if err := os.WriteFile(filepath.Join(dir, name), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := run(context.Background(), []string{"audit", "verify", dir, "--vkey", strings.TrimSpace(string(key))},
				&out, &errs); code != exitFailed {
				t.Errorf("%s, byte %d, %q instead of %q: exit %d\n%s%s", name, at, changed[at], data[at], code, &out, &errs)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	audit(t, s, 0, "verify", dir)
}

func readFolder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name], err = fs.ReadFile(root, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// An export reads nothing outside its folder, even through symbolic links.
func TestFolderIsConfined(t *testing.T) {
	s := logServer(t, 3)
	dir, other := exportLog(t, s), exportLog(t, s)
	if err := os.Remove(filepath.Join(dir, checkpointName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(other, checkpointName), filepath.Join(dir, checkpointName)); err != nil {
		t.Fatal(err)
	}
	if _, stderr := audit(t, s, exitFailed, "verify", dir); !strings.Contains(stderr, "escapes") {
		t.Errorf("says %q", stderr)
	}
}

// Text from an untrusted folder is printed without terminal sequences.
func TestVerifyEscapesOutput(t *testing.T) {
	s := logServer(t, 3)
	dir := exportLog(t, s)
	tamper(t, dir, checkpointName, func(b []byte) []byte { return append([]byte("\x1b[2Jowned\u202e"), b...) })
	name := filepath.Join(t.TempDir(), "x\x1b[31m")
	if err := os.Rename(dir, name); err != nil {
		t.Fatal(err)
	}
	_, stderr := audit(t, s, exitFailed, "verify", name)
	if strings.ContainsAny(stderr, "\x1b\u202e") || !strings.Contains(stderr, `\x1b[31m`) {
		t.Errorf("says %q", stderr)
	}
}

// counting forwards requests to a server and counts them by path. It answers
// none from request stop on, unless stop is 0.
type counting struct {
	url   string
	asked atomic.Int64
	tiles atomic.Int64
	stop  int64
	stuck chan struct{} // closed at the first unanswered request
}

func newCounting(t *testing.T, to string, stop int64) *counting {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{stop: stop, stuck: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/tile/") {
			c.tiles.Add(1)
		}
		if n := c.asked.Add(1); c.stop > 0 && n >= c.stop {
			if n == c.stop {
				close(c.stuck)
			}
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	c.url = ts.URL
	return c
}

// An export that is killed at any request leaves either no checkpoint or the
// previous one with all its files. The next export completes it.
func TestExportKilled(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := logServer(t, entries)
	whole := newCounting(t, s.URL, 0)
	updated := exportLog(t, s)
	dir := filepath.Join(t.TempDir(), "log")
	audit(t, s, 0, "export", dir, "--url", whole.url)
	requests := whole.asked.Load()
	growLog(t, s, 2*entries)
	for stop := int64(1); stop <= requests; stop++ {
		for name, dir := range map[string]string{"new": filepath.Join(t.TempDir(), "log"), "update": copyFolder(t, updated)} {
			before := entriesIn(dir)
			stalling := newCounting(t, s.URL, stop)
			cmd := exec.Command(path, "audit", "export", dir, "--url", stalling.url, "--key", s.Secret)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-stalling.stuck:
				cmd.Process.Kill()
				<-ended
			case <-ended: // it needs fewer requests
			}
			if after := entriesIn(dir); after < before || after > 0 && after < 2*entries && after != before {
				t.Fatalf("%s, killed at request %d: %d entries of %d", name, stop, after, before)
			} else if after > 0 {
				audit(t, s, 0, "verify", dir)
			}
			audit(t, s, 0, "export", dir)
			audit(t, s, 0, "verify", dir)
			if got := entriesIn(dir); got < 2*entries {
				t.Fatalf("%s, killed at request %d: %d entries in the end", name, stop, got)
			}
			for file := range readFolder(t, dir) {
				if strings.HasSuffix(file, newSuffix) {
					t.Errorf("%s is left behind", file)
				}
			}
		}
	}
}

// entriesIn returns the size of the checkpoint in a folder, or 0.
func entriesIn(dir string) int64 {
	signed, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if err != nil {
		return 0
	}
	c, err := claimed(signed)
	if err != nil {
		panic(err)
	}
	return c.Size
}

// A kill between the last two steps of an update also leaves a valid export.
func TestExportKilledBetweenRenames(t *testing.T) {
	s := logServer(t, entries)
	older := exportLog(t, s)
	rotate(t, s)
	growLog(t, s, 2*entries)
	newer := copyFolder(t, older)
	audit(t, s, 0, "export", newer)

	t.Run("checkpoint without its disclosures", func(t *testing.T) {
		dir := copyFolder(t, newer)
		take(t, dir, older, disclosuresName)
		audit(t, s, 0, "verify", dir)
	})
	t.Run("rotations before their checkpoint", func(t *testing.T) {
		dir := copyFolder(t, older)
		take(t, dir, newer, rotationsName)
		audit(t, s, 0, "verify", dir)
	})
	t.Run("damaged rotations before their checkpoint", func(t *testing.T) {
		dir := copyFolder(t, older)
		take(t, dir, newer, rotationsName)
		tamper(t, dir, rotationsName, flip(-40))
		if _, stderr := audit(t, s, exitFailed, "verify", dir); !strings.Contains(stderr, "rotations fault") {
			t.Errorf("says %q", stderr)
		}
	})
	t.Run("the other order would not hold", func(t *testing.T) {
		dir := copyFolder(t, older)
		take(t, dir, newer, disclosuresName)
		audit(t, s, exitFailed, "verify", dir)
	})
}

// An update renames the checkpoint first, a new export the disclosures. commit
// fails here because the disclosures are missing.
func TestExportCommits(t *testing.T) {
	for _, update := range []bool{true, false} {
		dir := t.TempDir()
		f, err := openLogFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.root.Close()
		e := exporter{folder: f, signed: []byte("new"), update: update}
		if err := e.commit(); err == nil {
			t.Fatal("disclosures that were not written get their name")
		}
		if _, there := readFolder(t, dir)[checkpointName]; there != update {
			t.Errorf("update %v: the checkpoint has its final name: %v", update, there)
		}
	}
}

// If a server sends data that it did not sign, the export fails before it
// writes the checkpoint.
func TestExportChecks(t *testing.T) {
	s := logServer(t, entries)
	dir := exportLog(t, s)
	before := entriesIn(dir)
	growLog(t, s, 2*entries)
	for _, spoiled := range []string{"/v1/ledger/tile/0/001", "/v1/ledger/tile/entries/001", "/v1/ledger/disclosures"} {
		lying := spoil(t, s.URL, func(path string, body []byte) []byte {
			if path == spoiled {
				body[len(body)-40] ^= 1
			}
			return body
		})
		for _, dir := range []string{copyFolder(t, dir), filepath.Join(t.TempDir(), "log")} {
			had := entriesIn(dir)
			audit(t, s, exitFailed, "export", dir, "--url", lying)
			if got := entriesIn(dir); got != had || had != 0 && had != before {
				t.Errorf("%s: the folder has a checkpoint of %d entries and had one of %d", spoiled, got, had)
			}
			if entriesIn(dir) > 0 {
				audit(t, s, 0, "verify", dir)
			}
			audit(t, s, 0, "export", dir) // the invalid files are removed
			audit(t, s, 0, "verify", dir)
		}
	}
}

// An export does not silently repair a copy that was tampered with. It leaves
// the copy unchanged and fails, even if the server would replace the changed
// file.
func TestExportIntoATamperedCopy(t *testing.T) {
	s := logServer(t, 20)
	whole := exportLog(t, s)
	size := entryCount(t, whole)
	for _, grown := range []bool{false, true} {
		if grown {
			growLog(t, s, 30)
		}
		for _, c := range []struct {
			name, file string
			change     func([]byte) []byte
			says       string
		}{
			{"entries", fmt.Sprintf("tile/entries/000.p/%d", size), flip(60), "entry fault: entry 0 "},
			{"hashes", fmt.Sprintf("tile/0/000.p/%d", size), flip(40), "tile fault: tile/0/000.p/"},
			{"disclosures", disclosuresName, func(b []byte) []byte {
				return bytes.Replace(b, []byte("192.0.2.7"), []byte("192.0.2.8"), 1)
			}, "disclosure fault: "},
			{"rotations", rotationsName, func([]byte) []byte { return []byte("nothing\n") }, "rotations fault: "},
		} {
			t.Run(fmt.Sprintf("%s, grown %t", c.name, grown), func(t *testing.T) {
				dir := copyFolder(t, whole)
				tamper(t, dir, c.file, c.change)
				before := readFolder(t, dir)
				_, stderr := audit(t, s, exitFailed, "export", dir)
				if !strings.Contains(stderr, "is not valid: "+c.says) ||
					!strings.Contains(stderr, "keep it unchanged, and export into another folder") {
					t.Errorf("got %q, want %q", stderr, c.says)
				}
				if diff := cmp.Diff(before, readFolder(t, dir)); diff != "" {
					t.Errorf("the folder has changed:\n%s", diff)
				}
			})
		}
	}
	audit(t, s, 0, "export", whole)
	audit(t, s, 0, "verify", whole)
}

// spoil forwards requests to a server and changes its responses.
func spoil(t *testing.T, to string, change func(path string, body []byte) []byte) (at string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(res *http.Response) error {
		body, err := io.ReadAll(res.Body)
		body = change(res.Request.URL.Path, body)
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return err
	}
	ts := httptest.NewServer(proxy)
	t.Cleanup(ts.Close)
	return ts.URL
}

// The proof must be of the requested entry.
func TestProofOfAnotherEntry(t *testing.T) {
	s := logServer(t, 3)
	all := s.Entries(t, s.Ledger(sluice.Test))
	other, err := http.NewRequest("GET", s.URL+"/v1/ledger/proof/inclusion?entry="+all[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Header.Set("Authorization", "Bearer "+s.Secret)
	res, err := http.DefaultClient.Do(other)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	proof, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	lying := spoil(t, s.URL, func(path string, body []byte) []byte {
		if strings.HasSuffix(path, "/inclusion") {
			return proof
		}
		return body
	})
	audit(t, s, 0, "proof", all[0].ID, "--url", lying)
	stdout, stderr := audit(t, s, exitFailed, "proof", all[1].ID, "--url", lying)
	if stdout != "" || !strings.Contains(stderr, "the server sent the proof of entry") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

// A file of older checkpoints may hold checkpoints of other logs and incomplete
// ones. verify prints their numbers. A file without a checkpoint of this log
// proves nothing.
func TestOlderFiles(t *testing.T) {
	s, other := logServer(t, 3), logServer(t, 3)
	dir, foreign := exportLog(t, s), exportLog(t, other)
	vkey := strings.TrimSpace(string(readFolder(t, dir)[keyName]))
	mine, theirs := readFolder(t, dir)[checkpointName], readFolder(t, foreign)[checkpointName]
	mixed, none := filepath.Join(t.TempDir(), "mixed"), filepath.Join(t.TempDir(), "none")
	for _, write := range []struct {
		name string
		text []byte
	}{{none, theirs}, {mixed, mine}, {mixed, theirs}} {
		if err := anchor.AppendFile(write.name, write.text); err != nil {
			t.Fatal(err)
		}
	}
	tamper(t, filepath.Dir(mixed), filepath.Base(mixed), func(b []byte) []byte { return append(b, mine[:30]...) })
	if err := anchor.AppendFile(mixed, mine); err != nil {
		t.Fatal(err)
	}
	holds := func(name, want string) {
		t.Helper()
		if out, _ := audit(t, s, 0, "verify", dir, "--vkey", vkey, "--anchor", name); !strings.Contains(out, want+"\n") {
			t.Errorf("prints %s, want %s", out, want)
		}
	}
	size := entryCount(t, dir)
	const two = "holds 2 older checkpoints of %s, the newest of %d entries; %s"
	const one = "holds 1 older checkpoint of %s, of %d entries"
	holds(mixed, fmt.Sprintf(two, mixed, size, "1 is of another log; 1 is incomplete"))
	holds("file:"+mixed, fmt.Sprintf(two, mixed, size, "1 is of another log; 1 is incomplete"))
	tamper(t, filepath.Dir(mixed), filepath.Base(mixed), func(b []byte) []byte {
		return append(b, "x\n---\n"+string(theirs)...)
	})
	holds(mixed, fmt.Sprintf(two, mixed, size, "2 are of other logs; 2 are incomplete"))
	holds(filepath.Join(dir, checkpointName), fmt.Sprintf(one, filepath.Join(dir, checkpointName), size))
	if _, stderr := audit(t, s, exitFailed, "verify", dir, "--vkey", vkey, "--since", none); !strings.Contains(stderr,
		"it holds no checkpoint of") {
		t.Errorf("says %q", stderr)
	}
	forged := filepath.Join(t.TempDir(), "forged")
	signer, err := ledger.NewSigner(sluicetest.NewLedgerKey(t), strings.Split(vkey, "+")[0])
	if err != nil {
		t.Fatal(err)
	}
	note, err := signer.Sign(1, ledger.Hash{1})
	if err == nil {
		err = os.WriteFile(forged, note, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr := audit(t, s, exitFailed, "verify", dir, "--vkey", vkey, "--anchor", forged); !strings.Contains(stderr,
		"history fault") {
		t.Errorf("says %q", stderr)
	}
}

func take(t *testing.T, dir, from, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, name, func([]byte) []byte { return data })
}

// rotate makes the server rotate its ledger key, and returns the new key.
func rotate(t *testing.T, s *sluicetest.Server) {
	t.Helper()
	s.SetLedgerKeys(append([]string{sluicetest.NewLedgerKey(t)}, s.LedgerKeys()...)...)
	s.Restart(t)
	s.NewKey(t, s.Ledger(sluice.Test))
	s.Checkpoint(t) // rotates
	s.NewKey(t, s.Ledger(sluice.Test))
	s.Checkpoint(t)
}

// Any key of a log is enough to verify it up to the newest one.
func TestVerifyAcrossKeys(t *testing.T) {
	s := logServer(t, entries)
	dir := exportLog(t, s)
	since := filepath.Join(t.TempDir(), "since")
	if err := os.WriteFile(since, readFolder(t, dir)[checkpointName], 0o600); err != nil {
		t.Fatal(err)
	}
	first := string(readFolder(t, dir)[keyName])
	rotate(t, s)
	rotate(t, s)
	audit(t, s, 0, "export", dir)
	if got := string(readFolder(t, dir)[keyName]); got != first {
		t.Errorf("the key of the folder became %q", got)
	}
	c, err := client.New(s.URL, s.Secret)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := c.LedgerKey(context.Background())
	if err != nil || newest+"\n" == first {
		t.Fatalf("newest key %q, %v", newest, err)
	}
	rotations, err := c.Rotations(context.Background())
	if err != nil || len(rotations) != 2 {
		t.Fatalf("%d rotations, %v", len(rotations), err)
	}
	for _, vkey := range []string{strings.TrimSpace(first), rotations[0].Key, newest} {
		audit(t, s, 0, "verify", dir, "--vkey", vkey)
		audit(t, s, 0, "verify", s.URL, "--vkey", vkey)
	}
	audit(t, s, 0, "verify", dir, "--vkey", strings.TrimSpace(first), "--since", since)
	audit(t, s, exitFailed, "verify", dir, "--vkey", strangersKey(t, newest))
	fresh := exportLog(t, s)
	if out, _ := audit(t, s, 0, "verify", fresh); !strings.Contains(out, newest) {
		t.Errorf("prints %s", out)
	}
	tamper(t, dir, rotationsName, flip(100))
	if _, stderr := audit(t, s, exitFailed, "verify", dir); !strings.Contains(stderr, "rotations fault") {
		t.Errorf("says %q", stderr)
	}
}

// An update fetches only new files, and the folder is then the same as a new
// export.
func TestExportUpdate(t *testing.T) {
	s := logServer(t, entries)
	dir := exportLog(t, s)
	growLog(t, s, 2*entries)
	through := newCounting(t, s.URL, 0)
	audit(t, s, 0, "export", dir, "--url", through.url)
	// With up to 768 entries: bundles and tiles 1 and 2, and the edge of level
	// 1.
	if got := through.tiles.Load(); got > 5 {
		t.Errorf("%d tiles were fetched", got)
	}
	again := filepath.Join(t.TempDir(), "again")
	audit(t, s, 0, "export", again)
	s.Checkpoint(t)
	audit(t, s, 0, "export", again)
	audit(t, s, 0, "export", dir)
	got, want := slices.Sorted(maps.Keys(readFolder(t, dir))), slices.Sorted(maps.Keys(readFolder(t, again)))
	if !slices.Equal(got, want) {
		t.Errorf("the updated folder has %q, a new one %q", got, want)
	}
}

// Redaction removes fields from later exports and leaves proofs valid.
func TestRedactionReachesExports(t *testing.T) {
	s := logServer(t, 3)
	dir := exportLog(t, s)
	before := readFolder(t, dir)[disclosuresName]
	var redacted sluice.Entry
	for _, e := range s.Entries(t, s.Ledger(sluice.Test)) {
		if e.Request != nil && e.Request.IP == "192.0.2.7" {
			redacted = e
		}
	}
	audit(t, s, 0, "redact", redacted.ID)
	s.Checkpoint(t)
	audit(t, s, 0, "export", dir)
	seq := fmt.Appendf(nil, `"seq":%d,`, redacted.Seq)
	if !bytes.Contains(before, seq) || bytes.Contains(readFolder(t, dir)[disclosuresName], seq) {
		t.Errorf("before %s\nafter %s", before, readFolder(t, dir)[disclosuresName])
	}
	audit(t, s, 0, "verify", dir)
}

// restart starts a server on the folder again, after creating a key.
func startLog(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	p := startServer(t, data, append([]string{"--ledger-origin", "files.example.com"}, flags...)...)
	t.Setenv("SLUICE_URL", p.url)
	if p.key != "" {
		t.Setenv("SLUICE_KEY", p.key)
	}
	return p
}

// sluiceRun runs a command in the environment set by startLog.
func sluiceRun(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(context.Background(), args, &out, &out); got != want {
		t.Fatalf("sluice %q exits with %d, want %d\n%s", args, got, want, &out)
	}
	return out.String()
}

// makeEntries adds entries to the test log and waits for their checkpoint.
func makeEntries(t *testing.T, data, name string, n int) {
	t.Helper()
	for range n {
		sluiceRun(t, 0, "key", "create", "--data", data, "--mode", "test", "--name", name)
	}
}

// An operator restores an older database and lets the log continue differently.
// An older export, an older checkpoint and the anchor each reveal it. They also
// reveal a truncated log.
func TestRewrittenLog(t *testing.T) {
	dir := t.TempDir()
	data, old := filepath.Join(dir, "data"), filepath.Join(dir, "old")
	anchored := filepath.Join(dir, "anchor")
	flags := []string{"--anchor", "file:" + anchored}
	p := startLog(t, data, flags...)
	makeEntries(t, data, "true", 3)
	p.stop()
	if err := os.CopyFS(old, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	p = startLog(t, data, flags...)
	makeEntries(t, data, "true", 3)
	awaitCheckpoint(t, p, 7)
	log := filepath.Join(dir, "log")
	sluiceRun(t, 0, "audit", "export", log)
	awaitCheckpoint(t, p, 8)
	vkey := filepath.Join(log, keyName)
	sluiceRun(t, 0, "audit", "verify", p.url, "--vkey", vkey, "--anchor", anchored)
	p.stop() // removes the newest checkpoint
	kept := readFolder(t, log)

	for _, c := range []struct {
		name    string
		entries int
		export  string // output of export
		verify  string // output of verify
	}{
		{"cut short", 0, "entries and the folder's .*: it was truncated", "it was truncated, or this copy is older"},
		{"rewritten", 30, "the server does not prove", "not what an older checkpoint signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "forged")
			if err := os.CopyFS(forged, os.DirFS(old)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(forged, secretsName), 0o600); err != nil {
				t.Fatal(err)
			}
			p := startLog(t, forged)
			makeEntries(t, forged, "forged", c.entries)
			awaitCheckpoint(t, p, 4+c.entries)
			for _, args := range [][]string{
				{"audit", "export", log},
				{"audit", "verify", p.url, "--vkey", vkey, "--since", filepath.Join(log, checkpointName)},
				{"audit", "verify", p.url, "--vkey", vkey, "--anchor", anchored},
			} {
				out, says := sluiceRun(t, exitFailed, args...), c.verify
				if args[1] == "export" {
					says = c.export
				}
				if !regexp.MustCompile(says).MatchString(out) {
					t.Errorf("%q prints %s", args, out)
				}
			}
			sluiceRun(t, 0, "audit", "verify", p.url, "--vkey", vkey)
			p.stop()
		})
	}
	sluiceRun(t, 0, "audit", "verify", log)
	if got := readFolder(t, log); !bytes.Equal(got[checkpointName], kept[checkpointName]) {
		t.Error("a rewritten log has changed the checkpoint of the folder")
	}
}

// awaitCheckpoint waits for a checkpoint of at least size entries.
func awaitCheckpoint(t *testing.T, p *process, size int) {
	t.Helper()
	c, err := client.New(p.url, os.Getenv("SLUICE_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		signed, err := c.Checkpoint(context.Background())
		if err != nil {
			return err
		}
		if got, err := claimed(signed); err != nil || got.Size < int64(size) {
			return fmt.Errorf("%d of %d entries are signed (%v)", got.Size, size, err)
		}
		return nil
	})
}
