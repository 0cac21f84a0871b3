package service_test

import (
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
)

// TestRedactionErasesRecipients redacts the entries of a link. The people are gone from the log, from its index, from
// lists and from the link, which admits nobody until its owner names others. The log verifies, and the check of the
// records at the end of the test finds nothing.
func TestRedactionErasesRecipients(t *testing.T) {
	f := newFixture(t)
	f.config.Mail = true
	f.use(nil)
	file := f.upload("0123456789")
	minting := f.caller
	minting.Request.ID = "req_minting"
	minting.IdempotencyKey = &service.IdempotencyKey{Value: "for Ann", Fingerprint: service.Fingerprint{{1}}}
	l, err := f.Links.Mint(ctx, minting, service.NewLink{FileID: file.ID, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "Ann@bank.example", Name: "Ann"}, Allowed: []string{"*@audit.example"},
		Message: "Dear Ann", Terms: "1.",
		Notify: sluice.Notify{Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.Unopened}},
	}})
	if err != nil || !l.Access.Admits("ann@bank.example") || !l.Access.Admits("x@audit.example") ||
		l.Access.Admits("eve@bank.example") {
		t.Fatalf("%+v, %v", l.Access, err)
	}
	allowed := []string{"bob@bank.example"}
	if _, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{AllowedRecipients: &allowed}); err != nil {
		t.Fatal(err)
	}
	list := func(filter service.EntryFilter) []sluice.Entry {
		t.Helper()
		page, err := f.Entries.List(ctx, f.caller, filter, sluice.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return page.Data
	}
	links := func() int {
		t.Helper()
		page, err := f.Links.List(ctx, f.caller, service.LinkFilter{Recipient: "ann@bank.example"}, sluice.Page{Limit: 9})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Data)
	}
	response := func() (stored service.StoredResponse) {
		t.Helper()
		if err := f.base.Store.View(ctx, func(r service.Reader) (err error) {
			stored, err = r.StoredResponse(f.caller.Key.ID, "for Ann")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	if r := response(); !strings.Contains(string(r.Result), "Ann") {
		t.Fatalf("the stored response is %s", r.Result)
	}
	entries := list(service.EntryFilter{Recipient: "ann@bank.example"})
	if len(entries) != 2 || links() != 1 {
		t.Fatalf("%d entries, %d links", len(entries), links())
	}
	for i, e := range entries {
		r, err := f.Entries.Redact(ctx, f.caller, e.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(r.Subject.Fields, "/link/recipient/email") ||
			!slices.Contains(r.Subject.Fields, "/link/notify/email") ||
			i == 0 && !slices.Contains(r.Subject.Fields, "/link/before/allowed_recipients") {
			t.Errorf("%s: erased %q", e.Action, r.Subject.Fields)
		}
		e, err = f.Entries.Get(ctx, f.caller, e.ID)
		if err != nil || e.Link.Access.Recipient != (sluice.Recipient{}) || e.Link.Access.Allowed != nil ||
			e.Link.Access.Message != "" || e.Link.Access.Notify.Email != "" || len(e.Damaged) > 0 ||
			!slices.Equal(e.Redacted, r.Subject.Fields) {
			t.Errorf("%+v, %v", e.Link.Access, err)
		}
		if e.Link.Access.TermsSHA256 != l.Access.TermsSHA256() || e.Link.Access.Verification != sluice.EmailVerification {
			t.Errorf("a redaction has erased what is not personal: %+v", e.Link.Access)
		}
	}
	if r := response(); r.Result != nil || sluice.CodeOf(r.Err) != sluice.CodeIdempotencyReused {
		t.Errorf("the response that shows Ann is still stored: %+v", r)
	}
	if entries = list(service.EntryFilter{Recipient: "ann@bank.example"}); len(entries) != 0 || links() != 0 {
		t.Errorf("%d entries, %d links", len(entries), links())
	}
	got, err := f.Links.Get(ctx, f.caller, "", l.ID)
	if !f.Seals().LinkFits(got) {
		t.Error("the row has lost its seal")
	}
	if err != nil || got.Access.Identifies() || !got.Access.Erased || !got.Access.Verifies() || got.Access.Terms != "1." {
		t.Errorf("%+v, %v", got.Access, err)
	}
	for _, email := range []string{"ann@bank.example", "bob@bank.example", "x@audit.example", ""} {
		if got.Access.Admits(email) {
			t.Errorf("%q is admitted to a link whose people were erased", email)
		}
	}
	message := "Dear Bob"
	got, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Message: &message})
	if err != nil || !got.Access.Erased || got.Access.Admits("ann@bank.example") {
		t.Errorf("%+v, %v", got.Access, err)
	}
	got, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{AllowedRecipients: &allowed})
	if err != nil || !got.Access.Admits("bob@bank.example") || got.Access.Admits("ann@bank.example") {
		t.Errorf("%+v, %v", got.Access, err)
	}
}

