package client_test

import (
	"log"
	"os"
	"strings"
	"testing"

	"sluice/client"
	"sluice/sluicetest"
)

func exampleClient() *client.Client {
	c, err := client.New(exampleServer())
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// exampleServer starts a server and returns its URL and a key.
func exampleServer() (url, key string) {
	s := sluicetest.NewServer(&examples)
	return s.URL, s.Secret
}

// examples replaces the testing.TB that an example lacks. Its cleanups run after all tests.
var examples exampleTB

type exampleTB struct {
	testing.TB
	ends []func()
}

func (*exampleTB) Helper()            {}
func (*exampleTB) Failed() bool       { return false }
func (*exampleTB) Error(args ...any)  { log.Print(args...) }
func (*exampleTB) Fatal(args ...any)  { log.Fatal(args...) }
func (e *exampleTB) Cleanup(f func()) { e.ends = append(e.ends, f) }

func (e *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	e.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(examples.ends) - 1; i >= 0; i-- {
		examples.ends[i]()
	}
	os.Exit(code)
}

// docs/api.md shows the code of the example.
func TestDocsShowExample(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```go\n")
	code, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(code, "DownloadFile") {
		t.Fatalf("docs/api.md shows %q", code)
	}
	_, example, _ := strings.Cut(string(source), "ctx := context.Background()\n\n")
	example, _, _ = strings.Cut(example, "\tfmt.Println")
	var lines strings.Builder
	for line := range strings.Lines(example) {
		lines.WriteString(strings.TrimPrefix(line, "\t"))
	}
	if code != lines.String() {
		t.Errorf("docs/api.md shows\n%s\nand the example is\n%s", code, lines.String())
	}
}
