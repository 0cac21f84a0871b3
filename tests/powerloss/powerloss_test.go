//go:build linux

package powerloss

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var failures = flag.Int("failures", 10, "power failures to try")

// TestPowerLoss records an installation that is created, loaded, killed, rotated, backed up and restored. Then it
// rebuilds what the disk may hold after a power failure at many moments. Each time a server starts, and everything that
// was acknowledged before is there: uploads with their bytes, links, revocations, deletions and downloads in the log,
// which extends what an auditor had of it, and verifies. sluice fsck finds nothing. Every snapshot that is listed is
// whole, and a restored folder opens only when it is.
func TestPowerLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	r := record(t)
	t.Logf("%d operations, %d of them syncs; acknowledged: %v", len(r.journal.operations), r.syncs(), r.counts())
	d := newDisk()
	for i, at := range r.moments(*failures, random) {
		d.advance(&r.journal, at)
		p := policy(i % int(policies))
		after := d.fail(p, random)
		t.Run(fmt.Sprintf("after %d operations, %v", at, p), func(t *testing.T) {
			defer keep(t, after)
			r.check(t, after, random)
		})
		if t.Failed() {
			return
		}
	}
}

// keep stores what was on the disk for whoever looks into a failure.
func keep(t *testing.T, d *disk) {
	if !t.Failed() {
		return
	}
	folder, err := os.MkdirTemp("", "powerloss-")
	if err == nil {
		err = d.store(folder)
	}
	t.Logf("the disk is kept in %s: %v", folder, err)
}

// recording is what happened to an installation.
type recording struct {
	sluice  string // the binary
	volume  *volume
	mounted string
	key     string
	journal journal

	mu   sync.Mutex
	acks []*ack
}

// ack is something that a client was told. It holds in a state of the disk after it was told, until its end was asked
// for.
type ack struct {
	what  string
	at    int // position of the journal when it was told
	until int // position when its end was asked for; 0 for none
	path  string
	id    string
	sum   [32]byte
}

func (a *ack) holds(at int) bool { return a.at <= at && (a.until == 0 || at < a.until) }

func (r *recording) counts() map[string]int {
	n := map[string]int{}
	for _, a := range r.acks {
		n[a.what]++
	}
	return n
}

func (r *recording) syncs() (n int) {
	for _, op := range r.journal.operations {
		if op.kind == syncFile || op.kind == syncFolder {
			n++
		}
	}
	return n
}

// moments chooses when the power fails, in order. Half of them are those of an acknowledgement of each kind in turn: what
// the server has told must be on the disk just then.
func (r *recording) moments(n int, random *rand.Rand) []int {
	kinds := slices.Sorted(maps.Keys(r.counts()))
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = random.IntN(len(r.journal.operations) + 1)
		if i%2 == 0 {
			of := r.all(kinds[i/2%len(kinds)])
			chosen[i] = of[random.IntN(len(of))].at
		}
	}
	slices.Sort(chosen)
	return chosen
}

func (r *recording) tell(what, id, path string, sum [32]byte) *ack {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &ack{what: what, at: r.volume.position(), id: id, path: path, sum: sum}
	r.acks = append(r.acks, a)
	return a
}

// ends notes that the end of an acknowledged thing is asked for.
func (r *recording) ends(a *ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.until = r.volume.position()
}

func record(t *testing.T) *recording {
	t.Helper()
	r := &recording{sluice: build(t), mounted: filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(r.mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	volume, mounted, err := mount(r.mounted)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test mounts a file system: run it as root with /dev/fuse (%v)", err)
		}
		t.Skipf("this test mounts a file system: run it as root with /dev/fuse (%v)", err)
	}
	defer mounted.Unmount()
	r.volume = volume
	data, target, copied := r.mounted+"/data", r.mounted+"/backups/target", r.mounted+"/restored/copy"

	p := r.serve(t, data)
	r.key = p.key
	r.tell("key", "", "", [32]byte{})
	r.load(t, p, 300*time.Millisecond)
	r.export(t, p)
	p.end(syscall.SIGKILL)
	p = r.serve(t, data)
	r.load(t, p, 300*time.Millisecond)
	p.end(syscall.SIGTERM)
	r.run(t, "secrets", "rotate", "--data", data)
	r.tell("rotated", "", "", [32]byte{})
	p = r.serve(t, data)
	stop := r.startLoad(t, p)
	r.backup(t, data, target)
	r.export(t, p)
	for _, a := range r.all("snapshot") {
		r.ends(a)
	}
	r.backup(t, data, target)
	stop()
	p.end(syscall.SIGTERM)
	r.run(t, "restore", target, "--data", copied)
	r.tell("restored", "", "", [32]byte{})
	r.journal = volume.journal
	return r
}

