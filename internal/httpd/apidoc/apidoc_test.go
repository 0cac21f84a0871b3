package apidoc_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/httpd/apidoc"
)

var update = flag.Bool("update", false, "write the files anew")

const (
	openAPI = "../../../api/openapi.json"
	pages   = "../docs/generated"
)

// TestGenerated checks that the files that the server serves are those that the generator makes.
func TestGenerated(t *testing.T) {
	made := map[string][]byte{openAPI: apidoc.OpenAPI()}
	for name, page := range apidoc.Pages() {
		made[filepath.Join(pages, filepath.FromSlash(name))] = page
	}
	for name, data := range made {
		if *update {
			write(t, name, data)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s is out of date (%v): run go generate ./internal/httpd/apidoc", name, err)
		}
	}
	err := filepath.WalkDir(pages, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && made[name] == nil {
			t.Errorf("%s is not a generated file: delete it", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
