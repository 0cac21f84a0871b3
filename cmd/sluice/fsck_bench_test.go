package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// BenchmarkFsck checks a log of FSCK_ENTRIES entries, 200,000 unless that is set, each with all terms, and makes its
// index anew as docs/operating.md says.
func BenchmarkFsck(b *testing.B) {
	entries := 200_000
	if text := os.Getenv("FSCK_ENTRIES"); text != "" {
		var err error
		if entries, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s := sluicetest.NewService(b)
	l := indexedLog(b, s, entries)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapSys-m.HeapReleased) / (1 << 20)
	}
	cpu := func() float64 { // of this process: a machine may have other work
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	measure := func(name string, do func()) {
		began, used := time.Now(), cpu()
		do()
		b.ReportMetric(time.Since(began).Seconds(), "s/"+name)
		b.ReportMetric(cpu()-used, "cpu-s/"+name)
	}
	before := heap()
	for b.Loop() {
		measure("pages", func() {
			if p, err := s.Store.CheckPages(b.Context()); err != nil || len(p.Problems) > 0 {
				b.Fatal(p, err)
			}
		})
		w := fsck.NewWatch(fsck.Config{Store: s.Store, Interval: fsck.Interval})
		measure("index-slowly", func() {
			if err := w.CheckIndexes(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
		measure("log+index", func() {
			var r fsck.Report
			if err := r.CheckLedgers(b.Context(), s.Service, s.Store); err != nil || len(r.Findings) > 0 {
				b.Fatal(findingLines(r), err)
			}
			b.ReportMetric(float64(r.Rows), "rows")
		})
		b.ReportMetric(heap()-before, "MiB")
	}
	s.Store.DistrustIndex(l, true)
	measure("list", func() {
		err := s.Store.View(b.Context(), func(r service.Reader) error {
			list, err := r.Entries(l, service.EntryFilter{LinkID: "none"}, sluice.Page{Limit: 100})
			if len(list.Data) > 0 {
				err = fmt.Errorf("%d entries of no link", len(list.Data))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	measure("new-index", func() {
		done, err := s.Store.RestartIndex(b.Context(), l)
		if err == nil && !done {
			err = s.Store.ContinueIndex(b.Context(), l)
		}
		if err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(heap()-before, "MiB/new-index")
}
