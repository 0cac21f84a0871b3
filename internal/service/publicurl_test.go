package service_test

import (
	"strings"
	"testing"

	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// TestPublicURL refuses a base URL that links cannot begin with, or that has a password in it.
func TestPublicURL(t *testing.T) {
	base := sluicetest.NewService(t)
	start := func(public string) (*service.Service, error) {
		return service.New(service.Config{
			Store: base.Store, Blobs: base.Blobs, SigningKeys: []token.Key{{}}, PublicURL: public,
		})
	}
	for _, public := range []string{
		"", "h.example", "ftp://h.example", "//h.example", "https://", "https:h.example", "https:///path",
		"https://h.example/#", "https://h.example#", "https://h.example/?", "https://h.example?",
		"https://h.example/?a=b", "https://h.example/#f",
		"https://h.example//", "https://h.example//a", "https://h.example/a//b", "https://h.example/a//",
		"https://user:secret@h.example", "https://user@h.example", "https://@h.example",
		"https://h.example/sub path", "https://h .example", " https://h.example", "https://h.example ",
		"https://h.example/a\tb", "https://h.example/a\u00a0b",
		"https://h.example:99999", "https://h.example:0", "https://h.example:", "https://h.example:port",
		"https://:443", "https://h.example:-1",
		"https://h.example/..", "https://h.example/./a", "https://h.example/a/../b", `https://h.example\a`,
		`https://h.example/a\b`, "https://[::1",
	} {
		_, err := start(public)
		if err == nil {
			t.Errorf("%q is accepted", public)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", public, err)
		}
	}
	for public, want := range map[string]string{
		"https://h.example":           "https://h.example",
		"https://h.example/":          "https://h.example",
		"http://127.0.0.1:8080":       "http://127.0.0.1:8080",
		"http://[::1]:8080/":          "http://[::1]:8080",
		"https://h.example:65535/a/b": "https://h.example:65535/a/b",
		"https://h.example/a%20b/":    "https://h.example/a%20b",
		"https://bücher.example":      "https://bücher.example",
	} {
		s, err := start(public)
		if err != nil {
			t.Errorf("%q: %v", public, err)
		} else if s.PublicURL() != want {
			t.Errorf("%q: links lead to %q", public, s.PublicURL())
		}
	}
}
