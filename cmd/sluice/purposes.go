package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
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
	Purposes []struct {
		Name            string   `yaml:"name"`
		Title           string   `yaml:"title"`
		Types           []string `yaml:"types"`
		MaxSize         byteSize `yaml:"max_size"`
		Retention       duration `yaml:"retention"`
		Linkable        *bool    `yaml:"linkable"`
		MaxLinkLifetime duration `yaml:"max_link_lifetime"`
	} `yaml:"purposes"`
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
		return nil, fmt.Errorf("purposes: %w", err)
	}
	defer f.Close()
	purposes, err := readPurposes(f)
	if err != nil {
		return nil, fmt.Errorf("purposes %s: %w", path, err)
	}
	return purposes, nil
}

func readPurposes(r io.Reader) (sluice.Purposes, error) {
	var file purposesFile
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
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

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	day := 24 * time.Hour
	if m := longText.FindStringSubmatch(node.Value); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		unit := map[string]time.Duration{"d": day, "y": 365 * day}[m[2]]
		if time.Duration(n) > 100*365*day/unit {
			return fmt.Errorf("line %d: %s is more than 100y", node.Line, node.Value)
		}
		*d = duration(time.Duration(n) * unit)
		return nil
	}
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed < 0 {
		return fmt.Errorf("line %d: %q is no duration; write 90m, 12h, 30d or 10y", node.Line, node.Value)
	}
	*d = duration(parsed)
	return nil
}
