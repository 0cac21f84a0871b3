package sluice_test

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	fence      = regexp.MustCompile("^ *(```+|~~~+)")
	codeSpan   = regexp.MustCompile("`[^`]*`")
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)`)
	definition = regexp.MustCompile(`^ {0,3}\[[^\]]+\]: *<?([^\s>]+)`)
	htmlAnchor = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	heading    = regexp.MustCompile(`^ {0,3}#{1,6} +(.*?)(?: +#+)? *$`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestMarkdownLinks checks that every relative link in a Markdown file leads to a file or heading of the repository.
func TestMarkdownLinks(t *testing.T) {
	files := markdownFiles(t)
	if len(files) < 20 {
		t.Fatalf("found only %d Markdown files: %q", len(files), files)
	}
	followed := 0
	for _, file := range files {
		for _, link := range linksIn(readLines(t, file)) {
			u, err := url.Parse(link)
			if err == nil && (u.Scheme != "" || u.Host != "") {
				continue
			}
			followed++
			if err != nil {
				t.Errorf("%s: link %q: %v", file, link, err)
			} else if fault := follow(t, file, u); fault != "" {
				t.Errorf("%s: link %q: %s", file, link, fault)
			}
		}
	}
	if followed < 20 {
		t.Errorf("followed only %d links", followed)
	}
}

func TestMarkdownParts(t *testing.T) {
	lines := strings.Split("# `a` & [B](c.md): d_e, é!\n## Twice\n## Twice\n"+
		"[x](one.md#p) and ![y](two.png \"t\"), `[no](code.md)`\n"+
		"```\n# no heading\n[no](fence.md)\n```\n[r]: three.md\n<a id=\"here\"></a>", "\n")
	if got, want := linksIn(lines), []string{"c.md", "one.md#p", "two.png", "three.md"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if got, want := anchorsIn(lines), []string{"a--b-d_e-é", "twice", "twice-1", "here"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}

func markdownFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "node_modules", "sluice-data"}, d.Name()) {
			return fs.SkipDir
		}
		if path.Ext(name) == ".md" {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// follow returns what is wrong with a relative link in file, or "".
func follow(t *testing.T, file string, u *url.URL) string {
	t.Helper()
	target := file
	if u.Path != "" {
		target = path.Join(path.Dir(file), u.Path)
	}
	if !filepath.IsLocal(target) {
		return "leads out of the repository"
	}
	if _, err := os.Stat(target); err != nil {
		return err.Error()
	}
	if u.Fragment != "" && path.Ext(target) == ".md" && !slices.Contains(anchorsIn(readLines(t, target)), u.Fragment) {
		return target + " has no such heading"
	}
	return ""
}

// prose returns the lines outside fenced code.
func prose(lines []string) []string {
	var kept []string
	open := ""
	for _, line := range lines {
		mark := ""
		if m := fence.FindStringSubmatch(line); m != nil {
			mark = m[1]
		}
		switch {
		case open == "" && mark == "":
			kept = append(kept, line)
		case open == "":
			open = mark
		case strings.HasPrefix(mark, open):
			open = ""
		}
	}
	return kept
}

func linksIn(lines []string) []string {
	var links []string
	for _, line := range prose(lines) {
		line = codeSpan.ReplaceAllString(line, "code")
		for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
			links = append(links, m[1])
		}
		if m := definition.FindStringSubmatch(line); m != nil {
			links = append(links, m[1])
		}
	}
	return links
}

// anchorsIn returns the fragments that GitHub derives from headings, and those of HTML anchors.
func anchorsIn(lines []string) []string {
	var anchors []string
	seen := map[string]int{}
	for _, line := range prose(lines) {
		for _, m := range htmlAnchor.FindAllStringSubmatch(line, -1) {
			anchors = append(anchors, m[1])
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		anchor := fragment(linkText.ReplaceAllString(m[1], "$1"))
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor += "-" + strconv.Itoa(n)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}

// fragment returns title in lower case, with hyphens for spaces and without punctuation.
func fragment(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}
