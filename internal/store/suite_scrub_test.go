package store

import (
	"fmt"
	"sluice/internal/service"
	"strings"
	"testing"
	"time"

	"sluice"
)

// testScrub notes what the scrub has found, and how far it has come.
func testScrub(t *testing.T, db database) {
	s := openStore(t, db)
	damaged := func() int64 { t.Helper(); return read(t, s, service.Reader.DamagedFiles) }
	after := func(id string, limit int) (ids []string) {
		t.Helper()
		files := read(t, s, func(r service.Reader) ([]service.StoredFile, error) { return r.FilesAfter(id, limit) })
		for _, f := range files {
			ids = append(ids, fmt.Sprint(f.ID, " ", f.Ledger.Mode, f.Found))
		}
		return ids
	}
	wantEqual(t, read(t, s, service.Reader.ScrubProgress), service.ScrubProgress{})
	sum := uint32(0xfedcba98)
	for i, l := range []sluice.LedgerID{live, test, live, live} {
		f := newFile(l, fmt.Sprint("file_", 4-i))
		if i == 0 {
			f.CRC32 = &sum
		}
		update(t, s, l, func(tx service.Tx) error { return tx.CreateFile(f, newEntry(l)) })
	}
	update(t, s, live, func(tx service.Tx) error { return tx.DeleteFile("file_2", epoch, newEntry(live)) })
	wantEqual(t, after("", 10), []string{"file_1 live", "file_3 test", "file_4 live"})
	wantEqual(t, after("file_1", 1), []string{"file_3 test"})
	wantEqual(t, after("file_4", 10), []string(nil))

	file := func(l sluice.LedgerID, id string) sluice.File {
		t.Helper()
		return read(t, s, func(r service.Reader) (sluice.File, error) { return r.File(l, id) })
	}
	wantEqual(t, *file(live, "file_4").CRC32, sum)
	if f := file(live, "file_1"); f.CRC32 != nil {
		t.Errorf("a file without a CRC-32 has %d", *f.CRC32)
	}

	note := func(l sluice.LedgerID, id, found string) error {
		before := len(seqs(t, s, l))
		err := s.Update(ctx, l, func(tx service.Tx) error { return tx.FileDamaged(id, found, newEntry(l)) })
		if recorded := len(seqs(t, s, l)) - before; (err == nil) != (recorded == 1) {
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
		{live, "file_1", "a", "", 1},
		{live, "file_1", "a", sluice.CodeNotFound, 1}, // noted
		{live, "file_1", "b", "", 1},
		{live, "file_2", "a", sluice.CodeNotFound, 1}, // deleted
		{live, "file_3", "a", sluice.CodeNotFound, 1}, // of another ledger
		{other, "file_3", "a", sluice.CodeNotFound, 1},
		{test, "file_3", "a", "", 2},
		{live, "file_9", "a", sluice.CodeNotFound, 2},
	} {
		wantCode(t, note(c.l, c.id, c.found), c.want)
		wantEqual(t, damaged(), c.damaged)
	}
	wantEqual(t, after("", 10), []string{"file_1 liveb", "file_3 testa", "file_4 live"})

	p := service.ScrubProgress{Running: true, Began: epoch, After: "file_1", Files: 1, Bytes: 1 << 40, OfFiles: 3, OfBytes: 3 << 40}
	version := file(live, "file_1").Version()
	if err := s.Scrubbed(ctx, p, []service.WholeFile{{ID: "file_1", CRC32: 7}, {ID: "file_gone", CRC32: 1}}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, read(t, s, service.Reader.ScrubProgress), p)
	wantEqual(t, damaged(), int64(1))
	f := file(live, "file_1")
	wantEqual(t, *f.CRC32, uint32(7))
	wantEqual(t, f.Version(), version)
	wantCode(t, note(live, "file_1", "b"), "") // again, after it was whole
	wantEqual(t, damaged(), int64(2))
	update(t, s, test, func(tx service.Tx) error { return tx.DeleteFile("file_3", epoch, newEntry(test)) })
	wantEqual(t, damaged(), int64(1))
	p.Running, p.Completed = false, epoch.Add(time.Hour)
	if err := s.Scrubbed(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, db)
	wantEqual(t, read(t, s, service.Reader.ScrubProgress), p)
}

// The scrub reads along the primary key and counts damaged files by an index of
// their own, however many files there are.
func TestScrubPlans(t *testing.T) {
	s, _ := openTemp(t)
	for query, want := range map[string]string{
		filesAfter:   "SEARCH file USING INDEX sqlite_autoindex_file_1 (id>?)",
		damagedFiles: "SCAN file USING INDEX file_damaged",
	} {
		if plan := explain(t, s, query); !strings.Contains(plan, want) || strings.Contains(plan, "B-TREE") {
			t.Errorf("%s\n%s, want %s", query, plan, want)
		}
	}
}
