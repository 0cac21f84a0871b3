package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const home = "files.example.com/acme/vault"

// repository returns a clone of this repository.
func repository(t *testing.T) string {
	t.Helper()
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err == nil {
		dir := filepath.Join(t.TempDir(), "clone")
		if root, err = clone(root, dir); err == nil {
			return root
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip("not in a repository that git can clone:", err)
	return ""
}

// command runs a command, which must succeed, and returns its output.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q in %s: %v\n%s", args, dir, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The repository builds under another path, and its import rules hold there.
func TestRepositoryBuildsUnderNewPath(t *testing.T) {
	from := repository(t)
	to := filepath.Join(t.TempDir(), "moved")
	if err := run(from, to, home); err != nil {
		t.Fatal(err)
	}
	if changes := command(t, from, "git", "status", "--porcelain"); changes != "" {
		t.Errorf("the original repository has changed:\n%s", changes)
	}
	command(t, to, "go", "build", "./...")
	command(t, to, "go", "vet", "./client/...")
	command(t, to, "go", "test", "-count=1", "-run", "^TestImports$", ".")
	if unformatted := command(t, to, "gofmt", "-l", "."); unformatted != "" {
		t.Errorf("gofmt would change\n%s", unformatted)
	}
	modules := 0
	err := filepath.WalkDir(to, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" {
			return err
		}
		modules++
		dir := filepath.Dir(name)
		below, err := filepath.Rel(to, dir)
		want := strings.TrimSuffix(home+"/"+filepath.ToSlash(below), "/.")
		if got := command(t, dir, "go", "list", "-m"); got != want {
			t.Errorf("%s is the module %s", below, got)
		}
		return err
	})
	if err != nil || modules < 6 {
		t.Errorf("%d modules, %v", modules, err)
	}
	// A module that requires the root can import it.
	command(t, filepath.Join(to, "tests"), "go", "list", "-deps", home+"/client")
	page, err := os.ReadFile(filepath.Join(to, "docs", "api.md"))
	if err != nil || !strings.Contains(string(page), `"`+home+`/client"`) {
		t.Errorf("docs/api.md does not import the client from its new home: %v", err)
	}
	for _, old := range []string{`"sluice"`, `"sluice/client"`, "replace sluice ", "module sluice"} {
		pattern := "^(import )?\t?(_ |[a-z]+ )?" + old
		out, _ := git(to, "grep", "-n", "-E", pattern, "--", "*.go", "go.mod", "*/go.mod", ":!tools/rehome")
		if out != "" {
			t.Errorf("%s is still there:\n%s", old, out)
		}
	}
}

func TestRefusals(t *testing.T) {
	repo := newRepository(t, map[string]string{"go.mod": "module sluice\n\ngo 1.26\n", "a.go": "package sluice\n"})
	for name, path := range map[string]string{
		"no domain": "vault", "not a path": "example.com/a b", "later version": "example.com/vault/v2",
		"same": "sluice", "none": "",
	} {
		if err := run(repo, "", path); err == nil {
			t.Errorf("%s: %q is taken", name, path)
		}
	}
	if err := run(repo, t.TempDir(), home); err == nil {
		t.Error("a folder that exists is taken")
	}
	if err := run(t.TempDir(), "", home); err == nil {
		t.Error("a folder without a repository is taken")
	}
	for name, content := range map[string]string{"a.go": "package sluice // changed\n", "new.go": "package sluice\n"} {
		put(t, repo, name, content)
		if err := run(repo, "", home); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("changed %s: %v", name, err)
		}
		command(t, repo, "git", "clean", "-qf")
		command(t, repo, "git", "checkout", "-q", ".")
	}
	if got := read(t, repo, "go.mod"); !strings.HasPrefix(got, "module sluice\n") {
		t.Errorf("go.mod has become %q", got)
	}
	// Nothing is written if a file cannot be read.
	put(t, repo, "b.go", "package ")
	commit(t, repo)
	if err := run(repo, "", home); err == nil || command(t, repo, "git", "status", "--porcelain") != "" {
		t.Errorf("a broken file: %v", err)
	}
}

func TestWhatChanges(t *testing.T) {
	// ‹ and › enclose the paths that must change.
	texts := map[string]string{
		"go.mod":       "module ‹sluice›\n\ngo 1.26\n",
		"sub/go.mod":   "module ‹sluice›/sub\n\nrequire ‹sluice› v0.0.0\n\nreplace ‹sluice› => ../\n",
		"other/go.mod": "module sluices\n\nrequire example.com/sluice v0.0.0 // indirect\n",
		"client/a.go": "package client\n\n" +
			"import (\n\t\"‹sluice›\"\n\tx \"‹sluice›/api\" // as x\n\n\t\"sluices/api\"\n)\n\n" +
			"// See ‹sluice›/client and /var/sluice/client.\nvar _ = \"sluice/client\"\n",
		"docs/a.md": "`‹sluice›/client`, ‹sluice›/client ‹sluice›/client:\n" +
			"/etc/sluice/client ./sluice/client cmd/sluice/client sluice/none sluice/client-x sluice/client/a.go\n" +
			"go get ‹sluice›@latest\ngo install ‹sluice›/client\nsluice serve\nimport \"‹sluice›\"\n",
		"testdata/broken.go": "package sluice/client",
		"run.sh":             "go run -race ‹sluice›/client\n",
		"data.json":          "\"sluice/client\"\n",
	}
	for _, home := range []string{home, "github.com/acme/sluice", "sluice.example.com/client"} {
		t.Run(home, func(t *testing.T) { checkChanges(t, texts, home) })
	}
}

func checkChanges(t *testing.T, texts map[string]string, home string) {
	marks := regexp.MustCompile(`‹(\w+)›`)
	files := map[string][2]string{} // before and after
	for name, text := range texts {
		files[name] = [2]string{marks.ReplaceAllString(text, "$1"), marks.ReplaceAllString(text, home)}
	}
	before := map[string]string{}
	for name, both := range files {
		before[name] = both[0]
	}
	repo := newRepository(t, before)
	if err := os.Chmod(filepath.Join(repo, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("docs/a.md", filepath.Join(repo, "link.md")); err != nil {
		t.Fatal(err)
	}
	commit(t, repo)
	m, err := plan(repo, home)
	if err != nil || len(m.left) != 1 || !strings.Contains(m.left[0], "client/a.go:") {
		t.Errorf("left %q, %v", m.left, err)
	}
	if err := run(repo, "", home); err != nil {
		t.Fatal(err)
	}
	for name, both := range files {
		if got := read(t, repo, name); got != both[1] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, both[1])
		}
	}
	if info, err := os.Stat(filepath.Join(repo, "run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh: %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(filepath.Join(repo, "link.md")); err != nil || info.Mode().IsRegular() {
		t.Errorf("the symbolic link became a file: %v", err)
	}
}

func newRepository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	command(t, dir, "git", "init", "-q")
	for name, content := range files {
		put(t, dir, name, content)
	}
	commit(t, dir)
	return dir
}

func commit(t *testing.T, dir string) {
	t.Helper()
	command(t, dir, "git", "add", "-A")
	command(t, dir, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "state")
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
