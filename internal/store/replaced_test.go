package store

import (
	"os"
	"path/filepath"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestReplacedFile moves a database file away while it is open. When the Store is closed, the file has all commits,
// and no WAL is left for the file in its place.
func TestReplacedFile(t *testing.T) {
	for _, c := range []struct {
		name   string
		reader bool // another process reads, so the WAL cannot be moved into the file
		kept   int  // how many WALs are renamed
	}{{"alone", false, 0}, {"beside a reader", true, 1}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path, moved := filepath.Join(dir, "sluice.db"), filepath.Join(dir, "moved.db")
			s, err := OpenSQLite(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.reader {
				other, err := OpenSQLite(path, Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				holds, ended := make(chan bool), make(chan bool)
				go func() {
					defer close(ended)
					other.View(storetest.Background, func(r service.Reader) error {
						_, err := r.SigningKeys()
						holds <- true
						<-holds
						return err
					})
				}()
				<-holds
				defer func() { holds <- true; <-ended }()
			}
			e := storetest.NewEntry(storetest.LiveLedger)
			storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error { return tx.Record(e) })
			if err := os.Rename(path, moved); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil { // stands for a backup
				t.Fatal(err)
			}
			<-s.Lost()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
				t.Errorf("a WAL of %d bytes is left for the other file", log.Size())
			}
			if other, err := os.Stat(path); err != nil || other.Size() > 0 {
				t.Errorf("the file in its place was touched: %v, %v", other, err)
			}
			kept, err := filepath.Glob(filepath.Join(dir, "sluice.db-left-*-wal"))
			if err != nil || len(kept) != c.kept {
				t.Fatalf("kept are %q, %v", kept, err)
			}
			for _, log := range kept {
				if err := os.Rename(log, moved+"-wal"); err != nil {
					t.Fatal(err)
				}
			}
			again, err := OpenSQLite(moved, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			err = again.View(storetest.Background, func(r service.Reader) error {
				_, err := r.Entry(storetest.LiveLedger, e.ID)
				return err
			})
			if err != nil {
				t.Errorf("what was committed is not in the file: %v", err)
			}
		})
	}
}

// TestReplacedFileKeys asks for a key right after the file was replaced by another database. The keys of that database
// must not be accepted.
func TestReplacedFileKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sluice.db")
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := OpenSQLite(filepath.Join(dir, "other.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := storetest.NewKey(storetest.LiveLedger, "key_foreign")
	storetest.Update(t, other, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.CreateKey(foreign, storetest.NewEntry(storetest.LiveLedger))
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(s.readers) { // so that the next reader opens a connection
		if c := <-s.readers; c != nil {
			c.Discard()
		}
		s.readers <- nil
	}
	if err := os.Rename(filepath.Join(dir, "other.db"), path); err != nil {
		t.Fatal(err)
	}
	k, err := s.KeyByHash(storetest.Background, foreign.Hash)
	if k.ID != "" {
		t.Errorf("key %s of another database was found", k.ID)
	}
	storetest.WantCode(t, err, sluice.CodeUnavailable)
}