func (r *recording) backup(t *testing.T, data, target string) {
	t.Helper()
	out := r.run(t, "backup", target, "--data", data, "--with-secrets", "--keep", "1", "--json")
	var done struct{ Snapshot string }
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		t.Fatal(err)
	}
	r.tell("snapshot", done.Snapshot, "", [32]byte{})
}

func (r *recording) export(t *testing.T, p *process) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	r.run(t, "audit", "export", log, "--url", p.url, "--key", p.key)
	r.tell("log", "", log, [32]byte{})
}

func (r *recording) all(what string) (found []*ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.acks {
		if a.what == what {
			found = append(found, a)
		}
	}
	return found
}

func (r *recording) load(t *testing.T, p *process, d time.Duration) {
	t.Helper()
	stop := r.startLoad(t, p)
	time.Sleep(d)
	stop()
}

// startLoad has clients upload, mint, download, revoke and delete until stop is called.
func (r *recording) startLoad(t *testing.T, p *process) (stop func()) {
	t.Helper()
	stopped := make(chan struct{})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				if err := r.session(p); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stopped:
					return
				default:
				}
			}
		})
	}
	return func() { close(stopped); clients.Wait() }
}

func (r *recording) session(p *process) error {
	content := make([]byte, rand.IntN(40_000))
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	file, err := p.upload(content)
	if err != nil {
		return err
	}
	stored := r.tell("file", file, "", sha256.Sum256(content))
	id, path, err := p.mint(file)
	if err != nil {
		return err
	}
	link := r.tell("link", id, path, stored.sum)
	got, status, err := p.get(path)
	if err != nil || status != http.StatusOK || sha256.Sum256(got) != stored.sum {
		return errors.Join(err, fmt.Errorf("a download gets %d and %d bytes", status, len(got)))
	}
	r.tell("download", id, "", stored.sum)
	switch rand.IntN(3) {
	case 0:
		r.ends(link)
		if err := p.call("DELETE", "/v1/file_links/"+id, "", nil, nil); err != nil {
			return err
		}
		r.tell("revoked", id, path, stored.sum)
	case 1:
		r.ends(link)
		r.ends(stored)
		if err := p.call("DELETE", "/v1/files/"+file, "", nil, nil); err != nil {
			return err
		}
		r.tell("deleted", file, path, stored.sum)
	}
	return nil
}

// check starts a server on what the disk holds, and looks for all that was acknowledged.
func (r *recording) check(t *testing.T, d *disk, random *rand.Rand) {
	t.Helper()
	folder := t.TempDir()
	defer os.RemoveAll(folder)
	if err := d.store(folder); err != nil {
		t.Fatal(err)
	}
	held := map[string][]*ack{}
	for _, a := range r.acks {
		if a.holds(d.at) {
			held[a.what] = append(held[a.what], a)
		}
	}
	if len(held["rotated"]) > 0 {
		var s struct {
			SigningKeys []string `json:"signing_keys"`
		}
		text, err := os.ReadFile(filepath.Join(folder, "data", "secrets.json"))
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil || len(s.SigningKeys) != 2 {
			t.Errorf("secrets after a rotation: %d keys, %v", len(s.SigningKeys), err)
		}
	}
	r.checkBackups(t, folder, held)
	p := r.serve(t, filepath.Join(folder, "data"))
	if len(held["key"]) == 0 {
		p.end(syscall.SIGTERM)
		return
	}
	p.key = r.key
	r.checkServed(t, p, held, random)
	log := filepath.Join(t.TempDir(), "log")
	if logs := held["log"]; len(logs) > 0 {
		if err := os.CopyFS(log, os.DirFS(logs[len(logs)-1].path)); err != nil {
			t.Fatal(err)
		}
	}
	r.run(t, "audit", "export", log, "--url", p.url, "--key", p.key) // extends what is there
	r.run(t, "audit", "verify", log)
	p.end(syscall.SIGTERM)
	r.run(t, "fsck", "--deep", "--data", filepath.Join(folder, "data"))
}

// checkServed looks for the newest acknowledgements of each kind, and some others.
func (r *recording) checkServed(t *testing.T, p *process, held map[string][]*ack, random *rand.Rand) {
	t.Helper()
	for _, a := range some(held["file"], random) {
		if err := p.call("GET", "/v1/files/"+a.id, "", nil, nil); err != nil {
			t.Errorf("a file that was acknowledged: %v", err)
		}
	}
	for _, a := range some(held["link"], random) {
		got, status, err := p.get(a.path)
		if err != nil || status != http.StatusOK || sha256.Sum256(got) != a.sum {
			t.Errorf("a link that was acknowledged: %d, %d bytes, %v", status, len(got), err)
		}
	}
	for _, a := range append(some(held["revoked"], random), some(held["deleted"], random)...) {
		if _, status, err := p.get(a.path); err != nil || status != http.StatusGone && status != http.StatusNotFound {
			t.Errorf("a link of something %s: %d, %v", a.what, status, err)
		}
	}
	redeemed, err := p.redeemed()
	if err != nil {
		t.Error(err)
	}
	for _, a := range held["download"] {
		if !redeemed[a.id] {
			t.Errorf("a download by %s has no entry", a.id)
		}
	}
}

