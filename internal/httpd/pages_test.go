package httpd_test

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/brand"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// branded is a brand with every member.
var branded = brand.Brand{
	Name:    "Northwind <Bank>",
	Logo:    &brand.Logo{Type: "image/svg+xml", Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
	Contact: "mailto:files@northwind.example", Imprint: "https://northwind.example/imprint",
	Privacy: "https://northwind.example/privacy?a=1&b=2", Footer: "Northwind Bank AG\nZürich",
}

// TestBrandOnEveryPage opens the pages of links, of refusals and of the server itself. Each shows the brand, its contact
// and its other URLs; the language is that of the browser.
func TestBrandOnEveryPage(t *testing.T) {
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Brand = branded })
	c := client{s, s.Secret}
	f := c.upload(t, "a.txt", "text/plain", "hello")
	counted := c.mint(t, f.ID, `{"max_downloads":1}`)
	revoked := c.mint(t, f.ID, `{}`)
	c.ask(t, "DELETE", "/v1/file_links/"+revoked.ID, "").want(t, 200)
	network := c.mint(t, f.ID, `{"allowed_ips":["203.0.113.0/24"]}`)
	addressed := c.mint(t, f.ID, `{"recipient":{"email":"ann@bank.example"}}`)
	for _, test := range []struct {
		url     string
		status  int
		english string
		german  string
	}{
		{counted.URL, 200, "<dd>1 left</dd>", "<dd>noch 1</dd>"},
		{addressed.URL, 200, "<dt>From</dt><dd><bdi>Northwind &lt;Bank&gt;<", "<dt>Von</dt><dd><bdi>Northwind &lt;Bank&gt;<"},
		{revoked.URL, 410, "This link was revoked", "Dieser Link wurde widerrufen"},
		{network.URL, 403, "may not be used from your network", "darf aus Ihrem Netzwerk nicht verwendet werden"},
		{revoked.URL[:len(revoked.URL)-4] + "AAAA", 404, "There is no such link.", "Diesen Link gibt es nicht."},
		{c.URL + "/", 200, "This server shares files", "Dieser Server stellt Dateien"},
		{c.URL + "/nothing", 404, "There is nothing at this address.", "Unter dieser Adresse gibt es nichts."},
		{c.URL + "/l/", 404, "There is nothing at this address.", "Unter dieser Adresse gibt es nichts."},
	} {
		for language, says := range map[string]string{"en-GB": test.english, "de-CH,de;q=0.9": test.german} {
			a := c.get(t, test.url, "Accept", "text/html", "Accept-Language", language).want(t, test.status)
			for _, want := range []string{
				says, `<html lang="` + language[:2] + `" dir="ltr">`, `alt="Northwind &lt;Bank&gt;"`, `src="data:image/svg`,
				`href="mailto:files@northwind.example">files@northwind.example</a>`,
				`href="https://northwind.example/imprint"`, `href="https://northwind.example/privacy?a=1&amp;b=2"`, "Northwind Bank AG\nZürich",
			} {
				if !strings.Contains(string(a.body), want) {
					t.Errorf("%s in %s does not say %s:\n%s", test.url, language, want, a.body)
				}
			}
			want := strings.Replace(pagePolicy(string(a.body)), "form-action", "img-src data:; form-action", 1)
			if policy := a.header.Get("Content-Security-Policy"); policy != want {
				t.Errorf("%s: the policy is %s, want %s", test.url, policy, want)
			}
			if strings.Contains(string(a.body), "<script") || a.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: %v %s", test.url, a.header, a.body)
			}
		}
	}
}

// TestWellKnown reads what a browser or a scanner requests by itself from a server with a brand: its logo, which cannot
// run a script, and where to report a vulnerability.
func TestWellKnown(t *testing.T) {
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Brand = branded })
	c := client{s, s.Secret}
	icon := c.get(t, c.URL+"/favicon.ico").want(t, 200)
	if icon.header.Get("Content-Type") != "image/svg+xml" || string(icon.body) != string(branded.Logo.Data) ||
		!strings.HasPrefix(icon.header.Get("Content-Security-Policy"), "sandbox; default-src 'none';") {
		t.Errorf("%v %s", icon.header, icon.body)
	}
	a := c.get(t, c.URL+"/.well-known/security.txt").want(t, 200)
	fields := map[string]string{}
	for line := range strings.Lines(string(a.body)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		fields[name] = value
	}
	expires, err := time.Parse(time.RFC3339, fields["Expires"])
	if err != nil || time.Until(expires) < 24*time.Hour || time.Until(expires) > 365*24*time.Hour {
		t.Errorf("Expires: %v, %v", expires, err)
	}
	if a.header.Get("Content-Type") != "text/plain; charset=utf-8" || fields["Contact"] != branded.Contact ||
		fields["Canonical"] != c.PublicURL()+"/.well-known/security.txt" || len(fields) != 3 {
		t.Errorf("%v %s", a.header, a.body)
	}
	c.get(t, newClient(t).URL+"/.well-known/security.txt").want(t, http.StatusNotFound) // without a contact
}