// TestWithoutMailServer refuses links that need a mail server where none is configured, and says so.
func TestWithoutMailServer(t *testing.T) {
	f := newFixture(t)
	file := f.upload("0123456789")
	ann := sluice.Recipient{Email: "ann@bank.example"}
	for param, n := range map[string]service.NewLink{
		"verification": {Access: sluice.Access{Recipient: ann}},
		"send":         {Access: sluice.Access{Recipient: ann, Verification: sluice.NoVerification}, Send: true},
		"notify": {Access: sluice.Access{Notify: sluice.Notify{
			Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.RefusedAccess},
		}}},
	} {
		n.FileID = file.ID
		_, err := f.Links.Mint(ctx, f.caller, n)
		wantCode(t, err, sluice.CodeValidation)
		if err == nil || !strings.Contains(err.Error(), param+" needs a mail server") {
			t.Errorf("%s: %v", param, err)
		}
	}
	_, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID,
		Access: sluice.Access{Recipient: ann, Verification: sluice.NoVerification, Message: "Dear Ann", Terms: "1."}})
	if err != nil {
		t.Error(err)
	}
}

// TestPurposeRequires mints and changes links to files whose purpose demands something of them.
func TestPurposeRequires(t *testing.T) {
	f := newFixture(t)
	f.config.Mail = true
	f.use(nil)
	file := f.upload("0123456789")
	purpose := sluice.Purpose{
		Name: "generic", MaxSize: 100, Linkable: true, Page: sluice.PageAlways,
		Require: []sluice.Requirement{
			sluice.RequireRecipient, sluice.RequireVerification, sluice.RequireReason, sluice.RequireTerms,
		},
	}
	f.use(sluice.Purposes{"generic": purpose})
	ann := sluice.Recipient{Email: "ann@bank.example"}
	good := service.NewLink{FileID: file.ID, Reason: "audit", Access: sluice.Access{Recipient: ann, Terms: "1."}}
	for missing, change := range map[string]func(*service.NewLink){
		"recipient":    func(n *service.NewLink) { n.Access.Recipient, n.Access.Verification = sluice.Recipient{}, "email" },
		"verification": func(n *service.NewLink) { n.Access.Verification = sluice.NoVerification },
		"reason":       func(n *service.NewLink) { n.Reason = "" },
		"terms":        func(n *service.NewLink) { n.Access.Terms = "" },
	} {
		n := good
		change(&n)
		_, err := f.Links.Mint(ctx, f.caller, n)
		wantCode(t, err, sluice.CodeValidation)
		if err == nil || !strings.Contains(err.Error(), "need "+missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	l, err := f.Links.Mint(ctx, f.caller, good)
	if err != nil || l.Access.Get().Page != sluice.PageAlways {
		t.Fatalf("%+v, %v", l.Access, err)
	}
	none := ""
	for _, ch := range []service.LinkChange{{Terms: &none}, {Reason: &none}} {
		_, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, ch)
		wantCode(t, err, sluice.CodeValidation)
	}
	good.Access.Recipient, good.Access.Allowed = sluice.Recipient{}, []string{"*@bank.example"}
	good.Access.Page = sluice.PageAuto
	if l, err = f.Links.Mint(ctx, f.caller, good); err != nil || l.Access.Get().Page != "" {
		t.Errorf("%+v, %v", l.Access, err)
	}
	purpose.Require, purpose.Page = nil, sluice.PageNever
	f.use(sluice.Purposes{"generic": purpose})
	for asks, n := range map[bool]service.NewLink{true: {Password: "password"}, false: {}} {
		n.FileID = file.ID
		l, err := f.Links.Mint(ctx, f.caller, n)
		if err != nil || (l.Access.Get().Page == sluice.PageNever) == asks {
			t.Errorf("asks %v: %q, %v", asks, l.Access.Get().Page, err)
		}
	}
}

// TestNoAccess says that a link that asks and tells nothing has no Access, however it came to be so: a download of it
// pays nothing for what other links ask.
func TestNoAccess(t *testing.T) {
	f := newFixture(t)
	file := f.upload("0123456789")
	l, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID})
	if err != nil || l.Access != nil || !l.Access.Admits("ann@bank.example") || l.Access.Verifies() ||
		l.Access.HasTerms() || l.Access.Identifies() || l.Access.TermsSHA256() != "" {
		t.Fatalf("minted: %+v, %v", l.Access, err)
	}
	text, none := "Dear Ann", ""
	told, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Message: &text})
	if err != nil || told.Access.Get().Message != text || l.Access != nil {
		t.Fatalf("with a message: %+v, %v", told.Access, err)
	}
	if l, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Message: &none}); err != nil ||
		l.Access != nil || told.Access.Message != text {
		t.Errorf("without the message: %+v, %v; before: %+v", l.Access, err, told.Access)
	}
	if l, err = f.Links.Get(ctx, f.caller, "", l.ID); err != nil || l.Access != nil {
		t.Errorf("read: %+v, %v", l.Access, err)
	}
}
