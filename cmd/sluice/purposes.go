package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"sluice"
)

// purposesFile is the form of a purposes file. An omitted member sets no limit,
// except max_size, which is then 50 GiB.
//
//	purposes:
//	  - name: invoice
//	    title: Invoice
//	    types: [application/pdf]
//	    max_size: 100MiB
//	    retention: 10y
//	    linkable: true
//	    max_link_lifetime: 12h
//	    require: [recipient, verification, reason, terms]
//	    page: always
//	    personal: [filename, title, reason, metadata, linked_resources]
type purposesFile struct {
	Purposes list[purposeText] `yaml:"purposes"`
}

type purposeText struct {
	Name            text       `yaml:"name"`
	Title           text       `yaml:"title"`
	Types           list[text] `yaml:"types"`
	MaxSize         byteSize   `yaml:"max_size"`
	Retention       duration   `yaml:"retention"`
	Linkable        *yesNo     `yaml:"linkable"`
	MaxLinkLifetime duration   `yaml:"max_link_lifetime"`
	Require         list[text] `yaml:"require"`
	Page            text       `yaml:"page"`
	Personal        list[text] `yaml:"personal"`
}

func (f *purposesFile) UnmarshalYAML(node *yaml.Node) error {
	type members purposesFile // without this method
	unknown, line, err := decodeMembers(node, (*members)(f), "purposes")
	if unknown != "" {
		return fmt.Errorf("line %d: unknown member %q; the only member of the file is purposes", line, unknown)
	}
	return err
}

func (p *purposeText) UnmarshalYAML(node *yaml.Node) error {
	type members purposeText // without this method
	known := []string{
		"name", "title", "types", "max_size", "retention", "linkable", "max_link_lifetime", "require", "page",
		"personal",
	}
	unknown, line, err := decodeMembers(node, (*members)(p), known...)
	if unknown != "" {
		last := len(known) - 1
		return fmt.Errorf("line %d: a purpose has no member %q; its members are %s and %s",
			line, unknown, strings.Join(known[:last], ", "), known[last])
	}
	return err
}

// decodeMembers decodes a mapping into a struct. If the mapping has an unknown
// member, it returns the name and line of that member.
func decodeMembers(node *yaml.Node, into any, known ...string) (unknown string, line int, err error) {
	if node.Kind != yaml.MappingNode {
		return "", 0, wrongKind(node, "a mapping")
	}
	var all map[string]yaml.Node // includes merged members
	if err := node.Decode(&all); err != nil {
		return "", 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(known, name) {
			return name, all[name].Line, nil
		}
	}
	return "", 0, node.Decode(into)
}

// wrongKind returns an error for a node that is not of the wanted kind.
func wrongKind(node *yaml.Node, wanted string) error {
	switch node.Kind {
	case yaml.ScalarNode:
		return fmt.Errorf("line %d: %.40q is not %s", node.Line, node.Value, wanted)
	case yaml.SequenceNode:
		return fmt.Errorf("line %d: found a list, want %s", node.Line, wanted)
	}
	return fmt.Errorf("line %d: found a mapping, want %s", node.Line, wanted)
}

// text, yesNo and list decode like YAML's own types, but with the errors of
// this file.
type (
	text        string
	yesNo       bool
	list[T any] []T
)

func (t *text) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return wrongKind(node, "text")
	}
	return node.Decode((*string)(t))
}

func (b *yesNo) UnmarshalYAML(node *yaml.Node) error {
	if node.Decode((*bool)(b)) != nil {
		return wrongKind(node, "true or false")
	}
	return nil
}

func (l *list[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		return wrongKind(node, "a list")
	}
	return node.Decode((*[]T)(l))
}

const defaultMaxSize = 50 << 30

// loadPurposes reads a purposes file. It returns the default purposes if path
// is "". Unknown members are an error.
func loadPurposes(path string) (sluice.Purposes, error) {
	if path == "" {
		return sluice.DefaultPurposes(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	purposes, err := readPurposes(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return purposes, nil
}

func readPurposes(r io.Reader) (sluice.Purposes, error) {
	var file purposesFile
	err := yaml.NewDecoder(r).Decode(&file)
	var faults *yaml.TypeError
	switch {
	case errors.As(err, &faults):
		return nil, errors.New(strings.Join(faults.Errors, "; "))
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	var purposes []sluice.Purpose
	for _, p := range file.Purposes {
		purpose := sluice.Purpose{
			Name: string(p.Name), Title: string(p.Title), MaxSize: int64(p.MaxSize), Retention: time.Duration(p.Retention),
			Linkable: p.Linkable == nil || bool(*p.Linkable), MaxLinkLifetime: time.Duration(p.MaxLinkLifetime),
			Page: sluice.PagePolicy(p.Page),
		}
		for _, r := range p.Require {
			purpose.Require = append(purpose.Require, sluice.Requirement(r))
		}
		for _, f := range p.Personal {
			purpose.Personal = append(purpose.Personal, sluice.PersonalField(f))
		}
		for _, t := range p.Types {
			purpose.Types = append(purpose.Types, string(t))
		}
		if purpose.Title == "" {
			purpose.Title = purpose.Name
		}
		if purpose.MaxSize == 0 {
			purpose.MaxSize = defaultMaxSize
		}
		purposes = append(purposes, purpose)
	}
	return sluice.NewPurposes(purposes)
}

// byteSize is a number of bytes, or a number with KiB, MiB, GiB or TiB.
type byteSize int64

var sizeText = regexp.MustCompile(`^([0-9]{1,15})(|KiB|MiB|GiB|TiB)$`)

func (s *byteSize) UnmarshalYAML(node *yaml.Node) error {
	m := sizeText.FindStringSubmatch(node.Value)
	if m == nil {
		return fmt.Errorf("line %d: %q is not a size; write a number of bytes, or a number with KiB, MiB, GiB or TiB",
			node.Line, node.Value)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return err
	}
	shift := map[string]uint{"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[m[2]]
	if n > sluice.MaxFileSize>>shift {
		return fmt.Errorf("line %d: %s is more than 1TiB, the largest size of a file", node.Line, node.Value)
	}
	*s = byteSize(n << shift)
	return nil
}

// duration is a Go duration, or a number of days or of years of 365 days: 90m,
// 30d, 10y.
type duration time.Duration

var longText = regexp.MustCompile(`^([0-9]{1,5})(d|y)$`)

// parseDuration parses a duration in one of these forms. It refuses negative
// durations, and more than 100 years in days or years.
func parseDuration(text string) (time.Duration, error) {
	day := 24 * time.Hour
	if m := longText.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		unit := map[string]time.Duration{"d": day, "y": 365 * day}[m[2]]
		if time.Duration(n) > 100*365*day/unit {
			return 0, fmt.Errorf("%s is more than 100y", text)
		}
		return time.Duration(n) * unit, nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return 0, fmt.Errorf("%q is not a duration; write 90m, 12h, 30d or 10y", text)
	}
	return parsed, nil
}

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := parseDuration(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*d = duration(parsed)
	return nil
}

// UnmarshalText parses the value of a flag.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(strings.TrimSpace(string(text)))
	*d = duration(parsed)
	return err
}
