package gate_test

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// BenchmarkDownload redeems links and records the deliveries, without HTTP. It reports the processor time that a
// download takes, and by how many bytes the file of the database grows.
//
//	go test ./internal/gate -run '^$' -bench Download -benchtime 50000x
func BenchmarkDownload(b *testing.B) {
	s := sluicetest.NewService(b)
	ctx, operator := context.Background(), service.Operator(s.Ledger(sluice.Test))
	created, err := s.Files.Create(ctx, operator, "generic", strings.NewReader(strings.Repeat("0123456789abcdef", 256)),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil })
	if err != nil {
		b.Fatal(err)
	}
	var tokens []string
	for range 100 {
		l, err := s.Links.Mint(ctx, operator, service.NewLink{FileID: created.File.ID, Reason: "monthly invoice"})
		if err != nil {
			b.Fatal(err)
		}
		url, err := s.Links.URL(l)
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, path.Base(url))
	}
	before, began := databaseSize(b, s), processorTime()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				s.Clock.Advance(100 * time.Microsecond)
				g, err := s.Redeem(ctx, tokens[n%int64(len(tokens))], gate.Bearer{Address: here, Request: sluice.Request{
					ID: s.NewRequestID(), Method: "GET", Route: "/l/{token}", IP: "198.51.100.4", UserAgent: "curl/8.5.0",
				}})
				if err != nil {
					b.Error(err)
					return
				}
				g.Content.Close()
				s.Delivered(g, g.Plan.Bytes)
			}
		})
	}
	all.Wait()
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(databaseSize(b, s)-before)/float64(b.N), "disk-B/op")
}

func databaseSize(b *testing.B, s *sluicetest.Service) int64 {
	info, err := os.Stat(filepath.Join(s.Dir, "sluice.db"))
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// processorTime is the user and system time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
