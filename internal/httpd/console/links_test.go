package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// TestShare makes a link with everything that the form has, and then with each thing wrong.
func TestShare(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "contract", Filename: "a.pdf", Type: "application/pdf"})
	page := "/console/test/files/" + f.ID + "/share"

	a := o.get(page)
	for _, want := range []string{`value="3600" checked`, "Mail the link to them", "Share <bdi>a.pdf</bdi>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	if strings.Contains(a.body, `value="86400"`) || strings.Contains(a.body, `value="never"`) {
		t.Error("the form offers a lifetime that the purpose forbids")
	}
	if n := strings.Count(a.body, " required"); n != 3 {
		t.Errorf("%d fields are required, want reason, recipient and terms", n)
	}

	good := url.Values{
		"recipient.email": {" Ada@Bank.example "}, "recipient.name": {"Ada"}, "verification": {"email"}, "send": {"true"},
		"reason": {"the audit"}, "expires_in_seconds": {"3600"}, "max_downloads": {"3"}, "password": {"long enough"},
		"message": {"Dear Ada,\r\nsee."}, "terms": {"Keep it."}, "allowed_recipients": {"*@bank.example, bob@bank.example"},
		"language": {"de"}, "notify.on": {"first_download", "refused"}, "notify.email": {"me@bank.example"},
	}
	a = o.post(page, good)
	id, _ := strings.CutPrefix(a.location(), "/console/test/links/")
	id, code, _ := strings.Cut(id, "?did=")
	l, err := o.Links.Get(t.Context(), service.Operator(o.Ledger(sluice.Test)), "", id)
	if err != nil || code != "link-made" {
		t.Fatalf("%d to %q: %v\n%s", a.StatusCode, a.location(), err, a.body)
	}
	x := l.Access.Get()
	if l.Reason != "the audit" || l.MaxDownloads != 3 || l.Password == "" || l.Expires.Sub(l.Created) != time.Hour ||
		l.KeyID != o.Key.ID || x.Recipient != (sluice.Recipient{Email: "ada@bank.example", Name: "Ada"}) || !x.Verifies() ||
		x.Message != "Dear Ada,\nsee." || x.Terms != "Keep it." || x.Language != "de" || x.Notify.Email != "me@bank.example" ||
		!slices.Equal(x.Allowed, []string{"*@bank.example", "bob@bank.example"}) || len(x.Notify.On) != 2 {
		t.Errorf("the link is %+v", l)
	}
	if !slices.ContainsFunc(o.Entries(t, o.Ledger(sluice.Test)), func(e sluice.Entry) bool {
		return e.Action == sluice.LinkSent && e.Link.ID == id
	}) {
		t.Error("the link is not sent")
	}
	a = o.get(a.location())
	address, _ := o.Links.URL(l)
	for _, want := range []string{
		"The link is ready.", `value="` + address + `"`, `src="data:image/png;base64,`, "mailto:ada%40bank.example?",
		"Tell the password in another way", "code by mail", "Dear Ada,\nsee.",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page of the link lacks %q", want)
		}
	}

	long := strings.Repeat("x", 6000)
	for _, test := range []struct{ field, value, at, want string }{
		{"reason", "", "reason", "need a reason"},
		{"reason", long, "reason", "more than 500"},
		{"terms", "", "terms", "need terms"},
		{"terms", long, "terms", "more than 5000"},
		{"message", long, "message", "more than 2000"},
		{"recipient.email", "ada", "recipient-email", ""},
		{"recipient.email", "", "recipient-email", ""}, // with a name
		{"recipient.name", "a\u202eb", "recipient-name", "The name holds a control character."},
		{"allowed_recipients", "*@", "allowed_recipients", ""},
		{"allowed_recipients", strings.Repeat("a@b.example ", 21), "allowed_recipients", "at most 20"},
		{"max_downloads", "0", "max_downloads", ""},
		{"max_downloads", "9999999999999999999999", "max_downloads", ""},
		{"max_downloads", "2000000000", "max_downloads", "The number of downloads is 1 to 1000000000."},
		{"password", "short", "password", "at least 8"},
		{"language", "xx", "language", ""},
		{"notify.email", "", "notify-email", ""},
		{"notify.on", "sometimes", "", "no occasion"},
		{"expires_in_seconds", "", "expires", "Choose when the link ends."},
		{"expires_in_seconds", "86400", "expires", "lives at most 3600 seconds"},
		{"expires_in_seconds", "-1", "expires", ""},
		{"expires_in_seconds", "99999999999999", "expires", ""},
		{"expires_in_seconds", "never", "expires_at", "without end"},
		{"expires_in_seconds", "at", "expires_at", "Give a day and a time."},
	} {
		bad := url.Values{}
		for name, values := range good {
			bad[name] = values
		}
		bad[test.field] = []string{test.value}
		a := o.post(page, bad)
		says := a.at(test.at)
		if test.at == "" {
			says = a.body
		}
		if a.StatusCode != 422 && a.StatusCode != 400 || says == "" || !strings.Contains(says, test.want) {
			t.Errorf("%s %.20q: %d, at %s %q, want %q", test.field, test.value, a.StatusCode, test.at, says, test.want)
		}
		if strings.Contains(a.body, "long enough") {
			t.Errorf("%s: the page has the password", test.field)
		}
		if !strings.Contains(a.body, `value="Ada"`) && test.field != "recipient.name" {
			t.Errorf("%s: the page has lost what was typed", test.field)
		}
	}
	if a := o.send(page, "application/x-www-form-urlencoded", strings.NewReader("reason="+strings.Repeat("x", 100<<10))); a.StatusCode < 400 || a.StatusCode > 499 {
		t.Errorf("a form that is too large: %d", a.StatusCode)
	}
	if a := o.post(page, good, "Sec-Fetch-Site", "cross-site"); a.StatusCode != 403 {
		t.Errorf("a form of another site: %d", a.StatusCode)
	}

	kept := o.file(service.NewFile{Purpose: "import", Filename: "b.bin"})
	if a := o.get("/console/test/files/" + kept.ID + "/share"); a.StatusCode != 403 {
		t.Errorf("a file that may not be shared: %d", a.StatusCode)
	}
}