// TestLanguageOfLink opens a link that has a language: it goes before that of the browser.
func TestLanguageOfLink(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l, err := c.Links.Mint(context.Background(), service.Operator(c.Ledger(sluice.Test)), service.NewLink{
		FileID: f.ID, MaxDownloads: 1, Access: sluice.Access{Language: "fr", Message: "Bonjour <b>Ann</b>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	address, err := c.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	page := string(c.get(t, address, "Accept", "text/html", "Accept-Language", "de").body)
	for _, want := range []string{`lang="fr"`, ">Télécharger</button>", "Bonjour &lt;b&gt;Ann&lt;/b&gt;", "5 octets",
		"4 mars 2026 à 06:06 UTC", "dans 60 minutes", "1 restant"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s: %s", want, page)
		}
	}
}

// TestLanguageOfRefusals opens links that have a language and cannot be used: where the link is known, its language goes
// before that of the browser.
func TestLanguageOfRefusals(t *testing.T) {
	c := newClient(t)
	c.Tampered = true
	ledger := c.Ledger(sluice.Test)
	for _, test := range []struct {
		body, header, value string
		status              int64
		says                string
		spoil               func(l api.Link)
	}{
		{`{"language":"fr"}`, "", "", 410, "Ce lien a été révoqué", func(l api.Link) {
			c.ask(t, "DELETE", "/v1/file_links/"+l.ID, "").want(t, 200)
		}},
		{`{"language":"fr"}`, "", "", 410, "L’enregistrement de ce lien a été modifié.", func(l api.Link) {
			err := c.Store.Update(t.Context(), ledger, func(tx service.Tx) error {
				stored, err := tx.Link(ledger, l.ID)
				if err != nil {
					return err
				}
				stored.Seal[0] ^= 1
				e := c.NewLinkEntry(service.Operator(ledger), sluice.LinkUpdated, c.Now(), sluice.File{ID: l.FileID}, stored)
				return tx.UpdateLink(stored, e)
			})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{`{"language":"fr","allowed_ips":["203.0.113.0/24"]}`, "", "", 403, "depuis votre réseau", nil},
		{`{"language":"fr","password":"secret horse"}`, "X-Link-Password", "guess", 429, "Trop de mots de passe",
			func(l api.Link) {
				for c.get(t, l.URL, "X-Link-Password", "guess").status != 429 {
				}
			}},
		{`{"language":"fr"}`, "Range", "bytes=9-", 416, "Requête non valide", nil},
		{`{"language":"fr"}`, "", "", 500, "Le fichier ne peut pas être envoyé", func(l api.Link) {
			if err := c.Blobs.Remove(t.Context(), l.FileID); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, test.body)
		if test.spoil != nil {
			test.spoil(l)
		}
		a := c.get(t, l.URL, "Accept", "text/html", "Accept-Language", "de", cmp.Or(test.header, "X-None"), test.value)
		if page := string(a.body); a.status != int(test.status) || !strings.Contains(page, `lang="fr"`) ||
			!strings.Contains(page, test.says) {
			t.Errorf("want %d %s, got %d %s", test.status, test.says, a.status, page)
		}
	}
}

// TestRedirectingPage opens a page of a server whose links redirect to the bucket: its form may be sent there.
func TestRedirectingPage(t *testing.T) {
	bucket := openS3(t, newS3(t))
	c := newRedirecting(t, func(config *service.Config) { config.Blobs = bucket }, bucket, 0)
	l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"password":"secret horse"}`)
	page := c.get(t, l.URL, "Accept", "text/html").want(t, 200)
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "; form-action 'self' http: https:; ") {
		t.Error(policy)
	}
}
