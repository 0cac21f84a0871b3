package sluice_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// directions lists, for each folder with Go files, the folders of this module that its package may import.
// "." is the root; "*" on the right stands for every folder. A folder imports only folders listed above it.
var directions = map[string][]string{
	"ledger":                {},
	"api":                   {},
	".":                     {},
	"client":                {".", "api", "ledger"},
	"internal/objectid":     {},
	"internal/token":        {},
	"internal/seal":         {".", "internal/token"},
	"internal/email":        {"."},
	"internal/jsoninput":    {"."},
	"internal/audit":        {".", "ledger"},
	"internal/password":     {"."},
	"internal/verifier":     {},
	"internal/presentation": {"."},
	"internal/text":         {},
	"internal/sentence":     {".", "internal/text"},
	"internal/brand":        {},
	"internal/signin":       {"."},
	"internal/refusals":     {".", "internal/audit"},
	"internal/service": {".", "ledger", "internal/audit", "internal/email", "internal/objectid", "internal/password",
		"internal/refusals", "internal/seal", "internal/token"},
	"internal/gate": {".", "internal/audit", "internal/email", "internal/password", "internal/presentation",
		"internal/refusals", "internal/seal", "internal/service"},
	"internal/store/storetest": {".", "ledger", "internal/audit", "internal/objectid", "internal/service"},
	"internal/store/sqldb":     {"."},
	"internal/store/sqlite":    {".", "internal/store/sqldb"},
	"internal/store/postgres":  {".", "internal/store/sqldb"},
	"internal/store/auditlog":  {".", "ledger", "internal/audit", "internal/service", "internal/store/sqldb"},
	"internal/store/records":   {".", "ledger", "internal/service", "internal/store/sqldb", "internal/store/auditlog"},
	"internal/store": {".", "ledger", "internal/audit", "internal/objectid", "internal/service", "internal/store/sqldb",
		"internal/store/sqlite", "internal/store/postgres", "internal/store/auditlog", "internal/store/records"},
	"internal/store/transfer": {".", "internal/store", "internal/store/sqldb", "internal/store/sqlite", "internal/store/postgres"},
	"internal/syscalltest":    {},
	"internal/blob/blobtest":  {".", "internal/objectid", "internal/service"},
	"internal/blob":           {".", "internal/objectid", "internal/service", "internal/syscalltest"},
	"internal/httpd/contract": {"api"},
	"internal/httpd/compat":   {".", "internal/jsoninput", "internal/service"},
	"internal/httpd/compat/*": {".", "internal/service", "internal/httpd/compat"},
	// What all faces share imports no face. A face imports another only where the table says so here.
	"internal/httpd":       {".", "api", "internal/jsoninput", "internal/service"},
	"internal/httpd/pages": {".", "api", "internal/brand", "internal/text", "internal/httpd"},
	"internal/httpd/look":  {".", "internal/brand", "internal/httpd"},
	"internal/httpd/docs": {".", "api", "internal/brand", "internal/httpd", "internal/httpd/look",
		"internal/httpd/pages"},
	"internal/httpd/fastpath": {"internal/httpd"},
	"internal/httpd/download": {".", "api", "internal/email", "internal/gate", "internal/presentation",
		"internal/service", "internal/text", "internal/httpd", "internal/httpd/pages"},
	"internal/report": {".", "ledger", "internal/audit", "internal/brand", "internal/sentence", "internal/verifier",
		"internal/httpd/look"},
	"internal/httpd/native": {".", "api", "ledger", "internal/audit", "internal/email", "internal/jsoninput",
		"internal/report", "internal/service",
		"internal/httpd", "internal/httpd/compat", "internal/httpd/contract"},
	"internal/httpd/adapter": {".", "internal/gate", "internal/service",
		"internal/httpd", "internal/httpd/compat", "internal/httpd/download", "internal/httpd/native"},
	"internal/httpd/console": {".", "api", "ledger", "internal/brand", "internal/email", "internal/sentence",
		"internal/service", "internal/signin", "internal/text", "internal/verifier", "internal/httpd",
		"internal/httpd/look"},
	"internal/server": {"internal/brand", "internal/gate", "internal/service", "internal/httpd", "internal/httpd/adapter",
		"internal/httpd/compat", "internal/httpd/console", "internal/httpd/docs", "internal/httpd/download", "internal/httpd/native",
		"internal/httpd/pages"},
	// The server serves the generated pages; it does not import their generator.
	"internal/httpd/apidoc": {".", "api", "ledger", "client", "internal/service", "internal/server",
		"internal/httpd", "internal/httpd/contract", "internal/httpd/native"},
	"internal/leader": {"internal/service"},
	"internal/maintain/*": {".", "ledger", "internal/audit", "internal/seal", "internal/service", "internal/store",
		"internal/maintain/replay"},
	"internal/jobs":          {"internal/gate", "internal/leader", "internal/maintain/fsck", "internal/service"},
	"internal/follow/anchor": {"ledger"},
	"internal/mail": {".", "internal/brand", "internal/leader", "internal/presentation", "internal/service",
		"internal/text"},
	"internal/follow": {".", "ledger", "internal/blob", "internal/follow/anchor", "internal/leader",
		"internal/service"},
	"internal/obs": {".", "internal/service", "internal/store"},
	"sluicetest": {".", "ledger", "internal/audit", "internal/brand", "internal/seal", "internal/service", "internal/token",
		"internal/gate", "internal/store",
		"internal/blob", "internal/httpd", "internal/httpd/compat", "internal/maintain/fsck", "internal/obs",
		"internal/server",
		"internal/httpd/compat/digitalriver", "internal/httpd/compat/metorial", "internal/httpd/compat/stripe",
		"internal/httpd/fastpath"},
	"cmd/sluice": {"*"},
	"bench/*":    {"*"},
}