// TestLinkList finds links by their recipients, files and states.
func TestLinkList(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	g := o.file(service.NewFile{Purpose: "report", Filename: "b.pdf"})
	hour, day := time.Hour, 24*time.Hour
	l := o.link(service.NewLink{FileID: f.ID, Lifetime: &hour, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "ada@bank.example"}, Verification: sluice.NoVerification}})
	o.link(service.NewLink{FileID: g.ID, Lifetime: &day})
	for query, want := range map[string]string{
		"": "a.pdf b.pdf", "q=ADA@bank.example": "a.pdf", "q=" + g.ID: "b.pdf", "file_id=" + f.ID: "a.pdf", "ends=day": "a.pdf",
		"ends=week": "a.pdf b.pdf", "state=active": "a.pdf b.pdf", "state=over": "", "from=2999-01-01": "", "q=bob@bank.example": "",
	} {
		a := o.get("/console/test/links?" + query)
		var found []string
		for _, name := range []string{"a.pdf", "b.pdf"} {
			if strings.Contains(a.body, "<bdi>"+name+"</bdi>") {
				found = append(found, name)
			}
		}
		if got := strings.Join(found, " "); a.StatusCode != 200 || got != want {
			t.Errorf("%q: %d %q, want %q", query, a.StatusCode, got, want)
		}
	}
	if a := o.get("/console/test/links?q=" + l.ID); a.location() != "/console/test/links/"+l.ID {
		t.Errorf("an id leads to %q", a.location())
	}
	if a := o.get("/console/test/links?q=nobody"); a.at("q") == "" {
		t.Error("nothing is wrong with what is no address")
	}
	if a := o.get("/console/test/links?q=file_0"); a.StatusCode != 404 ||
		!strings.Contains(a.body, "No file &#34;file_0&#34; is visible to you.") {
		t.Errorf("the links of a file that does not exist: %d\n%s", a.StatusCode, a.body)
	}
}

