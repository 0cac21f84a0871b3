package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// SIGHUP ends the server like SIGTERM: it waits for transfers, and logs a last
// line.
func TestHangupStopsOrderly(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			stderr := filepath.Join(t.TempDir(), "stderr")
			notIgnored(t, sig)
			p := startServerTo(t, stderr, filepath.Join(t.TempDir(), "data"))
			body, ended := slowUpload(t, p)
			p.cmd.Process.Signal(sig)
			eventually(t, func() error { return says(stderr, "msg=stopping") })
			body.Close()
			if status := <-ended; status != "201 Created" {
				t.Errorf("the upload under way: %s", status)
			}
			if code := p.ended(t); code != 0 {
				t.Errorf("it ended with %d", code)
			}
			said, err := os.ReadFile(stderr)
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			if last := lines[len(lines)-1]; err != nil || !strings.Contains(last, "msg=stopped") {
				t.Errorf("the last line is %q, %v", last, err)
			}
		})
	}
}

// notIgnored ensures that servers started by t do not ignore a signal, as they
// would if the test itself ran under nohup.
func notIgnored(t *testing.T, sig os.Signal) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, sig)
	t.Cleanup(func() { signal.Stop(caught) })
}

// A second signal ends the server at once, even during an upload.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			stderr := filepath.Join(t.TempDir(), "stderr")
			notIgnored(t, sig)
			p := startServerTo(t, stderr, filepath.Join(t.TempDir(), "data"))
			slowUpload(t, p)
			p.cmd.Process.Signal(sig)
			eventually(t, func() error { return says(stderr, "msg=stopping") })
			p.cmd.Process.Signal(sig)
			wantEndedAtOnce(t, p, sig, stderr)
		})
	}
}

// The server keeps running when the reader of its log is gone.
func TestLogWithoutReader(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := newServe(path, data, writer)
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	writer.Close()
	for lines := bufio.NewScanner(reader); p.url == "" && lines.Scan(); {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			p.url = "http://" + m[1]
		}
	}
	reader.Close()
	for range 3 { // each request logs a line
		res, err := http.Get(p.url + "/l/unknown")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if code := p.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// This also holds if the shell that started it in the background ignores
// interrupts.
func TestSecondInterruptInBackground(t *testing.T) {
	signal.Ignore(syscall.SIGINT) // the server inherits that
	stderr := filepath.Join(t.TempDir(), "stderr")
	p := startServerTo(t, stderr, filepath.Join(t.TempDir(), "data"))
	signal.Reset(syscall.SIGINT)
	slowUpload(t, p)
	p.cmd.Process.Signal(syscall.SIGINT)
	eventually(t, func() error { return says(stderr, "msg=stopping") })
	p.cmd.Process.Signal(syscall.SIGINT)
	wantEndedAtOnce(t, p, syscall.SIGINT, stderr)
}

// wantEndedAtOnce waits for the end by a second signal: with its exit code, and
// without the orderly stop.
func wantEndedAtOnce(t *testing.T, p *process, sig syscall.Signal, stderr string) {
	t.Helper()
	if code := p.ended(t); code != 128+int(sig) {
		t.Errorf("it ended with %d, want %d", code, 128+int(sig))
	}
	if says(stderr, "msg=stopped") == nil || says(stderr, "transfers interrupted") == nil {
		t.Error("it ended in an orderly way")
	}
}

func says(path, text string) error {
	said, err := os.ReadFile(path)
	if err == nil && !strings.Contains(string(said), text) {
		err = fmt.Errorf("it does not say %q: %s", text, said)
	}
	return err
}

// slowUpload begins an upload that ends when its body is closed. It returns
// after the server has begun to read the upload.
func slowUpload(t *testing.T, p *process) (body io.Closer, ended <-chan string) {
	t.Helper()
	begin := "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ngeneric\r\n--b\r\n" +
		"Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n" +
		strings.Repeat("x", 24<<20) // more than both socket buffers hold, so the server is reading it
	end := "\r\n--b--\r\n"
	from, to := io.Pipe()
	r, err := http.NewRequest("POST", p.url+"/v1/files", from)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(begin + end))
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	status := make(chan string, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			status <- err.Error()
			return
		}
		res.Body.Close()
		status <- res.Status
	}()
	io.WriteString(to, begin)
	t.Cleanup(func() { to.Close() })
	return closer(func() error {
		io.WriteString(to, end)
		return to.Close()
	}), status
}

type closer func() error

func (c closer) Close() error { return c() }
