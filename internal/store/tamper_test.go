package store_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/blob"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
	"sluice/ledger"
	"sluice/sluicetest"
)

// httpSource reads a log from a running server, as someone does who does not trust its operator.
type httpSource struct {
	url, secret string
}

func (h httpSource) get(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", h.url+"/v1/ledger/"+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+h.secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == 200 {
		return res.Body, nil
	}
	defer res.Body.Close()
	problem, _ := io.ReadAll(res.Body)
	if res.StatusCode == 404 {
		return nil, fmt.Errorf("%w: %s", fs.ErrNotExist, problem)
	}
	return nil, fmt.Errorf("%s: %s", res.Status, problem)
}

func (h httpSource) read(ctx context.Context, path string) ([]byte, error) {
	body, err := h.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (h httpSource) Checkpoint(ctx context.Context) ([]byte, error) { return h.read(ctx, "checkpoint") }

func (h httpSource) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	return h.read(ctx, t.Path())
}

func (h httpSource) Disclosures(ctx context.Context) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		body, err := h.get(ctx, "disclosures")
		if err != nil {
			yield(ledger.Disclosure{}, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, ledger.MaxDisclosure+1)
		for lines.Scan() {
			d, err := ledger.ParseDisclosure(lines.Bytes())
			if !yield(d, err) || err != nil {
				return
			}
		}
		if lines.Err() != nil {
			yield(ledger.Disclosure{}, lines.Err())
		}
	}
}

// storeSource reads a log from its store.
type storeSource struct {
	*store.Store
	ledger sluice.LedgerID
}

func missing(err error) error {
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

func (s storeSource) Checkpoint(ctx context.Context) (note []byte, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		c, err := r.Checkpoint(s.ledger, -1)
		note = c.Note
		return err
	})
	return note, missing(err)
}

func (s storeSource) Tile(ctx context.Context, t ledger.Tile) (data []byte, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		if t.Level != ledger.EntriesLevel {
			found, err := r.Tiles(s.ledger, []ledger.Tile{t})
			if err == nil {
				data = found[0][:t.Width*ledger.HashSize]
			}
			return err
		}
		from, to := t.Entries()
		list, err := r.Leaves(s.ledger, from, int(to-from))
		for _, e := range list {
			data = binary.BigEndian.AppendUint16(data, uint16(len(e.Leaf))) // also a damaged one
			data = append(data, e.Leaf...)
		}
		return err
	})
	return data, missing(err)
}