// TestLongStory reads the pages of a link with a long reason that was often opened. They tell the reason once, and have
// less than 50 KB.
func TestLongStory(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	l := o.link(service.NewLink{FileID: f.ID, Reason: strings.Repeat("\U0001F600", 450)})
	address, err := o.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	for range 55 {
		resp, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, path := range []string{"/links/" + l.ID, "/files/" + f.ID} {
		a := o.get("/console/test" + path)
		if a.StatusCode != 200 || len(a.body) > 50<<10 || strings.Count(a.body, "Reason: ") > 1 {
			t.Errorf("%s: %d, %d bytes, %d times the reason", path, a.StatusCode, len(a.body),
				strings.Count(a.body, "Reason: "))
		}
	}
	other := o.link(service.NewLink{FileID: f.ID, Reason: strings.Repeat("x", 200)})
	a := o.get("/console/test/links/" + other.ID)
	if want := "Reason: " + strings.Repeat("x", 151) + "…"; !strings.Contains(a.body, want) {
		t.Error("the story does not have the beginning of the reason")
	}
}

// TestEndAnyway ends links whose reason cannot be kept: one with all the metadata that a link may have, and one that was
// altered in the database.
func TestEndAnyway(t *testing.T) {
	o := newOffice(t)
	o.Tampered = true
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	full := sluice.Metadata{}
	for i := range sluice.MaxMetadataKeys {
		full[fmt.Sprint("key", i)] = "value"
	}
	altered := o.link(service.NewLink{FileID: f.ID})
	ledger := o.Ledger(sluice.Test)
	err := o.Store.Update(t.Context(), ledger, func(tx service.Tx) error {
		altered.Seal[0] ^= 1
		return tx.UpdateLink(altered, o.NewLinkEntry(service.Operator(ledger), sluice.LinkUpdated, o.Now(), f, altered))
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]sluice.Link{
		"full": o.link(service.NewLink{FileID: f.ID, Metadata: full}), "altered": altered,
	} {
		a := o.post("/console/test/links/"+l.ID+"/end", url.Values{"reason": {"wrong person"}})
		if a.location() != "/console/test/files/"+f.ID+"?did=link-ended-unsaid" {
			t.Errorf("%s: %d to %q\n%s", name, a.StatusCode, a.location(), a.body)
		}
		if a := o.get("/console/test/links/" + l.ID); a.StatusCode != 404 {
			t.Errorf("%s: the page of the link: %d", name, a.StatusCode)
		}
	}
}

// TestLinkChanges moves the end of a link, and ends it with a reason.
func TestLinkChanges(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	l := o.link(service.NewLink{FileID: f.ID})
	page := "/console/test/links/" + l.ID
	at := o.Now().Add(3 * time.Hour).Truncate(time.Minute)
	move := url.Values{"expires_in_seconds": {"at"}, "expires_at": {at.Format("2006-01-02T15:04")}, "version": {l.Version()}}
	if a := o.post(page+"/expiry", move); a.location() != page+"?did=link-changed" {
		t.Fatalf("another end: %d\n%s", a.StatusCode, a.body)
	}
	c := service.Operator(o.Ledger(sluice.Test))
	if l, err := o.Links.Get(t.Context(), c, "", l.ID); err != nil || !l.Expires.Equal(at) {
		t.Errorf("the link ends at %v, want %v; %v", l.Expires, at, err)
	}
	if a := o.post(page+"/expiry", move); a.StatusCode != 412 || !strings.Contains(a.body, "The link was not changed") {
		t.Errorf("an old version: %d", a.StatusCode)
	}
	move = url.Values{"expires_in_seconds": {"at"}, "expires_at": {"1999-01-01T00:00"}}
	if a := o.post(page+"/expiry", move); a.at("expires_at") != "This time lies in the past." {
		t.Errorf("an end in the past: %d %q", a.StatusCode, a.at("expires_at"))
	}

	if a := o.get(page + "/end"); !strings.Contains(a.body, "was never opened") {
		t.Error("the question does not tell whether the link was opened")
	}
	if a := o.post(page+"/end", url.Values{"reason": {strings.Repeat("x", 501)}}); a.at("reason") != "The reason has more than 500 characters." {
		t.Errorf("a long reason: %d %q", a.StatusCode, a.at("reason"))
	}
	if a := o.post(page+"/end", url.Values{"reason": {"sent to the wrong person"}}); a.location() != "/console/test/files/"+f.ID+"?did=link-ended" {
		t.Fatalf("the end: %d\n%s", a.StatusCode, a.body)
	}
	if a := o.get("/console/test/files/" + f.ID); !strings.Contains(a.body, "Ended because: sent to the wrong person") {
		t.Error("the story does not tell the reason")
	}
	if a := o.get(page); a.StatusCode != 404 {
		t.Errorf("the page of a link that was ended: %d", a.StatusCode)
	}
}
