package httpd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

// language is a language of the samples in the documentation.
type language struct {
	name    string
	file    string   // name of a sample's file
	probe   []string // succeeds when the samples can run
	install string   // a Debian package
	// all runs the files whose paths follow, each in the folder of its file. After each, it prints a line with "ran" or
	// "failed" and the path.
	all []string
}

var languages = []language{
	{
		name: "curl", file: "sample.sh", probe: []string{"bash", "-c", "curl --version && jq --version"}, install: "curl",
		all: []string{"bash", "-c", `exec 2>&1; for f; do
  cd "${f%/*}" && if bash -eu "$f"; then echo "
ran $f"; else echo "
failed $f"; fi
done`, "bash"},
	},
	{
		name: "javascript", file: "sample.mjs", probe: []string{"node", "--version"}, install: "nodejs",
		all: []string{"node", "--input-type=module", "-e", `for (const f of process.argv.slice(1)) {
  process.chdir(f.slice(0, f.lastIndexOf("/")));
  try { await import(f); console.log("\nran " + f); } catch (error) { console.log(error + "\nfailed " + f); }
}`},
	},
	{
		name: "python", file: "sample.py", probe: []string{"python3", "--version"}, install: "python3",
		all: []string{"python3", "-c", `import os, sys, traceback
for f in sys.argv[1:]:
    os.chdir(os.path.dirname(f))
    try:
        exec(compile(open(f).read(), f, "exec"), {"__name__": "__main__"})
        print("\nran " + f)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print("\nfailed " + f)
    sys.stdout.flush()`},
	},
	{name: "go", file: "sample.go", probe: []string{"go", "version"}, install: "golang-go"},
}

var sampleOnPage = regexp.MustCompile(`(?s)<pre tabindex="0" data-sample="([^"]+)" data-language="([^"]+)"><code>(.*?)</code>`)

// docsSamples are the samples of a language on all pages, by name.
func (c client) docsSamples(t *testing.T) map[string]map[string]string {
	t.Helper()
	samples := map[string]map[string]string{}
	for _, url := range c.docsPages(t) {
		for _, m := range sampleOnPage.FindAllStringSubmatch(c.page(t, url), -1) {
			if samples[m[2]] == nil {
				samples[m[2]] = map[string]string{}
			}
			samples[m[2]][m[1]] = html.UnescapeString(m[3])
		}
	}
	return samples
}

var sampleEnded = regexp.MustCompile(`(?m)^(ran|failed) (/.*)$`)

// TestSamplesOfDocs runs every sample of the documentation, in all languages, against a server. It changes the ids of
// objects and the token of a link to those of real ones, and nothing else.
func TestSamplesOfDocs(t *testing.T) {
	c := newLimited(t, 10_000, 100_000)
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	samples := c.docsSamples(t)
	var names []string
	for _, rt := range server.Routes() {
		names = append(names, rt.Operation)
	}
	for _, l := range languages {
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return samples[l.name][name] != "" })
		if len(missing) > 0 || len(samples[l.name]) < len(names)+4 {
			t.Errorf("there are %d samples in %s, and none of %v", len(samples[l.name]), l.name, missing)
		}
	}
	shared := c.objects(t)
	changes := map[string]bool{}
	for _, rt := range server.Routes() {
		changes[rt.Operation] = rt.Method != "GET" && rt.Scope != httpd.Public
	}
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			sample{file: l.file, probe: l.probe, install: l.install}.need(t)
			folders := t.TempDir()
			var paths []string
			for name, text := range samples[l.name] {
				o := shared
				if changes[name] {
					o = c.objects(t)
				}
				folder := filepath.Join(folders, name)
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(folder, l.file)
				writeFile(t, filepath.Join(folder, "report-2026-q3.txt"), []byte("hello"))
				text = c.withToken(t, o, o.fill(text))
				if name == "getMetrics" { // it needs a live key
					text = strings.ReplaceAll(text, "SLUICE_KEY", "SLUICE_LIVE_KEY")
				}
				writeFile(t, path, []byte(text))
				paths = append(paths, path)
			}
			slices.Sort(paths)
			command := append(slices.Clone(l.all), paths...)
			if l.name == "go" {
				command = append([]string{c.goSamples(t, paths)}, paths...)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "SLUICE_URL="+c.URL,
				"SLUICE_KEY="+c.secret, "SLUICE_LIVE_KEY="+live)
			out, err := cmd.CombinedOutput()
			at := 0
			for _, m := range sampleEnded.FindAllStringSubmatchIndex(string(out), -1) {
				if path := string(out[m[4]:m[5]]); string(out[m[2]:m[3]]) == "ran" {
					paths = slices.DeleteFunc(paths, func(p string) bool { return p == path })
				} else {
					t.Errorf("%s: %s", path, out[at:m[0]])
				}
				at = m[1]
			}
			if len(paths) > 0 || err != nil {
				t.Errorf("not run: %q (%v): %s", paths, err, out[at:])
			}
		})
	}
}

// withToken replaces the token of the example link by that of a real one.
func (c client) withToken(t *testing.T, o objects, text string) string {
	t.Helper()
	const example = "AQcw8GnLfQ3mYx2kVb7sTzR4Jp0h"
	if !strings.Contains(text, example) {
		return text
	}
	l := c.mint(t, o.file, "")
	return strings.ReplaceAll(text, example, l.URL[strings.LastIndexByte(l.URL, '/')+1:])
}

// goSamples builds one program of all samples in Go, each with another name for its main, and returns its path.
// Building each by itself would take minutes.
func (c client) goSamples(t *testing.T, paths []string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	virtual := filepath.Join(root, "internal", "httpd", "samplesofdocs") // only the overlay has it
	overlay := map[string]string{}
	add := func(at, text string) {
		real := filepath.Join(dir, fmt.Sprint(len(overlay))+".go")
		writeFile(t, real, []byte(text))
		overlay[filepath.Join(virtual, at)] = real
	}
	var calls strings.Builder
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add(fmt.Sprintf("sample%d.go", i), strings.Replace(string(text), "\nfunc main() {\n",
			fmt.Sprintf("\nfunc sample%d() {\n", i), 1))
		fmt.Fprintf(&calls, "\trun(%q, sample%d)\n", path, i)
	}
	add("main.go", `package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func run(path string, sample func()) {
	if err := os.Chdir(filepath.Dir(path)); err != nil {
		panic(err)
	}
	sample() // ends the process where it fails
	fmt.Println("\nran " + path)
}

func main() {
`+calls.String()+"}\n")
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "overlay.json"), data)
	program := filepath.Join(dir, "samples")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program,
		"sluice/internal/httpd/samplesofdocs")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}
