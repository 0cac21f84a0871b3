package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// The commands in the README work as written and in order, and the change to
// the copy of the log is found.
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
	scratch := filepath.Join(dir, "sluice-try")
	mails := sluicetest.NewMailpit(t)
	p := startServer(t, filepath.Join(dir, "data"), "--smtp-url", mails.URL(), "--mail-from", mailFrom)
	t.Setenv("SLUICE_KEY", p.key)
	entries := regexp.MustCompile(`log: (\d+) entries`).FindSubmatch(text)
	if entries == nil {
		t.Fatal("the README does not say how many entries the log has")
	}
	size, err := strconv.Atoi(string(entries[1]))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{"sk_test_...": p.key}
	var kept, shown string // kept holds the lines that later commands need
	sh := func(command string) (string, error) {
		command = strings.ReplaceAll(command, "@docs/", "@"+filepath.Join(root, "docs")+"/")
		for _, m := range regexp.MustCompile(`[^ =]*\.\.\.`).FindAllString(command, -1) {
			command = strings.Replace(command, m, found[m], 1)
		}
		command = strings.NewReplacer("http://127.0.0.1:8080", p.url, "/tmp/sluice-try", scratch).Replace(command)
		for line := range strings.Lines(command) {
			if strings.HasPrefix(line, "export ") && !strings.Contains(line, "PATH=") || strings.HasPrefix(line, "mkdir -p ") {
				kept += line
			}
		}
		cmd := exec.Command("sh", "-euc", kept+command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if strings.Contains(command, "rm -r "+scratch) { // the commands that follow do not need it
			kept = regexp.MustCompile(`(?m)^mkdir .*\n`).ReplaceAllString(kept, "")
		}
		for name, id := range map[string]string{
			"file_...": `"id":"(file_[0-9a-z]+)"`, "link_...": `"id":"(link_[0-9a-z]+)"`,
			"http://127.0.0.1:8080/l/...": `"url":"([^"]+)"`,
		} {
			if m := regexp.MustCompile(id).FindSubmatch(out); m != nil {
				found[name] = string(m[1])
			}
		}
		return string(out), err
	}
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "sluice serve") {
			continue // the server of this test
		}
		if strings.Contains(block[1], "audit export") {
			awaitCheckpoint(t, p, size) // also on a machine slower than the page expects
		}
		commands++
		out, err := sh(block[1])
		shown += out
		if altered := strings.Contains(block[1], "altered"); (err != nil) != altered {
			t.Fatalf("%s\n%v\n%s", block[1], err, out)
		}
	}
	// The exact session produces the numbers on the page.
	for _, shows := range regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		shown := inGeneral(shown, strings.TrimPrefix(p.url, "http://"))
		for line := range strings.Lines(inGeneral(shows[1], "127.0.0.1:8080")) {
			if !strings.Contains(shown, line) {
				t.Errorf("the README shows %q, and its commands do not:\n%s", line, shown)
			}
		}
	}
	if _, err := os.Stat(scratch); !os.IsNotExist(err) {
		t.Errorf("the scratch folder is left: %v", err)
	}
	if mail := mails.Await(t, 1)[0]; !strings.Contains(mail.Text, p.url+"/l/") {
		t.Errorf("the mail to the recipient has no link:\n%s", mail.Text)
	}
	for _, want := range []string{"410\n", "link.refused", "match the signed checkpoint", "link.sent",
		"is not valid: entry fault: entry ", "not what was signed"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%d commands of the README show no %q:\n%s", commands, want, shown)
		}
	}
}

// inGeneral removes from a text what differs between runs.
func inGeneral(text, address string) string {
	text = strings.ReplaceAll(text, address, "ADDRESS")
	text = regexp.MustCompile(`acct_[0-9a-z]+`).ReplaceAllString(text, "ACCOUNT")
	text = regexp.MustCompile(`root \S+`).ReplaceAllString(text, "ROOT")
	return regexp.MustCompile(`\+[0-9a-f]{8}\+\S+`).ReplaceAllString(text, "+KEY")
}
