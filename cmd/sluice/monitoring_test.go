package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// The server exports every metric in the alert rules, the dashboard and
// operating.md, with the labels that they use.
func TestMonitoring(t *testing.T) {
	metrics := sluicetest.FreeAddress(t)
	p := startServer(t, filepath.Join(t.TempDir(), "data"), "--metrics-listen", metrics, "--anchor",
		"file:"+filepath.Join(t.TempDir(), "anchor"))
	c := &crashClients{key: p.key, http: http.DefaultClient}
	if _, err := c.upload(p.url, []byte("a file")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/l/none", "/v1/files"} {
		if res, err := http.Get(p.url + path); err == nil {
			res.Body.Close()
		}
	}
	named := regexp.MustCompile(`sluice_[a-z_]+`)
	var served []string
	eventually(t, func() error {
		res, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		served = named.FindAllString(string(text), -1)
		if err == nil && !slices.Contains(served, "sluice_follower_send_seconds_count") {
			err = io.ErrNoProgress // the anchor has not received anything yet
		}
		return err
	})
	docs := filepath.Join("..", "..", "docs")
	for _, file := range []string{"monitoring/alerts.yml", "monitoring/dashboard.json", "operating.md"} {
		text, err := os.ReadFile(filepath.Join(docs, file))
		if err != nil {
			t.Fatal(err)
		}
		names := named.FindAllString(string(text), -1)
		if file != "operating.md" && len(names) < 8 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			if strings.HasSuffix(name, "_") || slices.Contains([]string{"sluice_audit", "sluice_test"}, name) {
				continue
			}
			if !slices.ContainsFunc(served, func(s string) bool { return s == name || strings.HasPrefix(s, name+"_") }) {
				t.Errorf("%s names %s, which is not served", file, name)
			}
		}
	}
}
