package gate_test

import (
	"testing"

	"sluice"
	"sluice/internal/service"
)

// TestErasureDuringVisit: a person who proved an address downloads while an erasure of theirs goes on. When it has ended
// nothing names them, and their visit has ended too.
func TestErasureDuringVisit(t *testing.T) {
	f := newFixture(t)
	ann := f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
	ann.must(ann.ask("ann@bank.example"))
	ann.must(ann.prove(ann.code()))
	ann.must(ann.download(true))
	n := service.NewErasure{Recipient: "ann@bank.example"}
	if _, err := f.Erasures.Begin(ctx, service.Operator(f.ledger), n); err != nil {
		t.Fatal(err)
	}
	ann.must(ann.download(true)) // it has not reached the entries yet
	f.flush()
	if n, err := f.Erasures.Run(ctx); err != nil || n != 4 { // the code, the proof and two downloads
		t.Errorf("%d entries, %v", n, err)
	}
	wantReason(t, ann.download(true), sluice.VerificationRequired)
	wantReason(t, ann.download(false), sluice.VerificationRequired)
	f.flush()
	for _, e := range f.base.Entries(t, f.ledger) {
		if e.Recipient != nil && (e.Recipient.Email != "" || e.Request.ClientIP != "" && e.Refusal == "") {
			t.Errorf("%s has %+v of %+v", e.Action, e.Recipient, e.Request)
		}
	}
}
