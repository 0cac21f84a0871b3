package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestSQLiteFile copies the file of a database while it is written. The copy has what was committed when the View
// began and nothing later, whether it is in the database file or still in the WAL, and its pages are in order.
func TestSQLiteFile(t *testing.T) {
	s, _ := openTemp(t)
	write := func(id string) {
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, id), storetest.NewEntry(storetest.LiveLedger))
		})
	}
	for i := range 200 {
		write(fmt.Sprint("file_before", i))
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	to, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(r service.Reader) error {
		if _, err := r.AnyFile(); err != nil { // the snapshot begins
			return err
		}
		write("file_after")
		from, err := s.File(r)
		if err != nil {
			return err
		}
		var writers sync.WaitGroup
		writers.Go(func() {
			for i := range 200 {
				write(fmt.Sprint("file_meanwhile", i))
			}
		})
		_, err = io.CopyBuffer(to, struct{ io.Reader }{from}, make([]byte, 1000)) // less than a page at a time
		writers.Wait()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := CheckSQLiteFile(t.Context(), path); err != nil || len(report.Problems) > 0 || report.Pages < 10 {
		t.Fatalf("%+v, %v", report, err)
	}
	copied, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if n := len(storetest.Seqs(t, copied, storetest.LiveLedger)); n != 200 {
		t.Errorf("the copy has %d entries, want 200", n)
	}
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 401 {
		t.Errorf("the database has %d entries, want 401", n)
	}
}
