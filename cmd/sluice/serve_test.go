package main

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The commands that the first start prints can be pasted.
func TestWelcomeLinesWork(t *testing.T) {
	for name, c := range map[string]struct {
		purposes string
		flags    []string
		want     string
	}{
		"default": {"", nil, "purpose=attachment"},
		"own":     {"{name: closed, linkable: false}, {name: minutes, max_link_lifetime: 10m}", nil, "purpose=minutes"},
		"typed": {"{name: invoice, types: [application/pdf]}", []string{"--max-link-lifetime", "20m"},
			"type=application/pdf"},
		"of the file": {"{name: invoice, types: [application/pdf]}, {name: note, types: [text/plain]}", nil, "purpose=note"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := c.flags
			if c.purposes != "" {
				file := filepath.Join(t.TempDir(), "purposes.yaml")
				if err := os.WriteFile(file, []byte("purposes: ["+c.purposes+"]"), 0o600); err != nil {
					t.Fatal(err)
				}
				flags = append(flags, "--purposes", file)
			}
			p := startServer(t, filepath.Join(t.TempDir(), "data"), flags...)
			if !strings.Contains(p.printed, c.want) {
				t.Errorf("no %q in %q", c.want, p.printed)
			}
			pasteWelcome(t, p)
		})
	}
}

// If no purpose allows links, the first start prints no commands that cannot
// work.
func TestWelcomeWithoutLinks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "purposes.yaml")
	if err := os.WriteFile(file, []byte("purposes: [{name: closed, linkable: false}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServer(t, filepath.Join(t.TempDir(), "data"), "--purposes", file)
	if p.key == "" || !strings.Contains(p.printed, "None of your purposes allows links") ||
		strings.Contains(p.printed, "curl") {
		t.Errorf("%q", p.printed)
	}
}

// A pasted line whose request is refused prints the response.
func TestWelcomeLinesFail(t *testing.T) {
	p := startServer(t, filepath.Join(t.TempDir(), "data"))
	lines := welcomeLines(t, p)
	lines[0] = "KEY=sk_test_wrong\n"
	shell := exec.Command("sh", "-u")
	shell.Dir, shell.Stdin = t.TempDir(), strings.NewReader(strings.Join(lines, ""))
	out, err := shell.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `The upload failed: {"type":`) ||
		!strings.Contains(string(out), "upload a file first") {
		t.Errorf("%v\n%s", err, out)
	}
}

func welcomeLines(t *testing.T, p *process) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(p.printed) {
		if pasted, ok := strings.CutPrefix(line, "  "); ok && !strings.HasPrefix(line, "   ") {
			lines = append(lines, pasted)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("nothing to paste in %q", p.printed)
	}
	return lines
}

func pasteWelcome(t *testing.T, p *process) {
	t.Helper()
	lines := welcomeLines(t, p)
	dir := t.TempDir()
	shell := exec.Command("sh", "-eu")
	shell.Dir, shell.Stdin = dir, strings.NewReader(strings.Join(lines, ""))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "hello.txt"))
	if err != nil || string(content) != "Hello" {
		t.Errorf("downloaded %q, %v", content, err)
	}
	for _, want := range []string{"file_", "/l/", "saved hello.txt", "link.created", `"reason":"first light"`,
		"link.redeemed"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the pasted lines do not show %q:\n%s", want, out)
		}
	}
}

func TestSecondStartShowsNoKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := startServer(t, data)
	if code := first.stop(); code != 0 {
		t.Errorf("an orderly stop exits with %d", code)
	}
	second := startServer(t, data)
	if second.printed != "" {
		t.Errorf("the second start prints %q", second.printed)
	}
	var list struct{ Object string }
	c := &crashClients{key: first.key, http: http.DefaultClient}
	if err := c.do("GET", second.url+"/v1/files", nil, "", http.StatusOK, &list); err != nil {
		t.Errorf("the first key: %v", err)
	}
}

