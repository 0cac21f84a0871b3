package main

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"sluice"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
)

// BenchmarkFsckRows replays a log of FSCK_LINKS links, 20,000 if it is not set, and compares the rows with it.
func BenchmarkFsckRows(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("FSCK_LINKS"))
	if err != nil {
		n = 20_000
	}
	r := newRecords(b, "")
	for range n / sluice.MaxBatch {
		files := slices.Repeat([]string{r.plain.ID}, sluice.MaxBatch)
		_, err := r.Links.MintBatch(b.Context(), r.caller, files, nil, service.NewLink{MaxDownloads: 1, Reason: "benchmark"})
		r.must(err)
	}
	for b.Loop() {
		var report fsck.Report
		r.must(report.CheckRows(b.Context(), r.Store, r.Seals()))
		if len(report.Findings) > 0 {
			b.Fatal(findingLines(report))
		}
		b.ReportMetric(float64(report.Records), "rows")
	}
}
