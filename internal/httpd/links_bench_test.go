package httpd_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// BenchmarkLinkList lists a hundred links through the handler. Each shows its URL, which is derived for the answer.
func BenchmarkLinkList(b *testing.B) {
	s := sluicetest.NewServer(b)
	ctx, operator := context.Background(), service.Operator(s.Ledger(sluice.Test))
	created, err := s.Files.Create(ctx, operator, "generic", strings.NewReader("content"),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil })
	if err != nil {
		b.Fatal(err)
	}
	for range 100 {
		if _, err := s.Links.Mint(ctx, operator, service.NewLink{FileID: created.File.ID}); err != nil {
			b.Fatal(err)
		}
	}
	_, secret := s.NewKey(b, s.Ledger(sluice.Test))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/v1/file_links?limit=100", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w := &discard{header: http.Header{}}
		s.HTTP.ServeHTTP(w, r)
		if w.status >= 400 {
			b.Fatalf("status %d", w.status)
		}
	}
}
