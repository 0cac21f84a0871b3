package records

import (
	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// FilesAfter implements service.Reader. It reads along the primary key.
func (r *Reader) FilesAfter(id string, limit int) ([]service.StoredFile, error) {
	return sqldb.Many(r.Session, func(f *service.StoredFile) []any {
		return append(fileFields(&f.File), &f.Found, &f.Ledger.Account, (*string)(&f.Ledger.Mode))
	}, filesAfter, id, limit)
}

var filesAfter = "SELECT " + fileColumns + ", COALESCE(damage, ''), " + ledgerName("file") +
	" FROM file WHERE id > $1 AND deleted IS NULL ORDER BY id LIMIT $2"

const damagedFiles = "SELECT COUNT(*) FROM file WHERE damage IS NOT NULL AND deleted IS NULL"

// DamagedFiles implements service.Reader.
func (r *Reader) DamagedFiles() (n int64, err error) {
	err = r.One([]any{&n}, damagedFiles)
	return n, err
}

// ScrubProgress implements service.Reader.
func (r *Reader) ScrubProgress() (p service.ScrubProgress, err error) {
	err = r.One([]any{
		(*boolean)(&p.Running), (*sqldb.Time)(&p.Began), (*sqldb.Time)(&p.Completed), &p.After,
		&p.Files, &p.Bytes, &p.OfFiles, &p.OfBytes,
	}, "SELECT running, began, completed, after_id, files, bytes, of_files, of_bytes FROM scrub WHERE one = 1")
	if err == sqldb.ErrNotFound {
		err = nil
	}
	return p, err
}

// FileDamaged implements service.Tx.
func (t *Tx) FileDamaged(id, found string, e sluice.Entry) error {
	return t.rewrite(e, "UPDATE file SET damage = $3"+
		" WHERE id = $1 AND ledger = $2 AND deleted IS NULL AND (damage IS NULL OR damage <> $3)",
		id, t.log.LedgerHead().ID, found)
}

// Scrubbed stores the progress of the scrub, and that some files are not damaged.
func Scrubbed(t *Tx, p service.ScrubProgress, whole []service.WholeFile) error {
	for _, f := range whole {
		if _, err := t.log.Exec("UPDATE file SET crc32 = $2, damage = NULL WHERE id = $1", f.ID,
			int64(f.CRC32)); err != nil {
			return err
		}
	}
	if err := t.readAgain(); err != nil {
		return err
	}
	_, err := t.log.Exec("INSERT INTO scrub (one, running, began, completed, after_id, files, bytes, of_files,"+
		" of_bytes)"+
		" VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (one) DO UPDATE SET"+
		" running = excluded.running, began = excluded.began, completed = excluded.completed, after_id ="+
		" excluded.after_id,"+
		" files = excluded.files, bytes = excluded.bytes, of_files = excluded.of_files, of_bytes = excluded.of_bytes",
		boolean(p.Running).integer(), sqldb.Micros(p.Began), sqldb.Micros(p.Completed), p.After,
		p.Files, p.Bytes, p.OfFiles, p.OfBytes)
	return err
}
