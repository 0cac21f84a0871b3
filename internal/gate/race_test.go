package gate_test

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// tryRedeem redeems a link through a service and delivers its bytes.
func tryRedeem(s *fixture, token string, b gate.Bearer) error {
	b.Request = sluice.Request{ID: s.NewRequestID(), Method: "GET", UserAgent: b.Request.UserAgent}
	g, err := s.Redeem(ctx, token, b)
	if err != nil {
		return err
	}
	s.Delivered(g, g.Plan.Bytes)
	if g.Content != nil {
		return g.Content.Close()
	}
	return nil
}

// If a link is redeemed and ended concurrently, through one store or two, the log
// has no redemption after the end.
func TestNoRedemptionAfterTheEnd(t *testing.T) { eachDatabase(t, testNoRedemptionAfterTheEnd) }

func testNoRedemptionAfterTheEnd(t *testing.T, f *fixture) {
	services := []*fixture{f, f.second()}
	end := map[sluice.Action]func(*fixture, service.Caller, sluice.Link) error{
		sluice.LinkEnded: func(s *fixture, c service.Caller, l sluice.Link) error {
			_, err := s.Links.Revoke(ctx, c, "", l.ID, nil)
			return err
		},
		sluice.FileEnded: func(s *fixture, c service.Caller, l sluice.Link) error {
			_, err := s.Files.Delete(ctx, c, l.FileID, nil)
			return err
		},
		sluice.KeyEnded: func(s *fixture, c service.Caller, l sluice.Link) error {
			_, err := s.Keys.Revoke(ctx, c, l.KeyID, nil)
			return err
		},
	}
	const rounds, bearers = 5, 6
	var redeemed, together atomic.Int64
	for round := range rounds {
		for action, end := range end {
			c := f.caller
			if action == sluice.KeyEnded {
				c = f.newCaller(f.ledger)
			}
			file := f.upload("content")
			l, err := f.Links.Mint(ctx, c, service.NewLink{FileID: file.ID, MaxDownloads: int64(round%2) * 1_000_000})
			if err != nil {
				t.Fatal(err)
			}
			url, err := f.Links.URL(l)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			var ended atomic.Bool
			for i := range bearers {
				all.Go(func() {
					for n := 0; ; n++ {
						late := ended.Load()
						switch err := tryRedeem(services[i%2], filepath.Base(url), gate.Bearer{}); {
						case err == nil && !late:
							redeemed.Add(1)
						case err == nil:
							t.Errorf("%s: redeemed after the link had ended", action)
							return
						default:
							wantCode(t, err, sluice.CodeGone)
							if !late {
								together.Add(1)
							}
							return
						}
					}
				})
			}
			time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
			if err := end(services[round/2%2], service.Operator(f.ledger), l); err != nil {
				t.Error(err)
			}
			ended.Store(true)
			all.Wait()
		}
	}
	f.flush()
	if err := services[1].Flush(ctx); err != nil {
		t.Fatal(err)
	}
	over := map[string]bool{} // ids of links, files and keys
	for i, e := range f.base.Entries(t, f.ledger) {
		if e.Seq != int64(i) {
			t.Fatalf("entry %[2]d has seq %[1]d", e.Seq, i)
		}
		switch {
		case e.Action == sluice.LinkEnded:
			over[e.Link.ID] = true
		case e.Action == sluice.FileEnded:
			over[e.File.ID] = true
		case e.Action == sluice.KeyEnded:
			over[e.Key.ID] = true
		case e.Action == sluice.LinkRedeemed && (over[e.Link.ID] || over[e.File.ID] || over[e.Key.ID]):
			t.Errorf("entry %d redeems a link that had ended", e.Seq)
		}
	}
	t.Logf("%d redemptions and %d refusals before the link had ended", redeemed.Load(), together.Load())
	if redeemed.Load() == 0 || len(over) != rounds*len(end) {
		t.Error("nothing was redeemed or nothing ended: the test tests nothing")
	}
}

// Two processes on one database together respect a link's download limit.
func TestMaxDownloadsOfTwoStores(t *testing.T) { eachDatabase(t, testMaxDownloadsOfTwoStores) }

func testMaxDownloadsOfTwoStores(t *testing.T, f *fixture) {
	services := []*fixture{f, f.second()}
	const limit, bearers = 60, 300
	l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: limit})
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range bearers {
		all.Go(func() {
			b := gate.Bearer{Request: sluice.Request{UserAgent: string(rune('a' + i))}}
			if i%2 == 0 {
				b.Want = part(4)
			}
			err := tryRedeem(services[i%2], token, b)
			if err == nil {
				served.Add(1)
				b.Want = part(5) // not counted, also through the other service
				err = tryRedeem(services[(i+1)%2], token, b)
			} else {
				wantReason(t, err, sluice.Exhausted)
				return
			}
			if err != nil {
				t.Errorf("range within an open grant: %v", err)
			}
		})
	}
	all.Wait()
	if n := f.downloads(l.ID); n != limit || served.Load() != limit {
		t.Errorf("limit %d: %d downloads are counted and %d bearers were served", limit, n, served.Load())
	}
	f.flush()
	if err := services[1].Flush(ctx); err != nil {
		t.Fatal(err)
	}
	told := map[sluice.Action]int{}
	for _, e := range f.base.Entries(t, f.ledger) {
		told[e.Action] += max(1, len(e.Deliveries)) + int(e.Repeats)
	}
	if told[sluice.LinkRedeemed] != 2*limit || told[sluice.LinkDelivered] != 2*limit ||
		told[sluice.LinkRefused] != bearers-limit {
		t.Errorf("%v", told)
	}
}
