package store

import (
	"database/sql"
	"path/filepath"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestDeliveryLongAfter has a download that ended a hundred thousand entries after its redemption.
func TestDeliveryLongAfter(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := storetest.NewDownloads(storetest.LiveLedger)
	late := d.Redeem("link_1", "file_1")
	d.Deliver(d.Redeem("link_2", "file_2"))
	d.Fill(100_000)
	soon := d.Redeem("link_1", "file_1")
	d.Deliver(soon, late)
	d.Fill(1000)
	d.Store(t, s, 0, 5000)
	d.Check(t, s, map[string]service.EntryFilter{"redeemed": {Action: sluice.LinkRedeemed}, "link": {LinkID: "link_1"}},
		late, soon)
}

// TestDeliveriesWithADistrustedIndex reads how downloads ended from the log, where the index does not have them. What
// is further away than lists read without the index is left out of a list, which goes on.
func TestDeliveriesWithADistrustedIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := storetest.NewDownloads(storetest.LiveLedger)
	late, never := d.Redeem("link_1", "file_1"), d.Redeem("link_1", "file_1")
	d.Fill(1500)
	soon := d.Redeem("link_1", "file_1")
	d.Deliver(soon, late)
	d.Fill(600)
	d.Store(t, s, 0, 100)
	filters := map[string]service.EntryFilter{"all": {}, "link": {LinkID: "link_1"}}
	t.Run("trusted", func(t *testing.T) { d.Check(t, s, filters, late, never, soon) })
	s.DistrustIndex(storetest.LiveLedger, true)
	s.ledgers.MaxUnindexed = 300
	t.Run("beyond what is read, in the index", func(t *testing.T) {
		d.Check(t, s, map[string]service.EntryFilter{"all": {}}, late, never, soon)
	})

	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM entry_index WHERE field IN ('redemption', 'link')"); err != nil {
		t.Fatal(err)
	}
	ended := func() *sluice.Sent {
		t.Helper()
		return storetest.Read(t, s, func(r service.Reader) (*sluice.Sent, error) {
			list, err := r.Entries(storetest.LiveLedger, service.EntryFilter{}, sluice.Page{Limit: 1, Last: true})
			return list.Data[0].Delivery.Sent, err
		})
	}
	if sent := ended(); sent != nil {
		t.Errorf("a delivery is found that is nowhere near and not in the index: %+v", sent)
	}
	s.ledgers.MaxUnindexed = 0
	t.Run("from the log", func(t *testing.T) { d.Check(t, s, filters, late, never, soon) })
	s.DistrustIndex(storetest.LiveLedger, false)
	if sent := ended(); sent != nil {
		t.Errorf("the index is not asked: %+v", sent)
	}
}

// TestDeliveriesBesideADamagedIndexRow damages the rows that lead to deliveries. Lists without a filter still work.
func TestDeliveriesBesideADamagedIndexRow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := storetest.NewDownloads(storetest.LiveLedger)
	late := d.Redeem("link_1", "file_1")
	d.Fill(600)
	d.Deliver(late)
	d.Fill(600)
	d.Store(t, s, 0, 100)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE entry_index SET seqs = x'ffff' WHERE field IN ('redemption', 'request')"); err != nil {
		t.Fatal(err)
	}
	list := storetest.Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
		return r.Entries(storetest.LiveLedger, service.EntryFilter{}, sluice.Page{Limit: 1, Last: true})
	})
	if len(list.Data) != 1 || list.Data[0].Seq != 0 {
		t.Errorf("%+v", list)
	}
}
