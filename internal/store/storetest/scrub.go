package storetest

import (
	"fmt"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// testScrub stores the findings and the progress of the scrub.
func testScrub(t *testing.T, db Database) {
	s := openStore(t, db)
	damaged := func() int64 { t.Helper(); return Read(t, s, service.Reader.DamagedFiles) }
	after := func(id string, limit int) (ids []string) {
		t.Helper()
		files := Read(t, s, func(r service.Reader) ([]service.StoredFile, error) { return r.FilesAfter(id, limit) })
		for _, f := range files {
			ids = append(ids, fmt.Sprint(f.ID, " ", f.Ledger.Mode, f.Found))
		}
		return ids
	}
	WantEqual(t, Read(t, s, service.Reader.ScrubProgress), service.ScrubProgress{})
	sum := uint32(0xfedcba98)
	for i, l := range []sluice.LedgerID{LiveLedger, TestLedger, LiveLedger, LiveLedger} {
		f := NewFile(l, fmt.Sprint("file_", 4-i))
		if i == 0 {
			f.CRC32 = &sum
		}
		Update(t, s, l, func(tx service.Tx) error { return tx.CreateFile(f, NewEntry(l)) })
	}
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.DeleteFile("file_2", Epoch, NewEntry(LiveLedger)) })
	WantEqual(t, after("", 10), []string{"file_1 live", "file_3 test", "file_4 live"})
	WantEqual(t, after("file_1", 1), []string{"file_3 test"})
	WantEqual(t, after("file_4", 10), []string(nil))

	file := func(l sluice.LedgerID, id string) sluice.File {
		t.Helper()
		return Read(t, s, func(r service.Reader) (sluice.File, error) { return r.File(l, id) })
	}
	WantEqual(t, *file(LiveLedger, "file_4").CRC32, sum)
	if f := file(LiveLedger, "file_1"); f.CRC32 != nil {
		t.Errorf("a file without a CRC-32 has %d", *f.CRC32)
	}

	note := func(l sluice.LedgerID, id, found string) error {
		before := len(Seqs(t, s, l))
		err := s.Update(Background, l, func(tx service.Tx) error { return tx.FileDamaged(id, found, NewEntry(l)) })
		if recorded := len(Seqs(t, s, l)) - before; (err == nil) != (recorded == 1) {
			t.Errorf("%v, and %d entries", err, recorded)
		}
		return err
	}
	for _, c := range []struct {
		l         sluice.LedgerID
		id, found string
		want      sluice.Code
		damaged   int64
	}{
		{LiveLedger, "file_1", "a", "", 1},
		{LiveLedger, "file_1", "a", sluice.CodeNotFound, 1}, // noted
		{LiveLedger, "file_1", "b", "", 1},
		{LiveLedger, "file_2", "a", sluice.CodeNotFound, 1}, // deleted
		{LiveLedger, "file_3", "a", sluice.CodeNotFound, 1}, // of another ledger
		{OtherLedger, "file_3", "a", sluice.CodeNotFound, 1},
		{TestLedger, "file_3", "a", "", 2},
		{LiveLedger, "file_9", "a", sluice.CodeNotFound, 2},
	} {
		WantCode(t, note(c.l, c.id, c.found), c.want)
		WantEqual(t, damaged(), c.damaged)
	}
	WantEqual(t, after("", 10), []string{"file_1 liveb", "file_3 testa", "file_4 live"})

	p := service.ScrubProgress{Running: true, Began: Epoch, After: "file_1", Files: 1, Bytes: 1 << 40, OfFiles: 3,
		OfBytes: 3 << 40}
	version := file(LiveLedger, "file_1").Version()
	whole := []service.WholeFile{{ID: "file_1", CRC32: 7}, {ID: "file_gone", CRC32: 1}}
	if err := s.Scrubbed(Background, p, whole); err != nil {
		t.Fatal(err)
	}
	WantEqual(t, Read(t, s, service.Reader.ScrubProgress), p)
	WantEqual(t, damaged(), int64(1))
	f := file(LiveLedger, "file_1")
	WantEqual(t, *f.CRC32, uint32(7))
	WantEqual(t, f.Version(), version)
	WantCode(t, note(LiveLedger, "file_1", "b"), "") // again, after it was whole
	WantEqual(t, damaged(), int64(2))
	Update(t, s, TestLedger, func(tx service.Tx) error { return tx.DeleteFile("file_3", Epoch, NewEntry(TestLedger)) })
	WantEqual(t, damaged(), int64(1))
	p.Running, p.Completed = false, Epoch.Add(time.Hour)
	if err := s.Scrubbed(Background, p, nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, db)
	WantEqual(t, Read(t, s, service.Reader.ScrubProgress), p)
}
