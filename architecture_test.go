package sluice_test

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestArchitecture checks that every file and folder named in
// docs/architecture.md exists, and that each file declares the functions and
// types that the page places in it.
func TestArchitecture(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	isPath := regexp.MustCompile(`^[a-z0-9_]+(/[a-z0-9_]+)*(\.go|\.json)?$`)
	name := regexp.MustCompile(`^(Want\.)?[A-Za-z]+$`)
	rows := 0
	for line := range strings.Lines(string(page)) {
		isRow := strings.HasPrefix(line, "| ") && strings.HasSuffix(strings.TrimSpace(line), "|")
		if !isRow || strings.Contains(line, "| question |") {
			continue
		}
		rows++
		var names []string // declared in the next file of the row
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
			text := m[1]
			isFile := strings.Contains(text, "/") || strings.HasSuffix(text, ".go") || isFolder(text)
			if !isFile && name.MatchString(text) {
				names = append(names, text)
				continue
			}
			if !isPath.MatchString(text) {
				continue
			}
			if _, err := os.Stat(text); err != nil {
				t.Errorf("%q names %s: %v", strings.TrimSpace(line), text, err)
				continue
			}
			if strings.HasSuffix(text, ".go") {
				source, err := os.ReadFile(text)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range names {
					_, n, _ = strings.Cut("."+n, ".")
					n = n[strings.LastIndex(n, ".")+1:]
					if !regexp.MustCompile(`(?m)^(func( \([^)]*\))?|type) ` + n + `\b`).Match(source) {
						t.Errorf("%s has no %s", text, n)
					}
				}
			}
			names = nil
		}
	}
	if rows < 30 {
		t.Errorf("found %d rows that say where a rule lives, want at least 30", rows)
	}
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// TestRooms checks that docs/architecture.md lists every folder of the import table.
func TestRooms(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rooms, _ := strings.Cut(string(page), "## The rooms")
	rooms, _, _ = strings.Cut(rooms, "## Where a rule lives")
	for folder := range directions {
		room := path.Base(strings.TrimSuffix(folder, "/*"))
		if folder != "." && !regexp.MustCompile(`\b`+regexp.QuoteMeta(room)+`\b`).MatchString(rooms) {
			t.Errorf("docs/architecture.md does not list the room %s", folder)
		}
	}
}
