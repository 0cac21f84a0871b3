package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// move changes the path of a module, and with it the paths of its packages.
type move struct {
	root     string // of the repository
	from, to string
	mentions *regexp.Regexp    // packages in prose
	commands *regexp.Regexp    // the module in commands
	changed  map[string][]byte // new content of files, by name
	left     []string          // texts that look like paths and were not changed
}

// plan reads every file of the repository and computes the changes.
func plan(root, to string) (*move, error) {
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &move{root: root, from: modfile.ModulePath(gomod), to: to, changed: map[string][]byte{}}
	if err := checkPath(m.from, to); err != nil {
		return nil, err
	}
	list, err := git(root, "ls-files", "-z")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		// Skip symbolic links and other repositories.
		if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	m.recognise(names)
	for _, name := range names {
		if err := m.file(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}

func checkPath(from, to string) error {
	if from == "" {
		return errors.New("go.mod has no module path")
	}
	if err := module.CheckPath(to); err != nil {
		return err
	}
	// The other modules require the root at v0.0.0, which only major versions 0 and 1 can have.
	if _, major, _ := module.SplitPathVersion(to); major != "" {
		return fmt.Errorf("%s: a module path with a major version suffix is not supported", to)
	}
	if from == to {
		return fmt.Errorf("the module path is already %s", to)
	}
	return nil
}

// recognise builds the patterns that match names of the module. Only a folder with Go files can be a package, so that
// file paths such as /etc/sluice/purposes.yaml do not match.
func (m *move) recognise(names []string) {
	packages := map[string]bool{}
	for _, name := range names {
		if dir := path.Dir(name); path.Ext(name) == ".go" && dir != "." {
			packages[regexp.QuoteMeta(dir)] = true
		}
	}
	longest := slices.Sorted(maps.Keys(packages))
	slices.Reverse(longest) // a folder before its parent
	old := regexp.QuoteMeta(m.from)
	m.mentions = regexp.MustCompile(`(^|[^\w./@~-])` + old + `(/(?:` + strings.Join(longest, "|") + `))($|[^\w/-])`)
	before, after := `(\bgo (?:get|install|run|doc)(?: -\S+)* |^module |\bimport ")`, "($|[\"@\\s`])"
	m.commands = regexp.MustCompile(before + old + after)
}

// renamed returns the new path for a path in the module.
func (m *move) renamed(p string) (string, bool) {
	if p == m.from {
		return m.to, true
	}
	rest, ok := strings.CutPrefix(p, m.from+"/")
	return m.to + "/" + rest, ok
}

func (m *move) file(name string) error {
	rewrite := map[string]func(string, []byte) ([]byte, error){
		".go": m.goFile, ".mod": m.modFile, ".md": m.text, ".sh": m.text, ".txt": m.text, ".txtar": m.text,
		".yaml": m.text, ".yml": m.text,
	}[path.Ext(name)]
	if rewrite == nil {
		return nil
	}
	old, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return err
	}
	data, err := rewrite(name, old)
	if err == nil && !bytes.Equal(data, old) {
		m.changed[name] = data
	}
	return err
}

// text rewrites package paths in prose and commands.
func (m *move) text(_ string, data []byte) ([]byte, error) {
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		for { // adjacent matches share a character
			next := m.mentions.ReplaceAllString(line, "${1}"+m.to+"${2}${3}")
			next = m.commands.ReplaceAllString(next, "${1}"+m.to+"${2}")
			if next == line {
				break
			}
			line = next
		}
		lines[i] = line
	}
	return []byte(strings.Join(lines, "")), nil
}

// goFile rewrites imports and comments, and sorts the imports again.
func (m *move) goFile(name string, data []byte) ([]byte, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, data, parser.ParseComments)
	if err != nil {
		if strings.Contains(name, "testdata/") { // some files are invalid on purpose
			return data, nil
		}
		return nil, err
	}
	type edit struct {
		first, last int
		text        string
	}
	var edits []edit
	add := func(n ast.Node, text string) {
		edits = append(edits, edit{files.Position(n.Pos()).Offset, files.Position(n.End()).Offset, text})
	}
	imports := map[ast.Node]bool{}
	for _, spec := range file.Imports {
		imports[spec.Path] = true
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			if to, ours := m.renamed(p); ours {
				add(spec.Path, strconv.Quote(to))
			}
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if text, _ := m.text(name, []byte(c.Text)); string(text) != c.Text {
				add(c, string(text))
			}
		}
	}
	m.findLeft(files, file, imports)
	slices.SortFunc(edits, func(a, b edit) int { return b.first - a.first })
	for _, e := range edits {
		data = slices.Concat(data[:e.first], []byte(e.text), data[e.last:])
	}
	if len(edits) == 0 {
		return data, nil
	}
	return format.Source(data)
}

// findLeft collects string literals with a package path. Only a reader can tell whether they are imports.
func (m *move) findLeft(files *token.FileSet, file *ast.File, imports map[ast.Node]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if ok && literal.Kind == token.STRING && !imports[n] && m.mentions.MatchString(literal.Value) {
			m.left = append(m.left, fmt.Sprintf("%s: %.80s", files.Position(n.Pos()), literal.Value))
		}
		return true
	})
}

// modFile rewrites the module path, and the paths in require, replace and exclude directives.
func (m *move) modFile(name string, data []byte) ([]byte, error) {
	if path.Base(name) != "go.mod" {
		return data, nil
	}
	f, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, err
	}
	if f.Module != nil {
		if to, ours := m.renamed(f.Module.Mod.Path); ours {
			err = f.AddModuleStmt(to)
		}
	}
	for _, r := range slices.Clone(f.Require) {
		r := *r // dropping clears it
		if to, ours := m.renamed(r.Mod.Path); ours && err == nil {
			err = f.DropRequire(r.Mod.Path)
			f.AddNewRequire(to, r.Mod.Version, r.Indirect)
		}
	}
	for _, r := range slices.Clone(f.Replace) {
		r := *r
		if to, ours := m.renamed(r.Old.Path); ours && err == nil {
			err = errors.Join(
				f.DropReplace(r.Old.Path, r.Old.Version),
				f.AddReplace(to, r.Old.Version, r.New.Path, r.New.Version),
			)
		}
	}
	if err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// write writes the changed files.
func (m *move) write() error {
	for _, name := range slices.Sorted(maps.Keys(m.changed)) {
		if err := os.WriteFile(filepath.Join(m.root, name), m.changed[name], 0o644); err != nil { // keeps the mode
			return err
		}
	}
	return nil
}
