package sluice_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns is the largest width of a line of Go code in characters. A tab counts as one.
const maxColumns = 120

// wide lists the files and folders whose tests still have wider lines, with the folders below them. Remove a row once
// its lines fit.
var wide = []string{
	"imports_test.go", "ledger", "tests", "internal/audit", "internal/follow", "internal/gate", "internal/httpd",
	"internal/jsoninput", "internal/presentation", "internal/service",
}

// forbidden lists phrases that comments, messages and pages must not use, and what to write instead. The folder in
// still is excepted until its comments are edited; remove it then.
var forbidden = []struct{ phrase, instead, still string }{
	{"There is no such thing", "Not found", ""},
	{"A good API key is needed", "Invalid API key", ""},
	{"The request is outside the contract", "Invalid request", ""},
	{"a chore was done", "job finished", ""},
	{"what was delivered cannot be recorded now", "delivery entries not committed, retrying", ""},
	{"what it would else", "say what happens otherwise, in a sentence of its own", ""},
	{"Change what is said of", "Update the details of", ""},
	{"Side of the account", "Mode: test or live", ""},
	{"How long it is good", "Lifetime", ""},
	{"how many answers to nobody", "the number of responses to unknown clients", ""},
	{"the one that leaves the fewest last", "say what is compared, and with what", ""},
	{"is gone on with", "is resumed", ""},
}

// TestColumns finds lines of Go code that are too wide. Struct tags and raw strings of several lines are excepted,
// because they cannot be broken.
func TestColumns(t *testing.T) {
	for _, name := range files(t, ".go") {
		excepted := func(place string) bool { return isWithin(name, place) }
		if strings.HasSuffix(name, "_test.go") && slices.ContainsFunc(wide, excepted) {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range wideLines(t, name, string(text)) {
			t.Errorf("%s:%d has more than %d columns", name, line, maxColumns)
		}
	}
}

func wideLines(t *testing.T, name, text string) (numbers []int) {
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	excepted := map[int]bool{}
	except := func(n ast.Node) {
		for line := positions.Position(n.Pos()).Line; line <= positions.Position(n.End()).Line; line++ {
			excepted[line] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			if n.Tag != nil {
				except(n.Tag)
			}
		case *ast.BasicLit:
			if strings.HasPrefix(n.Value, "`") && strings.Contains(n.Value, "\n") {
				except(n)
			}
		}
		return true
	})
	number := 0
	for line := range strings.Lines(text) {
		number++
		if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > maxColumns && !excepted[number] {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// isWithin reports whether place is the file itself or a folder above it.
func isWithin(name, place string) bool { return name == place || strings.HasPrefix(name, place+"/") }

// TestWideLines holds TestColumns to its exceptions.
func TestWideLines(t *testing.T) {
	long := strings.Repeat("x", maxColumns)
	text := fmt.Sprintf("package p\n\ntype s struct {\n\ta int `json:\"%s\"`\n}\n\nconst c = `\n%[1]s123\n`\n\n"+
		"// %[1]s\nvar v = %[2]q\n", long, long)
	if got := wideLines(t, "p.go", text); !slices.Equal(got, []int{11, 12}) {
		t.Errorf("lines %v are too wide, want 11 and 12", got)
	}
}

// TestWords finds forbidden phrases, also where a comment or paragraph breaks them into lines. Only the changelog and
// the decisions keep the words of their time.
func TestWords(t *testing.T) {
	space := regexp.MustCompile(`[\s/*#]+`)
	for _, name := range files(t, ".go", ".md", ".sh", ".html", ".txtar", ".yml", ".yaml") {
		if name == "words_test.go" || name == "CHANGELOG.md" || strings.HasPrefix(name, "docs/decisions/") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		flat := strings.ToLower(space.ReplaceAllString(string(text), " "))
		for _, f := range forbidden {
			if strings.Contains(flat, strings.ToLower(f.phrase)) && !isWithin(name, f.still) {
				t.Errorf("%s says %q; write: %s", name, f.phrase, f.instead)
			}
		}
	}
}

// files returns the names of all files in the repository that end in one of the suffixes.
func files(t *testing.T, suffixes ...string) (names []string) {
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if slices.Contains(suffixes, path.Ext(name)) {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatal(len(names), err)
	}
	return names
}