// Only the owner can read the files in a data folder.
func TestDataIsPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	if _, err := c.upload(p.url, []byte("private")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A server refuses secrets that do not belong to its database.
func TestForeignSecrets(t *testing.T) {
	data, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "other")
	startServer(t, data).stop()
	startServer(t, other).stop()
	foreign, err := os.ReadFile(filepath.Join(other, secretsName))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(string) error{
		"missing": os.Remove,
		"foreign": func(path string) error { return os.WriteFile(path, foreign, 0o600) },
		"broken":  func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(filepath.Join(data, secretsName)); err != nil {
				t.Fatal(err)
			}
			path, err := binary()
			if err != nil {
				t.Fatal(err)
			}
			cmd := newServe(path, data, nil)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "secrets") {
				t.Errorf("start with %s secrets: %v\n%s", name, err, out)
			}
		})
	}
}

// Confirmation pages name the sender of the file.
func TestFrom(t *testing.T) {
	p := startServer(t, filepath.Join(t.TempDir(), "data"), "--from", "Example & Söhne")
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	var link struct{ URL string }
	if err := c.do("POST", p.url+"/v1/files/"+file+"/links", strings.NewReader(`{"max_downloads":1}`), "application/json",
		http.StatusOK, &link); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", link.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if page, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(page), "<bdi>Example &amp; Söhne</bdi>") {
		t.Errorf("%v: %s", err, page)
	}

	long := strings.Repeat("ü", 101)
	said := sluiceRun(t, exitUsage, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"),
		"--from", long)
	if said != "sluice: --from: the limit is 100 characters, and the name has 101\n" {
		t.Errorf("%q", said)
	}
	for _, name := range []string{long, "two\nlines", "\u202egnp.exe", "\xff", "  "} {
		if err := checkFrom(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	if err := checkFrom(strings.Repeat("ü", 100)); err != nil {
		t.Error(err)
	}
}

// --brand puts the operator on every page. A server whose brand is wrong does not start.
func TestBrand(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "brand.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: Northwind\ncontact: files@northwind.example\n")
	p := startServer(t, filepath.Join(folder, "data"), "--brand", file)
	r, err := http.NewRequest("GET", p.url+"/l/nothing", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if page, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(page), "mailto:files@northwind.example") {
		t.Errorf("%v: %s", err, page)
	}

	write("name: Northwind\naccent: \"#fff000\"\n")
	data := filepath.Join(folder, "other")
	said := sluiceRun(t, exitUsage, "serve", "--listen", "127.0.0.1:0", "--data", data, "--brand", file)
	if !strings.HasPrefix(said, "sluice: --brand: "+file+": line 2: accent: #fff000 has a contrast of 1.1:1") {
		t.Errorf("%q", said)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the refused start has made a data folder")
	}
}

// --compat selects the vendors' APIs that are served.
func TestCompat(t *testing.T) {
	for name, c := range map[string]struct {
		flags  []string
		served string
	}{
		"default":   {nil, "stripe metorial digitalriver"},
		"two":       {[]string{"--compat", "digitalriver, stripe"}, "stripe digitalriver"},
		"none":      {[]string{"--compat", "none"}, ""},
		"empty":     {[]string{"--compat="}, ""},
		"last wins": {[]string{"--compat", "none", "--compat", "stripe"}, "stripe"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startServer(t, filepath.Join(t.TempDir(), "data"), c.flags...)
			client := &crashClients{key: p.key, http: http.DefaultClient}
			for vendor, path := range map[string]string{"stripe": "/v1/files", "metorial": "/files", "digitalriver": "/files"} {
				want := http.StatusNotFound
				if slices.Contains(strings.Fields(c.served), vendor) {
					want = http.StatusOK
				}
				var answer any
				if err := client.do("GET", p.url+"/compat/"+vendor+path, nil, "", want, &answer); err != nil {
					t.Errorf("%s: %v", vendor, err)
				}
			}
		})
	}
	said := sluiceRun(t, exitUsage, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"),
		"--compat", "strype")
	if said != "sluice: --compat: unknown vendor \"strype\"; choose from stripe,metorial,digitalriver, or none\n" {
		t.Errorf("%q", said)
	}
}

// Durations in the log have a unit, in both formats.
func TestLogUnits(t *testing.T) {
	for format, want := range map[string]string{"json": `"took_ms":4.095}`, "text": "took=4.095ms"} {
		var b bytes.Buffer
		s := serveCommand{LogFormat: format}
		s.logger(&output{stderr: &b}).Info("answered", "took", 4095*time.Microsecond)
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s, want %s", &b, want)
		}
	}
}
