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

// discard is a ResponseWriter that drops the body.
type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) WriteHeader(status int)      { w.status = status }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkDownload redeems a link through the handler: it parses the request, commits the decision, and sends a
// small file or a part of it.
//
//	go test ./internal/httpd -run '^$' -bench Download -benchtime 5000x
func BenchmarkDownload(b *testing.B) {
	for name, headers := range map[string]http.Header{
		"Whole": {},
		"Range": {"Range": {"bytes=100-199"}, "If-Range": {`"other"`}, "If-Match": {"*"}},
		"Parts": {"Range": {"bytes=0-99,200-299,-100"}},
		"Match": {"If-None-Match": {`"a", "b", *`}, "If-Modified-Since": {"Wed, 04 Mar 2026 05:06:07 GMT"}},
	} {
		b.Run(name, func(b *testing.B) { benchDownload(b, headers) })
	}
}

func benchDownload(b *testing.B, headers http.Header) {
	s := sluicetest.NewServer(b)
	ctx := context.Background()
	operator := service.Operator(s.Ledger(sluice.Test))
	created, err := s.Files.Create(ctx, operator, "generic", strings.NewReader(strings.Repeat("0123456789", 100)),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil })
	if err != nil {
		b.Fatal(err)
	}
	link, err := s.Links.Mint(ctx, operator, service.NewLink{FileID: created.File.ID})
	if err != nil {
		b.Fatal(err)
	}
	url, err := s.Links.URL(link)
	if err != nil {
		b.Fatal(err)
	}
	headers.Set("User-Agent", "curl/8")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("GET", url, nil)
			r.Header = headers
			w := &discard{header: http.Header{}}
			s.HTTP.ServeHTTP(w, r)
			if w.status >= 400 {
				b.Errorf("status %d", w.status)
			}
		}
	})
}
