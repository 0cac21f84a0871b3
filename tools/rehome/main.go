// Command rehome changes the module path of this repository, such as to the one under which it is published:
//
//	go run -C tools/rehome . github.com/acme/sluice
//	go run -C tools/rehome . -to /tmp/published github.com/acme/sluice
//
// It rewrites the go.mod of every module in the repository, the imports of their packages, and mentions of them in
// pages, scripts and comments. The names of packages, of the program and of folders do not change. With -to it writes a
// clone instead. The clone's folder must not exist; a relative path is relative to the repository.
//
// It refuses a repository with uncommitted changes or new files, so that git can show and undo its changes. It reads
// all files before it writes one. It commits nothing.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	to := flag.String("to", "", "write a clone to this `folder` and change nothing here")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run -C tools/rehome . [-to FOLDER] MODULE-PATH")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(".", *to, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "rehome:", err)
		os.Exit(1)
	}
}

// run changes the module path of the repository around dir, or of a clone.
func run(dir, to, path string) error {
	root, err := git(dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	changes, err := git(root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("%s has uncommitted changes:\n%s", root, changes)
	}
	if to != "" {
		if root, err = clone(root, to); err != nil {
			return err
		}
	}
	m, err := plan(root, path)
	if err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	fmt.Printf("%s: %s is now %s in %d files\n", root, m.from, m.to, len(m.changed))
	for _, text := range m.left {
		fmt.Println("not changed:", text)
	}
	return nil
}

// clone clones the committed state of the repository to a new folder and returns its path.
func clone(root, to string) (string, error) {
	if !filepath.IsAbs(to) {
		to = filepath.Join(root, to)
	}
	if _, err := os.Lstat(to); err == nil {
		return "", fmt.Errorf("%s exists", to)
	}
	_, err := git(root, "clone", "--quiet", "--no-hardlinks", root, to)
	return to, err
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
