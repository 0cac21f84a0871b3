package main

import (
	"regexp"
	"strings"
	"testing"

	"sluice/api"
)

// The table of entries shows how many refusals an entry stands for.
func TestEntryTableRepeats(t *testing.T) {
	var out strings.Builder
	err := entryPrinter(&out, false)([]api.AuditEntry{
		{Action: "link.refused", Refusal: "revoked", Repeats: 99},
		{Action: "link.refused", Refusal: "revoked"},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{`REFUSAL +REPEATS +SENT +ALLOWS$`, `revoked +99 +- +-$`, `revoked +- +- +-$`} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is %q, want one that ends like %q", i, lines[i], want)
		}
	}
}

// The table of entries shows the address that limits were decided on, and the person who proved an address.
func TestEntryTableWho(t *testing.T) {
	var out strings.Builder
	bearer, ann := api.Actor{Type: "bearer", ID: "link_1"}, &api.RecipientRef{Email: "ann@bank.example"}
	err := entryPrinter(&out, false)([]api.AuditEntry{
		{Action: "link.redeemed", Actor: bearer, Recipient: ann,
			Request: &api.Request{IP: "10.0.0.1", ClientIP: "203.0.113.9", ForwardedFor: "198.51.100.7, 203.0.113.9"}},
		{Action: "link.refused", Actor: bearer, Recipient: ann, Request: &api.Request{IP: "10.0.0.1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", " ann@bank.example 203.0.113.9 ", " bearer link_1 10.0.0.1 "} {
		if line := strings.Split(out.String(), "\n")[i]; !strings.Contains(line, want) {
			t.Errorf("line %d is %q, want %q in it", i, line, want)
		}
	}
}

// The table of entries shows how each download ended in the line of its redemption.
func TestEntryTableDeliveries(t *testing.T) {
	bytes, yes, no := int64(4096), true, false
	redeemed := func(d api.Delivery) api.AuditEntry {
		d.Mode, d.Status = "proxy", 200
		return api.AuditEntry{Action: "link.redeemed", File: &api.FileRef{Filename: "a.txt"}, Delivery: &d}
	}
	var out strings.Builder
	err := entryPrinter(&out, false)([]api.AuditEntry{
		redeemed(api.Delivery{}),
		redeemed(api.Delivery{Bytes: &bytes, Complete: &yes}),
		redeemed(api.Delivery{Bytes: &bytes, Complete: &no}),
		redeemed(api.Delivery{Bytes: &bytes, Complete: &no, Returned: true}),
		{Action: "link.delivered", Deliveries: make([]api.EndedDelivery, 1)},
		{Action: "link.delivered", Deliveries: make([]api.EndedDelivery, 3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		`SENT +ALLOWS$`, `a.txt +- +- +- +- +-$`, ` 4096 bytes +-$`, ` 4096 bytes, incomplete +-$`,
		` 4096 bytes, returned +-$`, `link.delivered .* 1 download +-`, `link.delivered .* 3 downloads +-`,
	} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is %q, want one like %q", i, lines[i], want)
		}
	}
}
