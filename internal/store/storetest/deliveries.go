package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// Downloads is a log of redemptions and deliveries, and how the redemptions are to be read.
type Downloads struct {
	ledger  sluice.LedgerID
	entries []sluice.Entry // as they are recorded
	want    []sluice.Entry // as they are read
}

// NewDownloads makes an empty log.
func NewDownloads(l sluice.LedgerID) *Downloads { return &Downloads{ledger: l} }

func (d *Downloads) add(e sluice.Entry) sluice.Entry {
	e.Seq = int64(len(d.entries))
	d.entries = append(d.entries, e)
	if e.Delivery != nil {
		part := *e.Delivery
		e.Delivery = &part
	}
	d.want = append(d.want, e)
	return e
}

// Redeem adds the redemption of a link, and gives its seq.
func (d *Downloads) Redeem(link, file string) int64 {
	e := NewEntry(d.ledger)
	e.Action, e.Actor = sluice.LinkRedeemed, sluice.Actor{Type: sluice.ActorBearer, ID: link}
	e.Link, e.File = &sluice.LinkPart{ID: link}, &sluice.FilePart{ID: file}
	e.Request = &sluice.Request{ID: "req_" + e.ID[4:], Method: "GET"}
	e.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200}
	return d.add(e).Seq
}

// Fill adds entries of nothing in particular.
func (d *Downloads) Fill(n int) {
	for range n {
		d.add(NewEntry(d.ledger))
	}
}

// Deliver adds an entry that tells how the downloads of redemptions ended.
func (d *Downloads) Deliver(seqs ...int64) sluice.Entry {
	e := NewEntry(d.ledger)
	e.Action, e.Actor = sluice.LinkDelivered, sluice.Actor{Type: sluice.ActorSystem}
	for _, seq := range seqs {
		of := d.entries[seq]
		e.Deliveries = append(e.Deliveries, sluice.Delivery{
			Seq: seq, FileID: of.File.ID, LinkID: of.Link.ID, Returned: seq%3 == 0,
			Sent: sluice.Sent{Bytes: seq, Complete: seq%2 == 0, Duration: time.Duration(seq) * time.Millisecond},
		})
	}
	for _, one := range e.Deliveries {
		d.ended(one, e.ID)
	}
	return d.add(e)
}

// DeliverAlone adds an entry as older versions did: of one download, which the id of its request names.
func (d *Downloads) DeliverAlone(seq int64) {
	of := d.entries[seq]
	e := NewEntry(d.ledger)
	e.Action, e.Actor, e.Link, e.File = sluice.LinkDelivered, of.Actor, of.Link, of.File
	e.Request = &sluice.Request{ID: of.Request.ID}
	sent := sluice.Sent{Bytes: seq, Duration: time.Duration(seq) * time.Millisecond}
	e.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200, Sent: &sent}
	d.ended(sluice.Delivery{Seq: seq, Sent: sent}, e.ID)
	d.add(e)
}

func (d *Downloads) ended(one sluice.Delivery, entry string) {
	part := d.want[one.Seq].Delivery
	part.Sent, part.Returned, part.Entry = &one.Sent, one.Returned, entry
}

// Store records what was added since n entries, some in an Update.
func (d *Downloads) Store(t *testing.T, s service.Store, n, some int) {
	t.Helper()
	for entries := range slices.Chunk(d.entries[n:], some) {
		Update(t, s, d.ledger, func(tx service.Tx) (err error) {
			for _, e := range entries {
				err = errors.Join(err, tx.Record(e))
			}
			return err
		})
	}
}

// Check reads entries with each filter, and those with some seqs one by one.
func (d *Downloads) Check(t *testing.T, s service.Store, filters map[string]service.EntryFilter, seqs ...int64) {
	t.Helper()
	for name, f := range filters {
		var want, got []sluice.Entry
		for _, e := range slices.Backward(d.want) {
			if f.Action != "" && e.Action != f.Action || f.LinkID != "" && !ofLink(e, f.LinkID) ||
				f.FileID != "" && !ofFile(e, f.FileID) ||
				f.RequestID != "" && (e.Request == nil || e.Request.ID != f.RequestID) {
				continue
			}
			want = append(want, e)
		}
		for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
			list := Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
				return r.Entries(d.ledger, f, page)
			})
			got = append(got, list.Data...)
			if !list.More {
				break
			}
			page.After = list.Data[len(list.Data)-1].ID
		}
		t.Run(name, func(t *testing.T) { WantEqual(t, got, want) })
	}
	for _, seq := range seqs {
		got := Read(t, s, func(r service.Reader) (sluice.Entry, error) { return r.Entry(d.ledger, d.want[seq].ID) })
		t.Run(fmt.Sprint("entry ", seq), func(t *testing.T) { WantEqual(t, got, d.want[seq]) })
	}
}

// testDeliveries reads redemptions whose downloads ended soon, late, together and never, with and without the index.
func testDeliveries(t *testing.T, db Database) {
	s := openStore(t, db)
	d := NewDownloads(LiveLedger)
	filters := map[string]service.EntryFilter{
		"all": {}, "redeemed": {Action: sluice.LinkRedeemed}, "delivered": {Action: sluice.LinkDelivered},
		"link": {LinkID: "link_1"}, "file": {FileID: "file_1"},
		"link delivered": {LinkID: "link_1", Action: sluice.LinkDelivered},
		"file redeemed":  {FileID: "file_1", Action: sluice.LinkRedeemed}, "other file": {FileID: "file_9"},
	}
	late, never, old := d.Redeem("link_1", "file_1"), d.Redeem("link_1", "file_1"), d.Redeem("link_1", "file_1")
	filters["request"] = service.EntryFilter{RequestID: d.entries[late].Request.ID}
	d.DeliverAlone(old)
	together := []int64{d.Redeem("link_1", "file_1"), d.Redeem("link_2", "file_2"), d.Redeem("link_1", "file_1")}
	slices.Reverse(together)
	d.Deliver(together...)
	d.Store(t, s, 0, 3)
	t.Run("unindexed", func(t *testing.T) { d.Check(t, s, filters, late, never, old, together[0]) })

	n := len(d.entries)
	var some []int64
	for i := range 40 { // quiet downloads, each with an entry of its own
		d.Fill(5)
		seq := d.Redeem(fmt.Sprint("link_", i%3), fmt.Sprint("file_", i%3))
		if i%10 == 9 {
			d.DeliverAlone(seq)
		} else {
			some = append(some, d.Deliver(seq).Deliveries[0].Seq)
		}
	}
	var busy []int64
	for i := range 600 { // downloads that overlap
		busy = append(busy, d.Redeem(fmt.Sprint("link_", i%5), fmt.Sprint("file_", i%5)))
		if i%150 == 149 {
			d.Deliver(busy[:120]...)
			busy = busy[120:]
		}
	}
	d.Deliver(append(busy[7:], late)...)
	last := d.Redeem("link_1", "file_1")
	d.Store(t, s, n, 70)
	t.Run("indexed", func(t *testing.T) { d.Check(t, s, filters, late, never, old, some[3], busy[0], busy[9], last) })
	d.Deliver(last, busy[1])
	d.Store(t, s, len(d.entries)-1, 1)
	t.Run("at the end", func(t *testing.T) { d.Check(t, s, filters, last, busy[1]) })
}
