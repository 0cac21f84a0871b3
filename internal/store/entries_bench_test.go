package store

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// BenchmarkEntries reads pages of 100 entries of a log of half a million downloads, in its middle and at its end.
//
//	go test ./internal/store -run '^$' -bench Entries -benchtime 200x
func BenchmarkEntries(b *testing.B) {
	s, err := benchSQLite(b, maxGroup)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	benchFill(b, s)
	const downloads, atOnce = 500_000, 100
	var middle string
	for n := int64(0); n < downloads; n += atOnce {
		if id := benchDownloads(b, s, n, atOnce); n == downloads/2 {
			middle = id
		}
	}
	for name, f := range map[string]service.EntryFilter{
		"all": {}, "redeemed": {Action: sluice.LinkRedeemed}, "link": {LinkID: fmt.Sprintf("link_%026d", 7)},
	} {
		for at, after := range map[string]string{"middle": middle, "end": ""} {
			b.Run(name+"/"+at, func(b *testing.B) {
				began := processorTime()
				for b.Loop() {
					err := s.View(context.Background(), func(r service.Reader) error {
						list, err := r.Entries(benchLedger, f, sluice.Page{Limit: 100, After: after})
						if err == nil && len(list.Data) != 100 {
							err = fmt.Errorf("%d entries", len(list.Data))
						}
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// processorTime is the user and system time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchDownloads records some redemptions and then their deliveries, and gives the id of an entry.
func benchDownloads(b *testing.B, s *Store, from, n int64) (id string) {
	now := time.Now()
	err := s.Update(context.Background(), benchLedger, func(tx service.Tx) error {
		size, err := tx.Size(benchLedger)
		if err != nil {
			return err
		}
		ended := benchEntry(4*from+3, sluice.LinkDelivered, now, sluice.File{}, sluice.Link{})
		ended.File, ended.Link, ended.Request, ended.Actor = nil, nil, nil, sluice.Actor{Type: sluice.ActorSystem}
		for i := range n {
			link := (from + i) * 7 % benchLinks
			f := sluice.File{ID: fmt.Sprintf("file_%026d", link), Filename: "invoice-2026-0042.pdf", Size: 48_213,
				Type: "application/pdf", Purpose: "invoice"}
			e := benchEntry(4*(from+i), sluice.LinkRedeemed, now, f, benchLink(link, f.ID, now))
			e.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200}
			id = e.ID
			if err := tx.Record(e); err != nil {
				return err
			}
			ended.Deliveries = append(ended.Deliveries, sluice.Delivery{Seq: size + i, FileID: f.ID, LinkID: e.Link.ID,
				Sent: sluice.Sent{Bytes: f.Size, Complete: true, Duration: 3 * time.Millisecond}})
		}
		return tx.Record(ended)
	})
	if err != nil {
		b.Fatal(err)
	}
	return id
}
