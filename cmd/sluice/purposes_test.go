package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
)

func TestReadPurposes(t *testing.T) {
	got, err := readPurposes(strings.NewReader(`
purposes:
  - name: invoice
    title: Invoice
    types: [application/pdf]
    max_size: 100MiB
    retention: 10y
    linkable: true
    max_link_lifetime: 12h
    require: [recipient, verification, reason, terms]
    page: always
  - &scratch
    name: scratch
    title: ~
    retention: 30d
    linkable: false
  - <<: *scratch
    name: other
`))
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	want := sluice.Purposes{
		"invoice": {Name: "invoice", Title: "Invoice", Types: []string{"application/pdf"}, MaxSize: 100 << 20,
			Retention: 3650 * day, Linkable: true, MaxLinkLifetime: 12 * time.Hour,
			Require: []sluice.Requirement{"recipient", "verification", "reason", "terms"}, Page: sluice.PageAlways},
		"scratch": {Name: "scratch", Title: "scratch", MaxSize: 50 << 30, Retention: 30 * day},
		"other":   {Name: "other", Title: "other", MaxSize: 50 << 30, Retention: 30 * day},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("purposes (-want +got):\n%s", diff)
	}
}

func TestReadPurposesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "no purposes are defined",
		"purposes: []":                     "no purposes are defined",
		"purposes: [{name: Invoice}]":      "a name has",
		"purposes: [{name: a}, {name: a}]": "defined twice",
		"purposes: [{name: a, colour: red}]": "line 1: a purpose has no member \"colour\"; its members are name, " +
			"title, types,",
		"purposes: [{name: a, max_size: 2TiB}]":                 "more than 1TiB",
		"purposes: [{name: a, max_size: -1}]":                   "is not a size",
		"purposes: [{name: a, max_size: 99999999999999999999}]": "is not a size",
		"purposes: [{name: a, retention: 101y}]":                "more than 100y",
		"purposes: [{name: a, retention: -1h}]":                 "is not a duration",
		"purposes: [{name: a, max_link_lifetime: often}]":       "is not a duration",
		"purposes: [{name: a, types: [nonsense]}]":              "must be a media type",
		"purposes: [{name: a, linkable: perhaps}]":              "line 1: \"perhaps\" is not true or false",
		"purposes: [{name: a, require: [password]}]":            "require has recipient, verification,",
		"purposes: [{name: a, require: recipient}]":             "is not a list",
		"purposes: [{name: a, page: sometimes}]":                "page is auto, always or never",
		"- name: a":                                             "line 1: found a list, want a mapping",
		"purpose: [{name: a}]":                                  "unknown member \"purpose\"; the only member of the file",
		"purposes: {name: a}":                                   "line 1: found a mapping, want a list",
		"purposes: [a]":                                         "line 1: \"a\" is not a mapping",
		"purposes: [{name: a, types: application/pdf}]":         "line 1: \"application/pdf\" is not a list",
		"purposes: [{name: {a: b}}]":                            "line 1: found a mapping, want text",
		"purposes: [{name: a, name: b}]": "line 1: mapping key \"name\" already defined " +
			"at line 1",
		"purposes:\n- &a {name: a, colour: red}\n- {<<: *a, name: b}": "line 2: a purpose has no member \"colour\"",
		"purposes:\n- name: a\n  <<: {colour: red}":                   "line 3: a purpose has no member \"colour\"",
		"purposes:\n- name: a\n  title: A\n  colour: red":             "line 4: a purpose has no member \"colour\"",
		"purposes: [": "yaml: line 1: did not find expected node content",
	} {
		_, err := readPurposes(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n`") {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}
