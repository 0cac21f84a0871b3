package fsck

import (
	"fmt"
	"strings"
	"testing"
)

// One damaged column may make every row a finding. Only the first are kept, whether or not a row is of a ledger, and
// the others are counted.
func TestFindingsAreBounded(t *testing.T) {
	for name, l := range map[string]*ledgerRows{"of no ledger": nil, "of a ledger": {}} {
		t.Run(name, func(t *testing.T) {
			var found []Finding
			c := newRowCheck(nil, nil, func(f Finding) { found = append(found, f) })
			for i := range 3 * maxFindings {
				c.add(l, "link", fmt.Sprint(i), "its ledger 7 does not exist")
			}
			if len(found) != maxFindings {
				t.Errorf("%d findings are kept, want %d", len(found), maxFindings)
			}
			if c.missing(nil); l == nil && !strings.Contains(found[len(found)-1].Problem, fmt.Sprint(2*maxFindings, " more")) {
				t.Errorf("the last one is %s", found[len(found)-1])
			}
		})
	}
}
