package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// envPrefix is the prefix of every environment variable that Sluice reads.
const envPrefix = "SLUICE_"

// sharedVariables are the flags that every command also reads from the
// environment. They name the installation or the server. Other flags are read
// from the environment only by serve and doctor, so that a server's configuration does not
// change the effect of other commands.
var sharedVariables = []string{"url", "key", "data", "database-url", "blob-url", "secrets"}

// environment binds flags to environment variables and adds the names of the
// variables to known.
func environment(known map[string]bool) kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
			if n, ok := node.(*kong.Node); ok {
				for _, f := range n.Flags {
					if f.Name == "help" || n.Name != "serve" && n.Name != "doctor" && !slices.Contains(sharedVariables, f.Name) {
						continue
					}
					name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
					f.Envs, f.Tag.Envs = []string{name}, []string{name}
					known[name] = true
				}
			}
			return next(nil)
		})
	})
}

// dropEmpty unsets empty variables: SLUICE_X= means that no value is set.
func dropEmpty() error {
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); value == "" && strings.HasPrefix(name, envPrefix) {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// unknownVariables describes each variable with the prefix that no flag reads.
// Most of them are misspelled.
func unknownVariables(known map[string]bool) (warnings []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || known[name] || isKubernetes(name) {
			continue
		}
		text := fmt.Sprintf("the environment variable %s has no effect", name)
		if near := nearest(name, known); near != "" {
			text += "; did you mean " + near + "?"
		}
		warnings = append(warnings, text)
	}
	slices.Sort(warnings)
	return warnings
}

// isKubernetes reports whether Kubernetes sets the variable for a Service named
// sluice.
func isKubernetes(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

// nearest returns the known name within two edits of name, or "".
func nearest(name string, known map[string]bool) (near string) {
	best := 3
	for k := range known {
		if d := edits(name, k); d < best || d == best && d < 3 && k < near {
			near, best = k, d
		}
	}
	return near
}

// edits returns the Levenshtein distance between a and b in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
