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

// move is the change of a module's path: from one path to another, and so for every path below it.
type move struct {
	root     string // of the repository
	from, to string
	mentions *regexp.Regexp    // of packages in prose
	commands *regexp.Regexp    // of the module in commands
	changed  map[string][]byte // new content of files, by name
	left     []string          // what looks like a path and was not changed
}

// plan reads every file of the repository and finds out what changes.
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
		// Not what git keeps as a link, nor another repository.
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
		return errors.New("go.mod names no module")
	}
	if err := module.CheckPath(to); err != nil {
		return err
	}
	// The modules below require the root at v0.0.0, which no other major version has.
	if _, major, _ := module.SplitPathVersion(to); major != "" {
		return fmt.Errorf("%s: the path of a later major version needs more than another name", to)
	}
	if from == to {
		return fmt.Errorf("the module is %s already", to)
	}
	return nil
}

// recognise makes the patterns by which text is seen to name the module. Only a folder that has Go files can be a
// package: a path of the file system, such as /etc/sluice/purposes.yaml, is left alone.
func (m *move) recognise(names []string) {
	packages := map[string]bool{}
	for _, name := range names {
		if dir := path.Dir(name); path.Ext(name) == ".go" && dir != "." {
			packages[regexp.QuoteMeta(dir)] = true
		}
	}
	longest := slices.Sorted(maps.Keys(packages))
	slices.Reverse(longest) // a folder stands before the one it is in
	old := regexp.QuoteMeta(m.from)
	m.mentions = regexp.MustCompile(`(^|[^\w./@~-])` + old + `(/(?:` + strings.Join(longest, "|") + `))($|[^\w/-])`)
	before, after := `(\bgo (?:get|install|run|doc)(?: -\S+)* |^module |\bimport ")`, "($|[\"@\\s`])"
	m.commands = regexp.MustCompile(before + old + after)
}

// renamed gives a path of the module at its new place.
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

// text rewrites what prose and commands say of packages.
func (m *move) text(_ string, data []byte) ([]byte, error) {
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		for { // neighbours share the character between them
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

// goFile rewrites imports and comments, and sorts the imports anew.
func (m *move) goFile(name string, data []byte) ([]byte, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, data, parser.ParseComments)
	if err != nil {
		if strings.Contains(name, "testdata/") { // some of it is broken on purpose
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

// findLeft notes texts that name a package of the module: whether that is the path of an import, only a reader knows.
func (m *move) findLeft(files *token.FileSet, file *ast.File, imports map[ast.Node]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if ok && literal.Kind == token.STRING && !imports[n] && m.mentions.MatchString(literal.Value) {
			m.left = append(m.left, fmt.Sprintf("%s: %.80s", files.Position(n.Pos()), literal.Value))
		}
		return true
	})
}

// modFile rewrites the path of a module, and what it requires, replaces and excludes of the others.
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
		r := *r // which dropping clears
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

// write writes what has changed.
func (m *move) write() error {
	for _, name := range slices.Sorted(maps.Keys(m.changed)) {
		if err := os.WriteFile(filepath.Join(m.root, name), m.changed[name], 0o644); err != nil { // which keeps its mode
			return err
		}
	}
	return nil
}
