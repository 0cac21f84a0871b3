package records

import (
	"fmt"
	"strings"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const erasureColumns = "id, erased_by, term, object, fields, next, entries, links, files, begun, record, created," +
	" updated, ended"

func erasureFields(p *service.PendingErasure) []any {
	return []any{
		&p.ID, (*string)(&p.By), &p.Term, &p.Object, (*personal)(&p.Fields), (*sqldb.Integer)(&p.Next),
		(*sqldb.Integer)(&p.Entries), (*sqldb.Integer)(&p.Links), (*sqldb.Integer)(&p.Files), &p.Begun, &p.Record,
		(*sqldb.Time)(&p.Created), (*sqldb.Time)(&p.Updated), (*sqldb.Time)(&p.Ended),
	}
}

// Erasure implements service.Reader.
func (r *Reader) Erasure(l sluice.LedgerID, id string) (p service.PendingErasure, err error) {
	number, err := r.LedgerNumber(l)
	if err == nil {
		p.Ledger = l
		err = r.OneUnbuffered(erasureFields(&p),
			"SELECT "+erasureColumns+" FROM erasure WHERE id = $1 AND ledger = $2", id, number)
	}
	return p, err
}

// PendingErasures implements service.Reader.
func (r *Reader) PendingErasures(limit int) ([]service.PendingErasure, error) {
	return sqldb.Many(r.Session, func(p *service.PendingErasure) []any {
		return append(erasureFields(p), &p.Ledger.Account, (*string)(&p.Ledger.Mode))
	}, PendingErasures, limit)
}

// PendingErasures is the query of Reader.PendingErasures.
var PendingErasures = "SELECT " + erasureColumns + ", " + ledgerName("erasure") +
	" FROM erasure WHERE ended IS NULL ORDER BY created LIMIT $1"

// CreateErasure implements service.Tx.
func (t *Tx) CreateErasure(p service.PendingErasure, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(p.Ledger)
	if err != nil {
		return err
	}
	return t.log.Change(e, "INSERT INTO erasure (ledger, "+erasureColumns+")"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
		ledger, p.ID, string(p.By), p.Term, p.Object, personal(p.Fields).text(), p.Next, p.Entries, p.Links, p.Files,
		p.Begun, p.Record, sqldb.Micros(p.Created), sqldb.Micros(p.Updated), sqldb.Micros(p.Ended))
}

// EraseStep implements service.Tx.
func (t *Tx) EraseStep(s service.ErasureStep) error {
	if err := t.eraseRows(s.Links, s.Files); err != nil {
		return err
	}
	if err := t.log.EraseAt(s.Entries); err != nil {
		return err
	}
	p := s.Erasure
	if !p.Ended.IsZero() {
		t.log.Erases()
	}
	_, err := t.log.Exec("UPDATE erasure SET term = $3, next = $4, entries = $5, links = $6, files = $7, record = $8,"+
		" updated = $9, ended = $10 WHERE id = $1 AND ledger = $2",
		p.ID, t.log.LedgerHead().ID, p.Term, p.Next, p.Entries, p.Links, p.Files, p.Record, sqldb.Micros(p.Updated),
		sqldb.Micros(p.Ended))
	return err
}

// eraseRows replaces what an erasure changes of links and of files.
func (t *Tx) eraseRows(links []sluice.Link, files []sluice.File) error {
	if len(links)+len(files) == 0 {
		return nil
	}
	if err := t.readAgain(); err != nil {
		return err
	}
	for _, l := range links {
		hash, err := t.recipientHash(l)
		if err != nil {
			return err
		}
		n, err := t.log.Exec("UPDATE link SET access = $3, recipient_hash = $4, updated = $5, seal = $6, reason = $7,"+
			" metadata = $8, filename = $9 WHERE id = $1 AND ledger = $2", l.ID, t.log.LedgerHead().ID,
			accessText(l.Access), hash, sqldb.Micros(l.Updated), optionalDigest(l.Seal).bytes(), l.Reason,
			metadata(l.Metadata).text(), l.Filename)
		if err == nil && n == 0 {
			err = sqldb.ErrNotFound
		}
		if err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := t.replaceFile(f); err != nil {
			return err
		}
	}
	return nil
}

// personal is a list of fields, stored separated by spaces.
type personal []sluice.PersonalField

func (p personal) text() string {
	list := make([]string, len(p))
	for i, field := range p {
		list[i] = string(field)
	}
	return strings.Join(list, " ")
}

// Scan implements sql.Scanner.
func (p *personal) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("fields are stored as text, not as %T", v)
	}
	*p = nil
	for word := range strings.FieldsSeq(text) {
		*p = append(*p, sluice.PersonalField(word))
	}
	if p.text() != text {
		return fmt.Errorf("fields %q are not in canonical form", text)
	}
	return nil
}
