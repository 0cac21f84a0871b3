package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// envPrefix begins the name of every environment variable that Sluice reads.
const envPrefix = "SLUICE_"

// Besides the flags of serve, these take their value from the environment: they
// say which installation or which server a command is for. No other flag of
// another command does, so that the configuration of a server changes nothing
// of what a command beside it was asked to do.
var sharedVariables = []string{"url", "key", "data", "database-url", "blob-url", "secrets"}

// environment gives flags their environment variables, and collects the names
// of these in known.
func environment(known map[string]bool) kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
			if n, ok := node.(*kong.Node); ok {
				for _, f := range n.Flags {
					if f.Name == "help" || n.Name != "serve" && !slices.Contains(sharedVariables, f.Name) {
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

// dropEmpty makes an empty variable one that is not set: what writes SLUICE_X=
// has no value for it.
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

// unknownVariables describes each variable with our prefix that no flag reads,
// a misspelt one probably.
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

// isKubernetes reports whether a variable is one that Kubernetes sets in every
// pod beside a Service that is called sluice.
func isKubernetes(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

// nearest gives the known name that is at most two edits away, or "".
func nearest(name string, known map[string]bool) (near string) {
	best := 3
	for k := range known {
		if d := edits(name, k); d < best || d == best && d < 3 && k < near {
			near, best = k, d
		}
	}
	return near
}

// edits is the Levenshtein distance of two texts, in bytes.
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
