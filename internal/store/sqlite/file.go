package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"

	"sluice/internal/store/sqldb"
)

// databaseFile gives the pages of the database in order, as the transaction of c sees them: the bytes of a file that
// SQLite opens as this database. They come from https://www.sqlite.org/dbpage.html, so that no other file is written,
// and nothing waits for the reader but the truncation of the WAL.
func databaseFile(ctx context.Context, c *sqldb.Conn) (io.ReadCloser, error) {
	rows, err := c.QueryContext(ctx, "SELECT data FROM sqlite_dbpage ORDER BY pgno")
	if err != nil {
		return nil, err
	}
	return &pages{rows: rows}, nil
}

// pages reads one page after the other.
type pages struct {
	rows *sql.Rows
	page sql.RawBytes // what is left of the current page; valid until the next one
}

func (p *pages) Read(into []byte) (int, error) {
	for len(p.page) == 0 {
		if !p.rows.Next() {
			if err := p.rows.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if err := p.rows.Scan(&p.page); err != nil {
			return 0, err
		}
		if len(p.page) == 0 {
			return 0, errors.New("a page of the database cannot be read")
		}
	}
	n := copy(into, p.page)
	p.page = p.page[n:]
	return n, nil
}

func (p *pages) Close() error { return p.rows.Close() }