func some(all []*ack, random *rand.Rand) (few []*ack) {
	for i, a := range all {
		if i >= len(all)-10 || random.IntN(len(all)) < 5 {
			few = append(few, a)
		}
	}
	return few
}

// checkBackups restores every snapshot, and opens the restored folder if that is allowed.
func (r *recording) checkBackups(t *testing.T, folder string, held map[string][]*ack) {
	t.Helper()
	target, copied := filepath.Join(folder, "backups", "target"), filepath.Join(folder, "restored", "copy")
	list, listed := r.try("restore", target, "--list")
	for _, a := range held["snapshot"] {
		if listed != nil || !strings.Contains(list, a.id) {
			t.Errorf("the snapshot %s is lost: %s", a.id, list)
		}
	}
	if listed == nil {
		for line := range strings.Lines(list) {
			name, _, _ := strings.Cut(line, " ")
			r.run(t, "restore", target, "--data", filepath.Join(t.TempDir(), "copy"), "--snapshot", name)
		}
	}
	said, refused := r.try("key", "list", "--data", copied)
	if len(held["restored"]) > 0 && refused != nil {
		t.Errorf("a restored folder is lost: %s", said)
	}
	if refused == nil {
		r.run(t, "fsck", "--deep", "--data", copied)
	}
}

// process is a running server.
type process struct {
	cmd *exec.Cmd
	url string
	key string
}

var (
	listening = regexp.MustCompile(`msg=listening address=(\S+)`)
	secret    = regexp.MustCompile(`sk_test_[a-z2-7]{39}`)
)

func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", path, "./cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func (r *recording) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.try(args...)
	if err != nil {
		t.Fatalf("sluice %q: %v: %s", args, err, out)
	}
	return out
}

func (r *recording) try(args ...string) (string, error) {
	out, err := exec.Command(r.sluice, args...).CombinedOutput()
	return string(out), err
}

func (r *recording) serve(t *testing.T, data string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command(r.sluice, "serve", "--listen", "127.0.0.1:0", "--data", data, "--no-rate-limit")}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	for range 1200 { // a minute
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m := listening.FindSubmatch(text); m != nil {
			p.url, p.key = "http://"+string(m[1]), secret.FindString(string(text))
			if p.key == "" {
				p.key = r.key
			}
			if _, status, err := p.get("/healthz"); err == nil && status == http.StatusOK {
				return p
			}
		}
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)); err != nil ||
			strings.Contains(string(state), ") Z ") {
			t.Fatalf("the server does not start: %s", text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
	return nil
}

func (p *process) end(signal syscall.Signal) {
	p.cmd.Process.Signal(signal)
	p.cmd.Wait()
}

func (p *process) get(path string) ([]byte, int, error) {
	res, err := http.Get(p.url + path)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return body, res.StatusCode, err
}

func (p *process) call(method, path, kind string, body io.Reader, into any) error {
	req, err := http.NewRequest(method, p.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, path, res.Status, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

func (p *process) upload(content []byte) (id string, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "power.bin")
	if err != nil {
		return "", err
	}
	part.Write(content)
	form.WriteField("purpose", "export")
	form.Close()
	var file struct{ ID string }
	err = p.call("POST", "/v1/files", form.FormDataContentType(), &body, &file)
	return file.ID, err
}

func (p *process) mint(file string) (id, path string, err error) {
	var link struct{ ID, URL string }
	err = p.call("POST", "/v1/files/"+file+"/links", "application/json", strings.NewReader(`{"reason":"power"}`), &link)
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(link.URL)
	if err != nil {
		return "", "", err
	}
	return link.ID, u.Path, nil
}

// redeemed gives the links with which the log says that bytes were asked for.
func (p *process) redeemed() (map[string]bool, error) {
	links := map[string]bool{}
	for after := ""; ; {
		var page struct {
			Data []struct {
				ID, Action string
				Link       struct{ ID string }
			}
			HasMore bool `json:"has_more"`
		}
		if err := p.call("GET", "/v1/audit_entries?limit=100"+after, "", nil, &page); err != nil {
			return nil, err
		}
		for _, e := range page.Data {
			if e.Action == "link.redeemed" {
				links[e.Link.ID] = true
			}
			after = "&starting_after=" + e.ID
		}
		if !page.HasMore {
			return links, nil
		}
	}
}
