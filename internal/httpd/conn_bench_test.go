package httpd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// BenchmarkListener downloads 4 KiB through a link over connections that stay open: on the fast path; without it, with
// Listener, whose connections send the head of an answer together with a file that is in memory; and with neither.
//
//	go test ./internal/httpd -run '^$' -bench Listener -benchtime 5000x
func BenchmarkListener(b *testing.B) {
	for _, c := range []struct {
		name string
		wrap func(*httpd.Server, *http.Server, net.Listener) net.Listener
	}{
		{"fast", func(s *httpd.Server, hs *http.Server, l net.Listener) net.Listener {
			return fastpath.Listen(s, hs, httpd.Listener(l))
		}},
		{"with", func(_ *httpd.Server, _ *http.Server, l net.Listener) net.Listener { return httpd.Listener(l) }},
		{"without", func(_ *httpd.Server, _ *http.Server, l net.Listener) net.Listener { return l }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := sluicetest.NewServer(b)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			server := s.HTTP.HTTPServer("")
			go server.Serve(c.wrap(s.HTTP, server, l))
			b.Cleanup(func() { server.Close() })
			benchConnections(b, s, l.Addr().String())
		})
	}
}

func benchConnections(b *testing.B, s *sluicetest.Server, address string) {
	ctx, operator := context.Background(), service.Operator(s.Ledger(sluice.Test))
	created, err := s.Files.Create(ctx, operator, "generic", strings.NewReader(strings.Repeat("0123456789abcdef", 256)),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "a.bin"}, nil })
	if err != nil {
		b.Fatal(err)
	}
	link, err := s.Links.Mint(ctx, operator, service.NewLink{FileID: created.File.ID})
	if err != nil {
		b.Fatal(err)
	}
	u, err := s.Links.URL(link)
	if err != nil {
		b.Fatal(err)
	}
	token := u[strings.LastIndex(u, "/")+1:]
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for pb.Next() {
			fmt.Fprintf(c, "GET /l/%s HTTP/1.1\r\nHost: files.example.com\r\nUser-Agent: curl/8\r\n\r\n", token)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				b.Error(err)
				return
			}
			if n, err := io.Copy(io.Discard, res.Body); n != 4096 || err != nil || res.StatusCode != 200 {
				b.Errorf("status %d, %d bytes, %v", res.StatusCode, n, err)
				return
			}
		}
	})
}
