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
  - name: scratch
    retention: 30d
    linkable: false
`))
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	want := sluice.Purposes{
		"invoice": {Name: "invoice", Title: "Invoice", Types: []string{"application/pdf"}, MaxSize: 100 << 20, Retention: 3650 * day, Linkable: true, MaxLinkLifetime: 12 * time.Hour},
		"scratch": {Name: "scratch", Title: "scratch", MaxSize: 50 << 30, Retention: 30 * day},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("purposes (-want +got):\n%s", diff)
	}
}

func TestReadPurposesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "there are no purposes",
		"purposes: []":                          "there are no purposes",
		"purposes: [{name: Invoice}]":           "a name is",
		"purposes: [{name: a}, {name: a}]":      "there twice",
		"purposes: [{name: a, colour: red}]":    "line 1: a purpose has no member \"colour\"; its members are name, title, types,",
		"purposes: [{name: a, max_size: 2TiB}]": "more than 1TiB",
		"purposes: [{name: a, max_size: -1}]":   "is no size",
		"purposes: [{name: a, max_size: 99999999999999999999}]": "is no size",
		"purposes: [{name: a, retention: 101y}]":                "more than 100y",
		"purposes: [{name: a, retention: -1h}]":                 "is no duration",
		"purposes: [{name: a, max_link_lifetime: often}]":       "is no duration",
		"purposes: [{name: a, types: [nonsense]}]":              "no media type",
		"purposes: [{name: a, linkable: perhaps}]":              "`perhaps` is not true or false",
		"- name: a":            "is not a mapping",
		"purpose: [{name: a}]": "there is no member \"purpose\"; the file has one, purposes",
		"purposes: {name: a}":  "is not a list of purposes",
		"purposes: [{name: a, types: application/pdf}]": "`applica...` is not a list",
	} {
		if _, err := readPurposes(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "struct") {
			t.Errorf("%q: got %v, want an error that says %q", text, err, want)
		}
	}
}
