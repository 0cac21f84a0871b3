package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The server refuses secrets that other users of the machine can read or
// change, and warns about secrets that a group can read.
func TestExposedSecrets(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	path := filepath.Join(data, secretsName)
	for _, mode := range []os.FileMode{0o604, 0o666, 0o602, 0o620, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if said := refusedStart(t, data); !strings.Contains(said, "run chmod 600, and rotate the secrets") {
			t.Errorf("with mode %o it printed %q", mode, said)
		}
	}
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o440: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		stderr := filepath.Join(t.TempDir(), "stderr")
		startServerTo(t, stderr, data).stop()
		if said, err := os.ReadFile(stderr); err != nil || strings.Contains(string(said), "level=WARN") != warns {
			t.Errorf("with mode %o it printed %s, %v", mode, said, err)
		}
	}
}

// The server warns about flags that make it trust or reveal more than intended.
func TestExposedFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		warns string
	}{
		"everybody a proxy": {[]string{"--trusted-proxies", "0.0.0.0/0,::/0"}, "trusted-proxies includes public addresses"},
		"half the world":    {[]string{"--trusted-proxies", "128.0.0.0/1"}, "trusted-proxies includes public addresses"},
		"IPv4 written as v6": {[]string{"--trusted-proxies", "::ffff:0.0.0.0/96"},
			"trusted-proxies includes public addresses"},
		"links in the clear": {[]string{"--public-url", "http://files.example.com"}, "public-url"},
		"one proxy":          {[]string{"--trusted-proxies", "127.0.0.1/32,10.0.0.0/8,fd00::/8"}, ""},
		"this machine":       {[]string{"--public-url", "http://localhost:8080"}, ""},
		"this address":       {[]string{"--public-url", "http://[::1]:8080"}, ""},
		"TLS":                {[]string{"--public-url", "https://files.example.com"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stderr := filepath.Join(t.TempDir(), "stderr")
			p := startServerTo(t, stderr, filepath.Join(t.TempDir(), "data"), c.flags...)
			if res, err := http.Get(p.url + "/healthz"); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%v, %v", res, err)
			}
			p.stop()
			said, err := os.ReadFile(stderr)
			if err != nil || strings.Contains(string(said), "level=WARN") != (c.warns != "") ||
				!strings.Contains(string(said), c.warns) {
				t.Errorf("got %s, %v", said, err)
			}
		})
	}
}
