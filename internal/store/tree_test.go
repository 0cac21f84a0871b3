package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/ledger"
	"sluice/sluicetest"
)

// opener opens one more Store on the database of a test.
type opener func(t testing.TB) *store.Store

func TestTreeSQLite(t *testing.T) {
	testTree(t, func(t testing.TB) opener {
		path := filepath.Join(t.TempDir(), "sluice.db")
		return func(t testing.TB) *store.Store {
			s, err := store.OpenSQLite(path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
	})
}

func TestTreePostgres(t *testing.T) {
	testTree(t, func(t testing.TB) opener {
		url := sluicetest.Postgres(t)
		return func(t testing.TB) *store.Store { return openStore(t, url) }
	})
}

// testTree tests what a Store promises of the ledger. database makes an empty database.
func testTree(t *testing.T, database func(testing.TB) opener) {
	for name, test := range map[string]func(*testing.T, opener){
		"leaves":            testLeaves,
		"extend":            testExtend,
		"extend races":      testExtendRaces,
		"extend in pieces":  testExtendInPieces,
		"hand over":         testHandOver,
		"hand over is late": testHandOverIsLate,
		"unsigned":          testUnsigned,
		"redact":            testRedact,
	} {
		t.Run(name, func(t *testing.T) { test(t, database(t)) })
	}
}

var (
	ctx    = context.Background()
	testL  = sluice.LedgerID{Account: "acct_a", Mode: sluice.Test}
	otherL = sluice.LedgerID{Account: "acct_a", Mode: sluice.Live}
)

// number makes ids unique.
var number = struct {
	sync.Mutex
	n int
}{}

func newEntry(l sluice.LedgerID) sluice.Entry {
	number.Lock()
	defer number.Unlock()
	number.n++
	return sluice.Entry{
		ID: fmt.Sprintf("aud_%010d%016d", number.n, 0), Ledger: l, Time: time.UnixMicro(int64(number.n)).UTC(),
		Action: sluice.LinkRedeemed, Outcome: sluice.Allowed,
		Actor: sluice.Actor{Type: sluice.ActorBearer},
		Request: &sluice.Request{ID: "req_1", Method: "GET", Route: "/l/{token}", IP: "203.0.113.7",
			UserAgent: "curl/8"},
	}
}

// record puts n entries into a ledger, and gives their ids.
func record(t testing.TB, s *store.Store, l sluice.LedgerID, n int) (ids []string) {
	t.Helper()
	for len(ids) < n {
		err := s.Update(ctx, l, func(tx service.Tx) error {
			for range min(5000, n-len(ids)) {
				e := newEntry(l)
				ids = append(ids, e.ID)
				if err := tx.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func view(t testing.TB, s *store.Store, fn func(service.Reader) error) {
	t.Helper()
	if err := s.View(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func leaves(t testing.TB, s *store.Store, l sluice.LedgerID, from int64, limit int) (list []audit.SealedEntry) {
	t.Helper()
	view(t, s, func(r service.Reader) (err error) {
		list, err = r.Leaves(l, from, limit)
		return err
	})
	return list
}

// signer makes the signer of a ledger.
func signer(t testing.TB) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(sluicetest.NewLedgerKey(t), "sluice.test/log")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// grown gives the tiles and the checkpoint of a ledger that has grown from from to size entries.
func grown(t testing.TB, s *store.Store, l sluice.LedgerID, by *ledger.Signer, from, size int64) ([]ledger.TileData,
	service.Checkpoint) {
	t.Helper()
	tree, err := ledger.OpenTree(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for tree.Size() < size {
		if tree.Size() == from {
			tree.Changes()
		}
		list := leaves(t, s, l, tree.Size(), int(min(1000, size-tree.Size())))
		if tree.Size() < from {
			list = list[:min(int64(len(list)), from-tree.Size())]
		}
		for _, e := range list {
			tree.Append(ledger.LeafHash(e.Leaf))
		}
	}
	c := service.Checkpoint{Size: size, Root: tree.Root(), Verifier: by.VerifierKey(),
		Created: time.UnixMicro(1e15 + size).UTC()}
	if c.Note, err = by.Sign(size, c.Root); err != nil {
		t.Fatal(err)
	}
	return tree.Changes(), c
}

func extend(t testing.TB, s *store.Store, l sluice.LedgerID, by *ledger.Signer, from, size int64) service.Checkpoint {
	t.Helper()
	tiles, c := grown(t, s, l, by, from, size)
	if err := s.Extend(ctx, l, from, tiles, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func newest(t testing.TB, s *store.Store, l sluice.LedgerID) (c service.Checkpoint) {
	t.Helper()
	view(t, s, func(r service.Reader) (err error) {
		c, err = r.Checkpoint(l, -1)
		return err
	})
	return c
}

func isCode(t testing.TB, err error, code sluice.Code) {
	t.Helper()
	if sluice.CodeOf(err) != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

func testLeaves(t *testing.T, open opener) {
	s := open(t)
	view(t, s, func(r service.Reader) error {
		if n, err := r.Size(testL); n != 0 || err != nil {
			t.Errorf("a ledger without entries has size %d, %v", n, err)
		}
		_, _, err := r.Sealed(testL, "aud_1")
		isCode(t, err, sluice.CodeNotFound)
		return nil
	})
	ids := record(t, s, testL, 7)
	record(t, s, otherL, 2)
	view(t, s, func(r service.Reader) error {
		if n, err := r.Size(testL); n != 7 || err != nil {
			t.Errorf("size %d, %v", n, err)
		}
		for _, span := range []struct{ from, limit, want int }{{0, 100, 7}, {0, 7, 7}, {2, 3, 3}, {6, 3, 1},
			{7, 3, 0}} {
			list, err := r.Leaves(testL, int64(span.from), span.limit)
			if err != nil || len(list) != span.want {
				t.Fatalf("%+v: %d leaves, %v", span, len(list), err)
			}
			for i, e := range list {
				seq, one, err := r.Sealed(testL, ids[span.from+i])
				if err != nil || seq != int64(span.from+i) || !cmp.Equal(one, e) {
					t.Errorf("%+v: leaf %d is %s, and by its id %s at %d, %v", span, i, e.Leaf, one.Leaf, seq, err)
				}
			}
		}
		_, _, err := r.Sealed(otherL, ids[0])
		isCode(t, err, sluice.CodeNotFound)
		return nil
	})
	// An Update sees what it has written.
	err := s.Update(ctx, testL, func(tx service.Tx) error {
		e := newEntry(testL)
		if err := tx.Record(e); err != nil {
			return err
		}
		n, err := tx.Size(testL)
		seq, _, err2 := tx.Sealed(testL, e.ID)
		if n != 8 || seq != 7 {
			t.Errorf("size %d, and the entry is at %d", n, seq)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

func testExtend(t *testing.T, open opener) {
	s, by := open(t), signer(t)
	record(t, s, testL, 600)
	made := []service.Checkpoint{extend(t, s, testL, by, 0, 1), extend(t, s, testL, by, 1, 300),
		extend(t, s, testL, by, 300, 600)}
	view(t, s, func(r service.Reader) error {
		for size, want := range map[int64]int{-1: 2, 0: 0, 1: 0, 2: 1, 300: 1, 301: 2, 600: 2} {
			c, err := r.Checkpoint(testL, size)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made[want], c); diff != "" {
				t.Errorf("checkpoint of at least %d: %s", size, diff)
			}
		}
		_, err := r.Checkpoint(testL, 601)
		isCode(t, err, sluice.CodeNotFound)
		_, err = r.Checkpoint(otherL, -1)
		isCode(t, err, sluice.CodeNotFound)

		tree, err := ledger.OpenTree(600, func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(testL, want) })
		if err != nil || tree.Root() != made[2].Root {
			t.Errorf("the stored tiles lead to %v, %v", tree, err)
		}
		wide := ledger.Tile{Level: 0, Index: 2, Width: 89} // 600 - 512 is 88
		for _, tile := range []ledger.Tile{wide, {Level: 0, Index: 3, Width: 1}, {Level: 1, Index: 0, Width: 3}} {
			_, err = r.Tiles(testL, []ledger.Tile{tile})
			isCode(t, err, sluice.CodeNotFound)
		}
		_, err = r.Tiles(otherL, []ledger.Tile{{Level: 0, Index: 0, Width: 1}})
		isCode(t, err, sluice.CodeNotFound)
		return nil
	})

	before := newest(t, s, testL)
	record(t, s, testL, 10)
	for _, from := range []int64{0, 1, 300, 599, 601} {
		tiles, c := grown(t, s, testL, by, 0, 610)
		isCode(t, s.Extend(ctx, testL, from, tiles, c), sluice.CodeConflict)
	}
	if diff := cmp.Diff(before, newest(t, s, testL)); diff != "" {
		t.Error(diff)
	}
	tiles, c := grown(t, s, testL, by, 0, 610)
	if err := s.Extend(ctx, sluice.LedgerID{Account: "acct_none", Mode: sluice.Test}, 0, tiles, c); err == nil {
		t.Error("a ledger that does not exist was extended")
	}
}

// testExtendRaces lets two processes extend the same ledger at once, again and again. One of them wins each time, and
// the ledger has what that one signed.
func testExtendRaces(t *testing.T, open opener) {
	stores := []*store.Store{open(t), open(t)}
	by := signer(t)
	for round := range int64(20) {
		record(t, stores[round%2], testL, 1)
		var sides sync.WaitGroup
		var made [2]service.Checkpoint
		var errs [2]error
		for i, s := range stores {
			var tiles []ledger.TileData
			tiles, made[i] = grown(t, s, testL, by, round, round+1)
			made[i].Created = time.UnixMicro(int64(i)).UTC()
			sides.Go(func() { errs[i] = s.Extend(ctx, testL, round, tiles, made[i]) })
		}
		sides.Wait()
		won := slices.Index(errs[:], nil)
		if won < 0 {
			t.Fatal(errs)
		}
		isCode(t, errs[1-won], sluice.CodeConflict)
		for _, s := range stores {
			if diff := cmp.Diff(made[won], newest(t, s, testL)); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}

// testExtendInPieces extends by more tiles than one commit stores.
func testExtendInPieces(t *testing.T, open opener) {
	s, by := open(t), signer(t)
	const size = 40_000 // 156 full tiles
	record(t, s, testL, 1)
	tree, err := ledger.OpenTree(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range size {
		tree.Append(ledger.LeafHash(fmt.Append(nil, i)))
	}
	tiles, c := tree.Changes(), service.Checkpoint{Size: size, Root: tree.Root(), Note: []byte("note"),
		Verifier: by.VerifierKey(), Created: time.UnixMicro(1).UTC()}

	stale := c
	stale.Size, stale.Note = 1, []byte("stale")
	isCode(t, s.Extend(ctx, testL, 5, tiles, stale), sluice.CodeConflict)
	view(t, s, func(r service.Reader) error {
		_, err := r.Tiles(testL, []ledger.Tile{{Level: 0, Index: 0, Width: 1}})
		isCode(t, err, sluice.CodeNotFound)
		return nil
	})
	if err := s.Extend(ctx, testL, 0, tiles, c); err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r service.Reader) error {
		for _, tile := range tiles {
			data, err := r.Tiles(testL, []ledger.Tile{tile.Tile})
			if err != nil || !bytes.Equal(data[0], tile.Data) {
				t.Fatalf("%s: %d bytes, %v", tile.Path(), len(data), err)
			}
		}
		return nil
	})
}

// rotation makes the rotation at the last entry of a ledger, with its newest checkpoint as the proof.
func rotation(t testing.TB, s *store.Store, l sluice.LedgerID, next *ledger.Signer) (r service.Rotation) {
	t.Helper()
	view(t, s, func(reader service.Reader) error {
		c, err := reader.Checkpoint(l, -1)
		if err != nil {
			return err
		}
		p := ledger.Proof{Index: c.Size - 1, Checkpoint: c.Note}
		p.Hashes, err = ledger.ProveInclusion(p.Index, c.Size, func(want []ledger.Tile) ([][]byte, error) {
			return reader.Tiles(l, want)
		})
		r = service.Rotation{Seq: p.Index, Verifier: next.VerifierKey(), Proof: p.Format(),
			Created: time.UnixMicro(7).UTC()}
		return err
	})
	return r
}

func rotations(t testing.TB, s *store.Store, l sluice.LedgerID) (list []service.Rotation) {
	t.Helper()
	view(t, s, func(r service.Reader) (err error) {
		list, err = r.Rotations(l)
		return err
	})
	return list
}

func testHandOver(t *testing.T, open opener) {
	s, old, next, third := open(t), signer(t), signer(t), signer(t)
	record(t, s, testL, 3)
	extend(t, s, testL, old, 0, 3)
	first := rotation(t, s, testL, next)
	for range 2 { // the same one again changes nothing
		if err := s.HandOver(ctx, testL, first); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]service.Rotation{first}, rotations(t, s, testL)); diff != "" {
			t.Error(diff)
		}
	}
	if list := rotations(t, s, otherL); len(list) != 0 {
		t.Errorf("another ledger has %d rotations", len(list))
	}

	// The old key has signed for the last time.
	record(t, s, testL, 1)
	tiles, c := grown(t, s, testL, old, 3, 4)
	isCode(t, s.Extend(ctx, testL, 3, tiles, c), sluice.CodeConflict)
	extend(t, s, testL, next, 3, 4)

	second := rotation(t, s, testL, third)
	if err := s.HandOver(ctx, testL, second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]service.Rotation{first, second}, rotations(t, s, testL)); diff != "" {
		t.Error(diff)
	}
}

// testHandOverIsLate hands over after the old key has signed again. That is refused.
func testHandOverIsLate(t *testing.T, open opener) {
	s, old, next := open(t), signer(t), signer(t)
	record(t, s, testL, 3)
	extend(t, s, testL, old, 0, 2)
	late := rotation(t, s, testL, next)
	extend(t, s, testL, old, 2, 3)
	isCode(t, s.HandOver(ctx, testL, late), sluice.CodeConflict)
	if err := s.HandOver(ctx, testL, service.Rotation{Verifier: next.VerifierKey(),
		Proof: []byte("no proof")}); err == nil {
		t.Error("a rotation without a proof was stored")
	}
	if list := rotations(t, s, testL); len(list) != 0 {
		t.Errorf("%d rotations", len(list))
	}
}

func testUnsigned(t *testing.T, open opener) {
	s, by := open(t), signer(t)
	unsigned := func() (list []sluice.LedgerID) {
		view(t, s, func(r service.Reader) (err error) {
			list, err = r.Unsigned()
			return err
		})
		slices.SortFunc(list, func(a, b sluice.LedgerID) int { return strings.Compare(a.String(), b.String()) })
		return list
	}
	for _, step := range []struct {
		do   func()
		want []sluice.LedgerID
	}{
		{func() {}, nil},
		{func() { record(t, s, testL, 2) }, []sluice.LedgerID{testL}},
		{func() { record(t, s, otherL, 1) }, []sluice.LedgerID{otherL, testL}},
		{func() { extend(t, s, testL, by, 0, 1) }, []sluice.LedgerID{otherL, testL}},
		{func() { extend(t, s, testL, by, 1, 2) }, []sluice.LedgerID{otherL}},
		{func() { extend(t, s, otherL, by, 0, 1) }, nil},
		{func() { record(t, s, testL, 1) }, []sluice.LedgerID{testL}},
	} {
		step.do()
		if diff := cmp.Diff(step.want, unsigned()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func testRedact(t *testing.T, open opener) {
	s := open(t)
	ids := record(t, s, testL, 3)
	before := leaves(t, s, testL, 0, 10)

	redact := func(l sluice.LedgerID, id string, fields ...string) error {
		return s.Update(ctx, l, func(tx service.Tx) error {
			e := newEntry(l)
			e.Action, e.Subject = sluice.AuditRedacted, &sluice.EntryPart{ID: id, Seq: 1, Fields: fields}
			return tx.Redact(service.RedactedRows{EntryID: id, Pointers: fields}, e)
		})
	}
	isCode(t, redact(otherL, ids[1], "/request/ip"), sluice.CodeNotFound)
	isCode(t, redact(testL, "aud_none", "/request/ip"), sluice.CodeNotFound)
	if diff := cmp.Diff(before, leaves(t, s, testL, 0, 10)); diff != "" {
		t.Fatal(diff)
	}
	if err := redact(testL, ids[1], "/request/ip"); err != nil {
		t.Fatal(err)
	}
	after := leaves(t, s, testL, 0, 10)
	if len(after) != 4 || !strings.Contains(string(after[3].Leaf), `"action":"audit.redacted"`) {
		t.Fatalf("%d entries, the last: %s", len(after), after[len(after)-1].Leaf)
	}
	for i, e := range after[:3] {
		if !bytes.Equal(e.Leaf, before[i].Leaf) {
			t.Errorf("leaf %d became %s", i, e.Leaf)
		}
		if i != 1 && !bytes.Equal(e.Disclosures, before[i].Disclosures) {
			t.Errorf("disclosures of entry %d became %s", i, e.Disclosures)
		}
	}
	e, err := after[1].Open(1)
	if err != nil || e.Request.IP != "" || e.Request.UserAgent != "curl/8" ||
		!slices.Equal(e.Redacted, []string{"/request/ip"}) {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestErasedBytes looks for a redacted value in the files of a database: in its pages, also free ones, and in the WAL.
func TestErasedBytes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sluice.db")
	s, err := store.OpenSQLite(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	secret := []byte(rand.Text() + rand.Text())
	e := newEntry(testL)
	e.Request.UserAgent = string(secret)
	e.Request.IP = strings.Repeat(string(secret), 9)                  // one page
	e.File = &sluice.FilePart{Filename: strings.Repeat("long", 5000)} // the disclosures have pages of their own
	err = s.Update(ctx, testL, func(tx service.Tx) error { return tx.Record(e) })
	if err != nil {
		t.Fatal(err)
	}
	if !stored(t, dir, secret[:26]) && !stored(t, dir, secret[26:]) { // one may be split between two pages
		t.Fatal("the value is not found before it is erased")
	}
	read, ended := openSnapshot(t, s) // a reader prevents a checkpoint of the WAL
	began := time.Now()
	err = s.Update(ctx, testL, func(tx service.Tx) error {
		pointers := []string{"/request/ip", "/request/user_agent"}
		return tx.Redact(service.RedactedRows{EntryID: e.ID, Pointers: pointers}, newEntry(testL))
	})
	if err != nil {
		t.Fatal(err)
	}
	record(t, s, testL, 1)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("a reader held up writers for %s", took)
	}
	close(read)
	<-ended
	record(t, s, testL, 1)
	if err := s.Ready(ctx); err != nil { // the value is removed after the group before
		t.Fatal(err)
	}
	if stored(t, dir, secret[:26]) || stored(t, dir, secret[26:]) {
		t.Error("the redacted value is still on the disk")
	}
}

// TestErasedBytesPostgres redacts an entry of a batch that PostgreSQL stores out of line, in a TOAST table. The store
// removes the old version of the row when no snapshot needs it; the statement in docs/audit.md removes its bytes from
// the files.
func TestErasedBytesPostgres(t *testing.T) {
	url := sluicetest.NewPostgresServer(t).NewDatabase(t)
	var log lockedBuffer
	s, err := store.OpenPostgres(ctx, url, store.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var id string
	// At most one is split between two pieces of the TOAST table.
	secrets := [2][]byte{[]byte(rand.Text()), []byte(rand.Text())}
	err = s.Update(ctx, testL, func(tx service.Tx) error {
		for i := range 60 {
			e := newEntry(testL)
			e.Request.UserAgent = rand.Text() + rand.Text() + rand.Text()
			if i == 5 {
				id, e.Request.UserAgent = e.ID, string(secrets[0])+string(secrets[1])
			}
			if err := tx.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if main, toast := inPostgresFiles(t, raw, secrets); main || !toast {
		t.Fatalf("before it is erased, the value is in the table's file: %v, in that of its TOAST table: %v", main,
			toast)
	}
	read, ended := openSnapshot(t, s)
	err = s.Update(ctx, testL, func(tx service.Tx) error {
		return tx.Redact(service.RedactedRows{EntryID: id, Pointers: []string{"/request/user_agent"}}, newEntry(testL))
	})
	if err != nil {
		t.Fatal(err)
	}
	const removed = "removed redacted values"
	eventually(t, "the table was never vacuumed", func() (n bool) {
		if err := raw.QueryRow("SELECT vacuum_count > 0 FROM pg_stat_user_tables WHERE relname =" +
			" 'batch'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	})
	if strings.Contains(log.String(), removed) {
		t.Error("the store reports the value as removed while a snapshot still reads it")
	}
	close(read)
	<-ended
	eventually(t, "the store never removed the value", func() bool { return strings.Contains(log.String(), removed) })

	mustExec(t, raw, documentedRewrite(t))
	if main, toast := inPostgresFiles(t, raw, secrets); main || toast {
		t.Fatalf("the value is in the table's file: %v, in that of its TOAST table: %v", main, toast)
	}
	if e := leaves(t, s, testL, 5, 1); strings.Contains(string(e[0].Disclosures), "user_agent") ||
		!strings.Contains(string(e[0].Disclosures), "203.0.113.7") {
		t.Errorf("what is left: %s", e[0].Disclosures)
	}
}

// documentedRewrite is the statement that docs/audit.md gives to operators.
func documentedRewrite(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	statement := regexp.MustCompile(`VACUUM \(FULL[^;]*;`).Find(doc)
	if statement == nil {
		t.Fatal("docs/audit.md does not say how the table's files are rewritten")
	}
	return string(statement)
}

// inPostgresFiles looks for values in the files of the table of entries and of its TOAST table, and writes these first.
func inPostgresFiles(t *testing.T, db *sql.DB, values [2][]byte) (main, toast bool) {
	t.Helper()
	mustExec(t, db, "CHECKPOINT")
	var folder string
	var paths [2]string
	err := db.QueryRow("SELECT current_setting('data_directory'), pg_relation_filepath(oid),"+
		" pg_relation_filepath(reltoastrelid)"+
		" FROM pg_class WHERE oid = 'batch'::regclass").Scan(&folder, &paths[0], &paths[1])
	if err != nil {
		t.Fatal(err)
	}
	var found [2]bool
	for i, path := range paths {
		data, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		found[i] = bytes.Contains(data, values[0]) || bytes.Contains(data, values[1])
	}
	return found[0], found[1]
}

// openSnapshot keeps a View open until read is closed.
func openSnapshot(t *testing.T, s *store.Store) (read chan<- struct{}, ended <-chan struct{}) {
	t.Helper()
	reading, finish, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.View(ctx, func(r service.Reader) error {
			_, err := r.Size(testL)
			close(reading)
			<-finish
			return err
		})
	}()
	<-reading
	return finish, done
}

func eventually(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// lockedBuffer is what several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func stored(t *testing.T, dir string, secret []byte) (found bool) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		found = found || bytes.Contains(data, secret)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
