package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the README has a newcomer type works as it stands there, in its order;
// and the change that it makes to a copy of the log is found.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := startLog(t, filepath.Join(dir, "data"))
	found := map[string]string{"sk_test_...": p.key}
	var exports, shown string
	sh := func(command string) (string, error) {
		command = strings.ReplaceAll(command, "@docs/", "@"+filepath.Join(root, "docs")+"/")
		for _, m := range regexp.MustCompile(`[^ =]*\.\.\.`).FindAllString(command, -1) {
			command = strings.Replace(command, m, found[m], 1)
		}
		command = strings.ReplaceAll(command, "http://127.0.0.1:8080", p.url)
		for line := range strings.Lines(command) {
			if strings.HasPrefix(line, "export ") || strings.HasPrefix(line, "TILE=") {
				exports += line + "\n"
			}
		}
		cmd := exec.Command("sh", "-euc", exports+command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		for name, id := range map[string]string{
			"file_...": `"id":"(file_[0-9a-z]+)"`, "link_...": `"id":"(link_[0-9a-z]+)"`, "http://127.0.0.1:8080/l/...": `"url":"([^"]+)"`,
		} {
			if m := regexp.MustCompile(id).FindSubmatch(out); m != nil {
				found[name] = string(m[1])
			}
		}
		return string(out), err
	}
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```(sh|console)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		typed := []string{block[2]}
		if block[1] == "console" {
			typed = nil
			awaitCheckpoint(t, p, strings.Count(sluiceRun(t, 0, "audit", "ls", "-n", "0", "--json"), "\n"))
			for _, m := range regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(block[2], -1) {
				typed = append(typed, m[1])
			}
		}
		if strings.Contains(block[2], "sluice serve") {
			continue // the server of this test
		}
		for i, command := range typed {
			commands++
			out, err := sh(command)
			shown += out
			if altered := block[1] == "console" && i == len(typed)-1; (err != nil) != altered {
				t.Fatalf("%s\n%v\n%s", command, err, out)
			}
		}
	}
	for _, want := range []string{"410\n", "link.refused", "are as signed", "does not hold: entry fault: entry ", "not what was signed"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%d commands of the README show no %q:\n%s", commands, want, shown)
		}
	}
}
