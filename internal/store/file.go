package store

import (
	"errors"
	"io"

	"sluice/internal/service"
)

// IsFile reports whether the database is a file of its own, as that of SQLite is.
func (s *Store) IsFile() bool { return s.db.File != nil }

// File gives the bytes of the database's file, as the Reader of a View of this Store sees it: every change of every
// Update that returned before the View began, and nothing later. Writers go on meanwhile. The caller closes it before
// it uses the Reader again. A database for which IsFile is false has no such bytes, which is an error.
func (s *Store) File(r service.Reader) (io.ReadCloser, error) {
	if !s.IsFile() {
		return nil, errors.New("the database is not a file")
	}
	of := &r.(*reader).session
	if err := of.Err(); err != nil {
		return nil, err
	}
	file, err := s.db.Dialect.File(of.Ctx, of.Conn)
	if err != nil {
		return nil, of.Fail(err)
	}
	return file, nil
}

// Schema gives the version of the schema of the database that a Reader reads.
func (s *Store) Schema(r service.Reader) (version int64, err error) {
	err = r.(*reader).session.One([]any{&version}, "SELECT MAX(version_id) FROM goose_db_version")
	return version, err
}
