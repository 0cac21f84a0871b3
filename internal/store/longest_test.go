package store

import (
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestLongest wants the longest lifetime of links that expire. A list of links by their expiry looks back that far. A
// link that does not expire is no reason to look further.
func TestLongest(t *testing.T) {
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_1"),
			storetest.NewEntry(storetest.LiveLedger))
	})
	for i, expires := range []time.Time{storetest.Epoch.Add(time.Minute), storetest.Epoch.Add(time.Hour), {}} {
		l := storetest.NewLink(storetest.LiveLedger, "link_"+string(rune('a'+i)), "file_1")
		l.Expires = expires
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.CreateLink(l, storetest.NewEntry(storetest.LiveLedger))
		})
	}
	longest := storetest.Read(t, s, func(r service.Reader) (int64, error) {
		h, err := r.(*reader).Head(storetest.LiveLedger)
		return h.Longest, err
	})
	if want := time.Hour.Microseconds(); longest != want {
		t.Errorf("the longest lifetime is %d µs, want %d", longest, want)
	}
}
