package store

import (
	"context"
	"fmt"
)

// Installation implements service.Reader. The migration that makes the table
// makes the id.
func (r *reader) Installation() (id string, err error) {
	err = r.one([]any{&id}, "SELECT id FROM installation")
	return id, err
}

// Installation gives the id of the installation that moves.
func (m *Move) Installation(ctx context.Context) (string, error) {
	rows, err := m.from.values(ctx, 1, "SELECT id FROM installation")
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("table installation has %d rows, want 1", len(rows))
	}
	return rows[0][0].(string), nil
}