func (s storeSource) Disclosures(ctx context.Context) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		var list []audit.SealedEntry
		err := s.View(ctx, func(r service.Reader) (err error) {
			list, err = r.Leaves(s.ledger, 0, 1000)
			return err
		})
		if err != nil {
			yield(ledger.Disclosure{}, err)
			return
		}
		for seq, e := range list {
			for d, err := range disclosuresOf(int64(seq), e.Disclosures) {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// disclosuresOf reads the disclosures of an entry as they are stored.
func disclosuresOf(seq int64, stored []byte) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		var fields map[string]struct{ Salt, Value string }
		if err := json.Unmarshal(stored, &fields); err != nil {
			yield(ledger.Disclosure{}, fmt.Errorf("%w: of entry %d: %w", ledger.ErrDisclosure, seq, err))
			return
		}
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			// In the one form that a line of an export has.
			line, err := json.Marshal(map[string]any{"field": name, "salt": strings.ToLower(fields[name].Salt),
				"seq": seq, "value": fields[name].Value})
			var d ledger.Disclosure
			if err == nil {
				d, err = ledger.ParseDisclosure(line)
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// evidence is a small log, and what an outsider keeps of it.
type evidence struct {
	*sluicetest.Server
	id    sluice.LedgerID
	keys  *ledger.Verifier
	older []ledger.Checkpoint
}

const evidenceSize = 6 // a key's, and five with a personal field each

// newEvidence makes a small log. Its entries have rows of their own or, with together, two share a row.
func newEvidence(t *testing.T, database string, together bool) *evidence {
	t.Helper()
	s := sluicetest.NewServerOn(t, database)
	e := &evidence{Server: s, id: s.Ledger(sluice.Test)}
	verifier, _, err := s.Ledgers.Key(ctx, service.Operator(e.id))
	if err != nil {
		t.Fatal(err)
	}
	if e.keys, err = ledger.NewVerifier(verifier); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 2, 1} {
		one := newEntry(e.id)
		one.Request = &sluice.Request{ID: "req_1", IP: "203.0.113.7"}
		updates, each := n, 1
		if together {
			updates, each = 1, n
		}
		for range updates {
			err := s.Store.Update(ctx, e.id, func(tx service.Tx) (err error) {
				for range each {
					err = errors.Join(err, tx.Record(one))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.Service.Checkpoint(t)
		e.older = append(e.older, e.keep(t))
	}
	return e
}

// keep gives the newest checkpoint, as one that an outsider keeps.
func (e *evidence) keep(t *testing.T) ledger.Checkpoint {
	t.Helper()
	c, err := e.keys.Open(newest(t, e.Store, e.id).Note)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify verifies the log from the store, or over HTTP.
func (e *evidence) verify(overHTTP bool) error {
	var src ledger.Source = storeSource{e.Store, e.id}
	if overHTTP {
		src = httpSource{e.URL, e.Secret}
	}
	_, err := ledger.Verify(ctx, src, e.keys, e.older...)
	return err
}

// fault wants an error to be a fault of one of some kinds.
func fault(t *testing.T, what string, err error, kinds ...ledger.FaultKind) *ledger.Fault {
	t.Helper()
	var f *ledger.Fault
	if !errors.As(err, &f) || !slices.Contains(kinds, f.Kind) || f.Path == "" {
		t.Fatalf("%s: %v, want a fault of %v", what, err, kinds)
	}
	return f
}

// TestFlippedBytes flips every byte of a stored log, one after the other. The verifier must name each.
func TestFlippedBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	e := newEvidence(t, "", true)
	db := openRaw(t, e.Service)
	number := ledgerNumber(t, db, e.id)
	for _, overHTTP := range []bool{false, true} {
		if err := e.verify(overHTTP); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(table, column, where string, seq int64, check func(what string, at int)) {
		t.Helper()
		var data []byte
		where += fmt.Sprintf(" AND ledger = %d", number)
		if err := db.QueryRow("SELECT " + column + " FROM " + table + " WHERE " + where).Scan(&data); err != nil {
			t.Fatal(table, where, err)
		}
		put := "UPDATE " + table + " SET " + column + " = $1 WHERE " + where
		for at := range data {
			flipped := bytes.Clone(data)
			flipped[at] ^= 1
			mustExec(t, db, put, flipped)
			check(fmt.Sprintf("byte %d of %s.%s where %s", at, table, column, where), at)
		}
		mustExec(t, db, put, data)
	}

	for first, entries := range map[int64]int64{0: 1, 1: 2, 3: 2, 5: 1} {
		flip("batch", "leaves", fmt.Sprint("first = ", first), first, func(what string, at int) {
			f := fault(t, what, e.verify(false), ledger.FaultEntry)
			if f.Seq < first || f.Seq >= first+entries {
				t.Errorf("%s: %v", what, f)
			}
			// Every tenth is verified over HTTP too.
			if at%10 == 9 {
				if err := e.verify(true); err == nil || !strings.Contains(err.Error(), "tile/entries/000.p/6") {
					t.Errorf("%s: from outside: %v", what, err)
				}
			}
		})
		if first == 0 {
			continue // made by the operator: without personal fields
		}
		flip("batch", "disclosures", fmt.Sprint("first = ", first), first, func(what string, at int) {
			f := fault(t, what, e.verify(false), ledger.FaultDisclosure)
			if f.Seq >= 0 && (f.Seq < first || f.Seq >= first+entries) {
				t.Errorf("%s: %v", what, f)
			}
			if at%10 == 9 && e.verify(true) == nil {
				t.Errorf("%s is not seen from outside", what)
			}
		})
	}
	flip("tile", "hashes", "level = 0 AND idx = 0", -1, func(what string, at int) {
		f := fault(t, what, e.verify(at%10 == 9), ledger.FaultTile)
		if f.Path != fmt.Sprintf("tile/0/000.p/%d", evidenceSize) {
			t.Errorf("%s: %v", what, f)
		}
	})
	for _, c := range e.older {
		flip("checkpoint", "note", fmt.Sprint("size = ", c.Size), -1, func(what string, at int) {
			if c.Size == evidenceSize {
				fault(t, what, e.verify(at%10 == 9), ledger.FaultCheckpoint)
			}
			var stored service.Checkpoint
			view(t, e.Store, func(r service.Reader) (err error) {
				stored, err = r.Checkpoint(e.id, c.Size)
				return err
			})
			if _, err := e.keys.Open(stored.Note); !errors.Is(err, ledger.ErrCheckpoint) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	// The next checkpoint is built on the root that is stored beside the note.
	record(t, e.Store, e.id, 1)
	flip("checkpoint", "root", fmt.Sprint("size = ", evidenceSize), -1, func(what string, at int) {
		if n, err := e.Service.Service.Ledgers.Checkpoint(ctx); n != 0 || err == nil ||
			!strings.Contains(err.Error(), e.id.String()) {
			t.Errorf("%s: %d checkpoints, %v", what, n, err)
		}
	})
	if n := e.Service.Checkpoint(t); n != 1 {
		t.Errorf("put back: %d checkpoints", n)
	}
	if err := e.verify(true); err != nil {
		t.Error(err)
	}
}

// TestTamperedRows drops, repeats, reorders and cuts rows, signs a changed log with another key, and restores a
// backup.
func TestTamperedRows(t *testing.T) { onEach(t, testTamperedRows) }

func testTamperedRows(t *testing.T, database string) {
	e := newEvidence(t, database, false)
	db := openRaw(t, e.Service)
	number := ledgerNumber(t, db, e.id)
	for name, test := range map[string]struct {
		tamper  string // several statements; $L is the ledger
		kinds   []ledger.FaultKind
		seq     int64  // -1 for none
		outside string // part of the error over HTTP; "" for the same fault
	}{
		"an entry is dropped": {"DELETE FROM batch WHERE ledger = $L AND first = 3",
			[]ledger.FaultKind{ledger.FaultEntry}, 3, "tile/entries/000.p/6"},
		"the last entry is dropped": {"DELETE FROM batch WHERE ledger = $L AND first = 5",
			[]ledger.FaultKind{ledger.FaultEntry}, 5, "tile/entries/000.p/6"},
		"an entry is dropped and the rest moves up": {"DELETE FROM batch WHERE ledger = $L AND first = 3; UPDATE" +
			" batch SET first = first - 1 WHERE ledger = $L AND first > 3",
			[]ledger.FaultKind{ledger.FaultEntry}, 3, "tile/entries/000.p/6"},
		"an entry is repeated": {"UPDATE batch SET leaves = (SELECT leaves FROM batch WHERE ledger = $L AND first" +
			" = 1) WHERE ledger = $L AND first = 2", []ledger.FaultKind{ledger.FaultEntry}, 2, ""},
		"two entries change places": {"UPDATE batch SET first = 99 WHERE ledger = $L AND first = 1; UPDATE batch" +
			" SET first = 1 WHERE ledger = $L AND first = 4; UPDATE batch SET first = 4 WHERE ledger = $L AND" +
			" first = 99",
			[]ledger.FaultKind{ledger.FaultEntry}, 1, ""},
		"an entry is cut": {"UPDATE batch SET leaves = substr(leaves, 1, 100) WHERE ledger = $L" +
			" AND first = 2", []ledger.FaultKind{ledger.FaultEntry}, 2, "tile/entries/000.p/6"},
		"an entry is emptied": {"UPDATE batch SET leaves = substr(leaves, 1, 0) WHERE ledger = $L AND" +
			" first = 2", []ledger.FaultKind{ledger.FaultEntry}, 2, "tile/entries/000.p/6"},
		"a tile is dropped": {"DELETE FROM tile WHERE ledger = $L",
			[]ledger.FaultKind{ledger.FaultTile}, -1, ""},
		"a tile is cut": {"UPDATE tile SET hashes = substr(hashes, 1, 64) WHERE ledger = $L",
			[]ledger.FaultKind{ledger.FaultTile}, -1, ""},
		"the newest checkpoint is dropped": {"DELETE FROM checkpoint WHERE ledger = $L AND size = 6",
			[]ledger.FaultKind{ledger.FaultHistory}, 5, ""},
		"every checkpoint is dropped": {"DELETE FROM checkpoint WHERE ledger = $L",
			[]ledger.FaultKind{ledger.FaultCheckpoint, ledger.FaultHistory}, -1, "the log has 0 entries"},
		"an older checkpoint stands for the newest": {"UPDATE checkpoint SET note = (SELECT note FROM checkpoint" +
			" WHERE ledger = $L AND size = 3) WHERE ledger = $L AND size = 6",
			[]ledger.FaultKind{ledger.FaultHistory}, 3, ""},
		"disclosures change places": {"UPDATE batch SET disclosures = (SELECT disclosures FROM" +
			" batch WHERE ledger = $L AND first = 1) WHERE ledger = $L AND first = 2",
			[]ledger.FaultKind{ledger.FaultDisclosure}, 2, ""},
		"disclosures are given to an entry without": {"UPDATE batch SET disclosures = (SELECT disclosures FROM" +
			" batch WHERE ledger = $L AND first = 1) WHERE ledger = $L AND first = 0",
			[]ledger.FaultKind{ledger.FaultDisclosure}, 0, ""},
		"disclosures are cut": {"UPDATE batch SET disclosures = substr(disclosures, 1, 20)" +
			" WHERE ledger = $L AND first = 2", []ledger.FaultKind{ledger.FaultDisclosure}, -1, "disclosures"},
	} {
		t.Run(name, func(t *testing.T) {
			saved := snapshot(t, db)
			t.Cleanup(func() { saved.restore(t, db) })
			mustExec(t, db, strings.ReplaceAll(test.tamper, "$L", fmt.Sprint(number)))
			f := fault(t, name, e.verify(false), test.kinds...)
			if f.Seq != test.seq {
				t.Errorf("from the store: %v, want entry %d", f, test.seq)
			}
			err := e.verify(true)
			if test.outside == "" {
				if f := fault(t, name, err, test.kinds...); f.Seq != test.seq {
					t.Errorf("over HTTP: %v, want entry %d", f, test.seq)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.outside) {
				t.Errorf("over HTTP: %v, want one that names %s", err, test.outside)
			}
		})
	}
	if err := e.verify(true); err != nil {
		t.Fatal("put back: ", err)
	}
}

// TestGap reads beyond a missing entry. The entries after it must not appear in its place.
func TestGap(t *testing.T) { onEach(t, testGap) }

func testGap(t *testing.T, database string) {
	e := newEvidence(t, database, false)
	db := openRaw(t, e.Service)
	mustExec(t, db, "DELETE FROM batch WHERE first = 3 AND ledger = $1", ledgerNumber(t, db, e.id))
	for from, want := range map[int64]int{0: 3, 2: 1, 3: 0, 4: 2} {
		if list := leaves(t, e.Store, e.id, from, evidenceSize); len(list) != want {
			t.Errorf("%d leaves from %d on, want %d", len(list), from, want)
		}
	}
	// Another process, which reads the entries that it indexes, goes on.
	s, err := reopen(e.Service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	record(t, s, e.id, 300)
	view(t, s, func(r service.Reader) error {
		list, err := r.Entries(e.id, service.EntryFilter{RequestID: "req_1"}, sluice.Page{Limit: 100, Last: true})
		if err == nil && (len(list.Data) != 100 || list.Data[99].Seq != 1 || list.Data[97].Seq != 4) {
			t.Errorf("%d entries, the oldest are %d, %d", len(list.Data), list.Data[99].Seq, list.Data[97].Seq)
		}
		return err
	})
}

// reopen opens the database of a service once more, as another process does.
func reopen(s *sluicetest.Service) (*store.Store, error) {
	if s.Database != "" {
		return store.OpenPostgres(ctx, s.Database, store.Options{})
	}
	return store.OpenSQLite(filepath.Join(s.Dir, "sluice.db"), store.Options{})
}

// snapshot copies the rows of a log.
func snapshot(t *testing.T, db *sql.DB) tables {
	t.Helper()
	db.SetMaxOpenConns(1) // the one with the copies
	kept := tables{"batch", "tile", "checkpoint"}
	for _, table := range kept {
		mustExec(t, db, "CREATE TEMP TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	return kept
}

type tables []string

func (kept tables) restore(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, table := range kept {
		mustExec(t, db, "DELETE FROM "+table)
		mustExec(t, db, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
		mustExec(t, db, "DROP TABLE kept_"+table)
	}
}

// TestResigned signs the log, as it is and rewritten, with a stranger's key.
func TestResigned(t *testing.T) { onEach(t, testResigned) }

func testResigned(t *testing.T, database string) {
	e := newEvidence(t, database, false)
	db := openRaw(t, e.Service)
	stranger, err := ledger.NewSigner(sluicetest.NewLedgerKey(t), "sluice.test/"+e.id.String())
	if err != nil {
		t.Fatal(err)
	}
	c := newest(t, e.Store, e.id)
	note, err := stranger.Sign(c.Size, c.Root)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "UPDATE checkpoint SET note = $1, verifier = $2 WHERE size = $3 AND ledger = $4", note,
		stranger.VerifierKey(), c.Size, ledgerNumber(t, db, e.id))
	for _, overHTTP := range []bool{false, true} {
		fault(t, "signed by a stranger", e.verify(overHTTP), ledger.FaultCheckpoint)
	}
}

// TestRestoredBackup replaces the log by an older copy of the database, and continues there with the right key.
func TestRestoredBackup(t *testing.T) {
	e := newEvidence(t, "", false)
	db := openRaw(t, e.Service)
	backup := filepath.Join(t.TempDir(), "backup.db")
	mustExec(t, db, "VACUUM INTO $1", backup)

	record(t, e.Store, e.id, 2)
	e.Service.Checkpoint(t)
	e.older = append(e.older, e.keep(t))
	if err := e.verify(true); err != nil {
		t.Fatal(err)
	}

	old, err := store.OpenSQLite(backup, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	src := storeSource{old, e.id}
	_, err = ledger.Verify(ctx, src, e.keys, e.older...)
	if f := fault(t, "a backup", err, ledger.FaultHistory); f.Seq != evidenceSize || f.Last != evidenceSize+1 {
		t.Errorf("a backup: %v", f)
	}

	service := serviceOn(t, old, e.LedgerKeys()...)
	record(t, old, e.id, 5)
	if n, err := service.Ledgers.Checkpoint(ctx); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, err = ledger.Verify(ctx, src, e.keys, e.older...)
	if f := fault(t, "a fork", err, ledger.FaultHistory); f.Seq != evidenceSize || f.Last != evidenceSize+1 {
		t.Errorf("a fork: %v", f)
	}
	if _, err = ledger.Verify(ctx, src, e.keys); err != nil {
		t.Errorf("without a kept checkpoint the fork cannot be noticed, but: %v", err)
	}
}

// serviceOn is a service over a store, with the keys that sign its ledgers.
func serviceOn(t testing.TB, s service.Store, keys ...string) *service.Service {
	t.Helper()
	bytes, err := blob.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bytes.Close() })
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	service, err := service.New(service.Config{
		Store: s, Blobs: bytes, SigningKeys: []token.Key{signing}, PublicURL: "http://sluice.test",
		LedgerKeys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}
