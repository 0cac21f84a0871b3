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
	for i, want := range []string{`REFUSAL +REPEATS +ALLOWS$`, `revoked +99 +-$`, `revoked +- +-$`} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is %q, want one that ends like %q", i, lines[i], want)
		}
	}
}
