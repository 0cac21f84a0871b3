package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"sluice"
)

// purposesFile is the form of a purposes file. What a purpose leaves out is
// not restricted, but for its size, which is at most 50 GiB then.
//
//	purposes:
//	  - name: invoice
//	    title: Invoice
//	    types: [application/pdf]
//	    max_size: 100MiB
//	    retention: 10y
//	    linkable: true
//	    max_link_lifetime: 12h
type purposesFile struct {
	Purposes []purposeText `yaml:"purposes"`
}

type purposeText struct {
	Name            string   `yaml:"name"`
	Title           string   `yaml:"title"`
	Types           []string `yaml:"types"`
	MaxSize         byteSize `yaml:"max_size"`
	Retention       duration `yaml:"retention"`
	Linkable        *bool    `yaml:"linkable"`
	MaxLinkLifetime duration `yaml:"max_link_lifetime"`
}

const defaultMaxSize = 50 << 30

// loadPurposes reads the purposes of an installation, or gives the default
// set when path is "". A field it does not know is an error.
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
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, plainYAML(err)
	}
	var list []sluice.Purpose
	for _, p := range file.Purposes {
		purpose := sluice.Purpose{
			Name: p.Name, Title: p.Title, Types: p.Types, MaxSize: int64(p.MaxSize), Retention: time.Duration(p.Retention),
			Linkable: p.Linkable == nil || *p.Linkable, MaxLinkLifetime: time.Duration(p.MaxLinkLifetime),
		}
		if purpose.Title == "" {
			purpose.Title = p.Name
		}
		if purpose.MaxSize == 0 {
			purpose.MaxSize = defaultMaxSize
		}
		list = append(list, purpose)
	}
	return sluice.NewPurposes(list)
}

// What the YAML decoder says of Go's types, and what it means to who wrote the file.
var (
	unknownMember = regexp.MustCompile(`field (\S+) not found in type main\.purpose(Text|sFile)`)
	wrongKind     = regexp.MustCompile(`cannot unmarshal !!(\w+)(?: (` + "`[^`]*`" + `))? into (\S+)`)
)

// plainYAML says what is wrong with a purposes file in the words of the file.
func plainYAML(err error) error {
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ", "")
	text = unknownMember.ReplaceAllStringFunc(text, func(found string) string {
		m := unknownMember.FindStringSubmatch(found)
		members := "name, title, types, max_size, retention, linkable and max_link_lifetime"
		if m[2] == "sFile" {
			return fmt.Sprintf("there is no member %q; the file has one, purposes", m[1])
		}
		return fmt.Sprintf("a purpose has no member %q; its members are %s", m[1], members)
	})
	text = wrongKind.ReplaceAllStringFunc(text, func(found string) string {
		m := wrongKind.FindStringSubmatch(found)
		kind := map[string]string{"bool": "true or false", "*bool": "true or false", "[]string": "a list", "string": "text",
			"[]main.purposeText": "a list of purposes"}[m[3]]
		if kind == "" {
			kind = "a mapping"
		}
		return strings.TrimSpace(m[2] + " is not " + kind)
	})
	return errors.New(text)
}

// byteSize is written as bytes, or with KiB, MiB, GiB or TiB.
type byteSize int64

var sizeText = regexp.MustCompile(`^([0-9]{1,15})(|KiB|MiB|GiB|TiB)$`)

func (s *byteSize) UnmarshalYAML(node *yaml.Node) error {
	m := sizeText.FindStringSubmatch(node.Value)
	if m == nil {
		return fmt.Errorf("line %d: %q is no size; write bytes, or a number with KiB, MiB, GiB or TiB", node.Line, node.Value)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return err
	}
	shift := map[string]uint{"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[m[2]]
	if n > sluice.MaxFileSize>>shift {
		return fmt.Errorf("line %d: %s is more than 1TiB, the largest file there may be", node.Line, node.Value)
	}
	*s = byteSize(n << shift)
	return nil
}

// duration is written as Go writes durations, or in whole days or years of 365
// days: 90m, 30d, 10y.
type duration time.Duration

var longText = regexp.MustCompile(`^([0-9]{1,5})(d|y)$`)

// parseDuration reads a duration in one of these forms. It is not negative, and
// in days or years at most 100 years.
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
		return 0, fmt.Errorf("%q is no duration; write 90m, 12h, 30d or 10y", text)
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

// UnmarshalText reads the value of a flag.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(strings.TrimSpace(string(text)))
	*d = duration(parsed)
	return err
}