// confined names external packages that only one folder, with those below it, may import, in code and in tests.
// The tests of cmd/sluice may import them too, to inspect what a command left behind.
var confined = []struct{ prefix, only string }{
	{"database/sql", "internal/store"},
	{"modernc.org/sqlite", "internal/store"},
	{"github.com/jackc", "internal/store"},
	{"github.com/aws", "internal/blob"},
	{"filippo.io/age", "internal/maintain/backup"},
	{"github.com/wneessen/go-mail", "internal/mail"},
	{"github.com/coreos/go-oidc", "internal/signin"},
	{"golang.org/x/oauth2", "internal/signin"},
}

// withoutHTTP lists the folders that must not import net/http: their packages decide and read no requests.
var withoutHTTP = []string{".", "ledger", "internal/audit", "internal/refusals", "internal/service", "internal/gate"}

// TestImports checks every Go file against the tables above. An internal test may import what its package may.
// An external test may also import its own package, sluicetest, and what sluicetest may import.
func TestImports(t *testing.T) {
	gomod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module := modfile.ModulePath(gomod)

	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && name != "." && isApart(name) {
			return filepath.SkipDir
		}
		if !d.IsDir() && path.Ext(name) == ".go" {
			checkFile(t, module, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isApart reports whether the go command excludes the folder from the packages of this module.
func isApart(dir string) bool {
	base := path.Base(dir)
	_, err := os.Stat(path.Join(dir, "go.mod"))
	return err == nil || slices.Contains([]string{"testdata", "node_modules", "vendor"}, base) ||
		strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func checkFile(t *testing.T, module, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	dir, isTest := path.Dir(name), strings.HasSuffix(name, "_test.go")
	allowed, ok := row(dir)
	if !ok {
		t.Errorf("%s: directions has no row for the folder %s: add one", name, dir)
		return
	}
	if isTest { // a package may test itself with the suite of its contract
		allowed = slices.Concat(allowed, []string{dir + "/" + path.Base(dir) + "test"})
	}
	if isTest && strings.HasSuffix(file.Name.Name, "_test") {
		allowed = slices.Concat(allowed, []string{dir, "sluicetest"}, directions["sluicetest"])
	}

	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ours, ok := within(module, imported); ok {
			if !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: of this module, %s may import only %q", name, imported, dir, allowed)
			}
			continue
		}
		if first, _, _ := strings.Cut(imported, "/"); dir == "." && !isTest && strings.Contains(first, ".") {
			t.Errorf("%s imports %s: the root may import only the standard library", name, imported)
		}
		if imported == "net/http" && !isTest && slices.Contains(withoutHTTP, dir) {
			t.Errorf("%s imports %s: %s must not know HTTP", name, imported, dir)
		}
		for _, c := range confined {
			_, applies := within(c.prefix, imported)
			_, may := within(c.only, dir)
			if applies && !may && !(isTest && dir == "cmd/sluice") {
				t.Errorf("%s imports %s: only %s may import it", name, imported, c.only)
			}
		}
	}
}

// row returns the row of directions for dir.
func row(dir string) (allowed []string, ok bool) {
	for pattern, allowed := range directions {
		if match, _ := path.Match(pattern, dir); match {
			return allowed, true
		}
	}
	return nil, false
}

// within returns the path of imported relative to prefix, "." for prefix itself. ok reports whether it lies there.
func within(prefix, imported string) (relative string, ok bool) {
	if imported == prefix {
		return ".", true
	}
	return strings.CutPrefix(imported, prefix+"/")
}
