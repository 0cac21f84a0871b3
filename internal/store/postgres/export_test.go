package postgres

import (
	"log/slog"

	"github.com/jackc/pgx/v5"
)

// Vacuumer is a vacuumer, for tests outside of the package.
type Vacuumer = vacuumer

// NewVacuumer makes a Vacuumer for the database of a URL.
func NewVacuumer(url string) (*Vacuumer, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return newVacuumer(config, slog.Default()), nil
}

// Vacuum is vacuum.
func (v *vacuumer) Vacuum() (gone bool, err error) { return v.vacuum() }

// Close is close.
func (v *vacuumer) Close() error { return v.close() }
