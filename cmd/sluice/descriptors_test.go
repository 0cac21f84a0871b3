//go:build unix

package main

import (
	"cmp"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/sluicetest"
)

// A client with hundreds of silent connections cannot exhaust the descriptors for uploads and downloads, or block other
// addresses.
func TestSilentConnections(t *testing.T) { testSilentConnections(t, "") }

// Silent connections to the own listener of the console do not either.
func TestSilentConnectionsToTheConsole(t *testing.T) { testSilentConnections(t, "--console-listen") }

// Neither do those to the listener of the metrics.
func TestSilentConnectionsToTheMetrics(t *testing.T) { testSilentConnections(t, "--metrics-listen") }

// testSilentConnections holds silent connections to the public listener, or to the one that a flag adds.
func testSilentConnections(t *testing.T, flag string) {
	flags, server := []string{"--no-rate-limit"}, ""
	if flag != "" {
		server = sluicetest.FreeAddress(t)
		flags = append(flags, flag, server)
	}
	p := startServerBy(t, func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", `ulimit -n 256 && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}, filepath.Join(t.TempDir(), "data"), flags...)
	server = cmp.Or(server, strings.TrimPrefix(p.url, "http://"))
	other := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext,
	}}
	if _, err := other.Get(p.url + "/healthz"); err != nil {
		t.Skipf("this machine has no address 127.0.0.2: %v", err)
	}
	c := &crashClients{key: p.key, http: other, files: map[string][32]byte{}, links: map[string]string{},
		started: map[string]int{}}
	for range 6 { // silent connections end after ten seconds, which a slow machine may exceed
		silent := hold(t, server, 400)
		for range 20 {
			if err := c.session(p.url); err != nil {
				t.Fatalf("beside silent connections: %v", err)
			}
		}
		held := silent[0].SetReadDeadline(time.Now().Add(time.Millisecond)) == nil
		if _, err := silent[0].Read(make([]byte, 1)); held && isTimeout(err) {
			return
		}
		for _, s := range silent {
			s.Close()
		}
	}
	t.Error("the other address waited each time until the silent connections had ended")
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// hold opens silent connections to a server.
func hold(t *testing.T, server string, n int) (silent []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		silent = append(silent, c)
	}
	return silent
}
