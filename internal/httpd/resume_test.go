package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice"
	"sluice/api"
)

// program finds a download program.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: %v", name, err)
	}
	if err != nil {
		t.Skipf("%s is missing: install the package %s", name, name)
	}
	return path
}

// cutter forwards connections to a server. It cuts the first ones after a number of bytes of the answer.
type cutter struct {
	net.Listener
	to    string
	after int64
	flush func(context.Context) error
	cuts  atomic.Int64 // still to come
	conns sync.WaitGroup
}

func newCutter(t *testing.T, c client, cuts, after int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutter{Listener: l, to: strings.TrimPrefix(c.URL, "http://"), after: after, flush: c.Flush}
	p.cuts.Store(cuts)
	p.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.pass(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); p.conns.Wait() })
	return p
}

func (p *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	_ = server.(*net.TCPConn).SetReadBuffer(64 << 10) // little is sent that does not arrive
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	if p.cuts.Add(-1) < 0 {
		_, _ = io.Copy(client, server)
		server.Close()
		return
	}
	_, _ = io.CopyN(client, server, p.after)
	server.Close()
	_ = p.flush(context.Background()) // the server learns of it no later than the client
}

// TestResume cuts the connection several times. Common download programs resume where they were.
func TestResume(t *testing.T) {
	c := newClient(t)
	const size, cuts = 24 << 20, 3
	content, err := io.ReadAll(io.LimitReader(newNoise(), size))
	if err != nil {
		t.Fatal(err)
	}
	f := c.upload(t, "a.bin", "", string(content))
	resume := map[string]func(url, to string) error{
		"curl": func(url, to string) (err error) {
			curl := program(t, "curl")
			for range cuts + 1 {
				var printed []byte
				if printed, err = exec.Command(curl, "-sSf", "--max-time", "20", "-C", "-", "-o", to,
					url).CombinedOutput(); err == nil {
					return nil
				}
				err = fmt.Errorf("%w: %s", err, printed)
			}
			return err
		},
		"wget": func(url, to string) error {
			printed, err := exec.Command(program(t, "wget"), "-nv", "-c", "--no-proxy", "--timeout=20", "--tries=9",
				"--waitretry=0", "-O", to, url).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, printed)
			}
			return err
		},
	}
	for name, download := range resume {
		for _, body := range []string{"", `{"max_downloads":1}`} {
			t.Run(strings.TrimSpace(name+" "+strings.Trim(body, "{}")), func(t *testing.T) {
				program(t, name)
				l := c.mint(t, f.ID, body)
				proxy := newCutter(t, c, cuts, size/5)
				to := filepath.Join(t.TempDir(), "a.bin")
				if err := download("http://"+proxy.Addr().String()+strings.TrimPrefix(l.URL, c.URL), to); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(to)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes came, of %d, or others: %v", len(got), size, err)
				}
				var complete, broken, sent int64
				for _, of := range c.told(t) {
					switch {
					case of.delivered == nil || of.delivered.LinkID != l.ID:
					case of.delivered.Sent.Complete:
						complete++
						sent += of.delivered.Sent.Bytes
					default:
						broken++
						sent += of.delivered.Sent.Bytes
					}
				}
				if complete != 1 || broken != cuts || sent < size {
					t.Errorf("the log has %d downloads that broke, %d that did not, and %d bytes", broken, complete, sent)
				}
				if n := c.downloads(t, l.ID); body != "" && (n != 1 || sent > 2*size) {
					t.Errorf("%d downloads are counted of %d bytes", n, sent)
				}
			})
		}
	}
}

// TestHostileNames has programs save files under names that leave the folder, hide, or look like others.
func TestHostileNames(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "0123456789")
	for name, want := range map[string]string{
		`say "hi"; filename=x.txt`:         `say _hi_; filename=x.txt`,
		"a\r\nSet-Cookie: x=1\r\n\r\n.txt": "aSet-Cookie_ x=1.txt",
		"annual\u202efdp.exe":              "annualfdp.exe",
		"\u2066\u200fa\u2069.txt":          "a.txt",
		strings.Repeat("😀", 62) + ".txt":   strings.Repeat("_", 59) + ".txt",
		"../../outside.txt":                "outside.txt",
		`..\..\outside.txt`:                "outside.txt",
		"..%2F..%2Foutside.txt":            "_2F.._2Foutside.txt",
		"%2e%2e%2foutside.txt":             "_2e_2e_2foutside.txt",
		"/etc/passwd":                      "passwd",
		`C:\boot.ini`:                      "boot.ini",
		".bashrc":                          "bashrc",
		"...":                              "file",
		"..":                               "file",
		"~":                                "~",
		"a'b`c$(d).txt":                    "a'b`c$(d).txt",
		"a\x00b.txt":                       "ab.txt",
		"UTF-8''..%2Foutside":              "UTF-8''.._2Foutside",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"filename": name})
			if err != nil {
				t.Fatal(err)
			}
			a := c.ask(t, "POST", linksPath(f), string(body))
			if a.status == 400 && (strings.ContainsAny(name, "\x00\r\n") || strings.Trim(name, ".") == "") {
				c.problem(t, a, sluice.CodeValidation) // it does not even get in
				return
			}
			url := read[api.Link](t, a.want(t, 200)).URL
			for tool, args := range map[string][]string{"curl": {"-sSfOJ", url},
				"wget": {"-q", "--no-proxy", "--content-disposition", url}} {
				above := t.TempDir()
				dir := filepath.Join(above, "a", "b")
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(program(t, tool), args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "HOME="+above, "LC_ALL=C.UTF-8")
				if printed, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v %s", tool, err, printed)
				}
				var saved []string
				err := filepath.WalkDir(above, func(path string, d os.DirEntry, err error) error {
					if err == nil && !d.IsDir() {
						saved = append(saved, path)
					}
					return err
				})
				if err != nil || len(saved) != 1 || filepath.Dir(saved[0]) != dir {
					t.Fatalf("%s saved %q, %v", tool, saved, err)
				}
				if got := filepath.Base(saved[0]); tool == "curl" && got != want || strings.HasPrefix(got, ".") {
					t.Errorf("%s saved %q, want %q", tool, got, want)
				}
				if b, err := os.ReadFile(saved[0]); string(b) != "0123456789" {
					t.Errorf("%s saved %q, %v", tool, b, err)
				}
			}
			if h := c.get(t, url).want(t, 200).header; h.Get("Set-Cookie") != "" || len(h["Content-Disposition"]) != 1 {
				t.Errorf("%v", h)
			}
		})
	}
}
