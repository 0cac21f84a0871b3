package auditlog

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Tx adds entries to the ledger of one Update.
type Tx struct {
	Reader
	ledger sluice.LedgerID
	head   *Head
	random io.Reader // for the salts of entries
	wrote  bool
	erased bool
}

// NewTx makes the Tx of an Update of a ledger. An unlogged write has an empty head.
func NewTx(r Reader, ledger sluice.LedgerID, head *Head, random io.Reader) Tx {
	return Tx{Reader: r, ledger: ledger, head: head, random: random}
}

// Ledger is the ledger of the Update.
func (t *Tx) Ledger() sluice.LedgerID { return t.ledger }

// LedgerHead is the end of that ledger.
func (t *Tx) LedgerHead() *Head { return t.head }

// Wrote reports whether the Update has changed something in the database.
func (t *Tx) Wrote() bool { return t.wrote }

// Erased reports whether the Update has removed something for good.
func (t *Tx) Erased() bool { return t.erased }

// Erases notes that the Update removes something for good, or the last of it: the store then removes it from the
// database's files.
func (t *Tx) Erases() { t.erased = true }

// Exec runs one statement and gives the number of rows that it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	t.wrote = t.wrote || t.Err() == nil
	return t.Session.Exec(query, args...)
}

// Writes notes that the Update changes something by another way than Exec.
func (t *Tx) Writes() { t.wrote = true }

// Change runs a statement that changes exactly one row, and records the entry that describes it. When no row is
// changed it is ErrNotFound.
func (t *Tx) Change(e sluice.Entry, query string, args ...any) error {
	n, err := t.Exec(query, args...)
	if err == nil && n == 0 {
		err = sqldb.ErrNotFound
	}
	if err != nil {
		return err
	}
	return t.Record(e)
}

// EnsureLedger gives the number of the Update's ledger, and makes its row at the first use. l is the ledger of an
// object to store: it must be the same.
func (t *Tx) EnsureLedger(l sluice.LedgerID) (int64, error) {
	if t.Err() != nil {
		return 0, t.Err()
	}
	if l != t.ledger {
		return 0, t.Fail(fmt.Errorf("an update of ledger %s cannot write to %s", t.ledger, l))
	}
	if t.head.ID == 0 {
		if _, err := t.Exec(createLedger, l.Account, string(l.Mode)); err != nil {
			return 0, err
		}
		err := t.OneUnbuffered([]any{&t.head.ID}, "SELECT id FROM ledger WHERE account = $1 AND mode = $2",
			l.Account, string(l.Mode))
		if err != nil {
			return 0, err
		}
	}
	return t.head.ID, nil
}

// Record seals an entry and appends it to the ledger. It is written together with others of the group.
func (t *Tx) Record(e sluice.Entry) error {
	number, err := t.EnsureLedger(e.Ledger)
	if err != nil {
		return err
	}
	s, err := audit.Seal(e, t.random)
	if err != nil {
		return t.Fail(err)
	}
	h := t.head
	h.Latest = max(h.Latest, e.Time.UnixMicro())
	t.group.entries = append(t.group.entries, unwritten{number, h.Next, h.Latest, s})
	h.fresh = append(h.fresh, audit.IndexTermsOf(e))
	h.Next++
	h.changed = true
	return nil
}

// Erase erases disclosed fields of an entry. Its terms that are no longer disclosed leave the index.
func (t *Tx) Erase(id string, fields []string, e sluice.Entry) error {
	s, err := t.find(t.ledger, id)
	if err == nil {
		err = t.EraseAt([]service.ErasedEntry{{Seq: s.seq, Pointers: fields}})
	}
	if err != nil {
		return err
	}
	t.Erases()
	return t.Record(e)
}

// EraseAt erases disclosed fields of entries, which are in the order of the log. Their terms that are no longer
// disclosed leave the index. It leaves it to its caller to call Erases.
func (t *Tx) EraseAt(list []service.ErasedEntry) error {
	places := termPlaces{}
	for some := range slices.Chunk(list, batchesAtOnce) {
		if err := t.eraseSome(some, places); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		t.head.erased, t.head.changed = true, true
		// Another process may have the terms of entries that are not indexed yet in memory. It reads them again if the
		// index has grown.
		t.head.reindex = t.head.reindex || list[len(list)-1].Seq >= t.head.Indexed
	}
	return t.removePlaces(places)
}

// eraseSome erases fields of the entries of a few batches. It adds the places that they had in the index to places.
func (t *Tx) eraseSome(list []service.ErasedEntry, places termPlaces) error {
	seqs := make([]int64, len(list))
	for i, e := range list {
		seqs[i] = e.Seq
	}
	key, err := t.indexKey()
	if err != nil {
		return err
	}
	var updates [][]any
	err = t.batchesWith(t.head.ID, seqs, func(b *unpackedBatch, entries []stored) bool {
		lines, found := bytes.Split(b.disclosures, []byte("\n")), false
		for len(list) > 0 && list[0].Seq < b.first+int64(len(entries)) {
			e := list[0]
			list = list[1:]
			if e.Seq < b.first || e.Seq-b.first >= int64(len(lines)) {
				continue // the batch is damaged, and fsck reports it
			}
			was := entries[e.Seq-b.first]
			left := was.WithoutDisclosures(e.Pointers)
			lines[e.Seq-b.first], found = left, true
			if e.Seq < t.head.Indexed {
				places.add(key, e.Seq, was.PersonalTerms(), audit.SealedEntry{Disclosures: left}.PersonalTerms())
			}
		}
		if found {
			updates = append(updates, []any{pack(bytes.Join(lines, []byte("\n"))), t.head.ID, b.first})
		}
		return true
	})
	if err != nil {
		return err
	}
	t.Writes()
	return t.ExecEach("UPDATE batch SET disclosures = $1 WHERE ledger = $2 AND first = $3", updates)
}
