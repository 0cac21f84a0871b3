package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const answerColumns = "key_id, once_key, fingerprint, request_id, created, result, err"

func answerFields(a *service.Answer) []any {
	return []any{
		&a.KeyID, &a.OnceKey, (*sqldb.Digest)(&a.Fingerprint), &a.RequestID, (*sqldb.Time)(&a.Created), (*[]byte)(&a.Result), failure{&a.Err},
	}
}

// failure reads the error of an answer, which is stored as JSON, NULL for none.
type failure struct{ err **sluice.Error }

func (f failure) Scan(v any) error {
	*f.err = nil
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(v, f.err)
	default:
		return fmt.Errorf("an error is stored as bytes, not as %T", v)
	}
}

func (r *reader) Answer(keyID, onceKey string) (a service.Answer, err error) {
	err = r.OneUnbuffered(answerFields(&a), "SELECT "+answerColumns+" FROM answer WHERE key_id = $1 AND once_key = $2", keyID, onceKey)
	return a, err
}

func (t *tx) Remember(a service.Answer) error {
	var result, failed any
	if a.Result != nil {
		result = []byte(a.Result)
	}
	if a.Err != nil {
		data, err := json.Marshal(a.Err)
		if err != nil {
			return t.Fail(err)
		}
		failed = data
	}
	_, err := t.exec("INSERT INTO answer ("+answerColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_id, once_key) DO UPDATE"+
		" SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, created = excluded.created, result = excluded.result, err = excluded.err",
		a.KeyID, a.OnceKey, a.Fingerprint[:], a.RequestID, sqldb.Micros(a.Created), result, failed)
	return err
}

// ForgetAnswers implements service.Store. What was forgotten before an error
// stays forgotten, and is counted.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) (int, error) {
	return s.forget(ctx, "DELETE FROM answer WHERE (key_id, once_key) IN"+
		" (SELECT key_id, once_key FROM answer WHERE created < $1 ORDER BY created LIMIT $2)", before)
}

// forgetful is how many rows are forgotten in one go: Updates that arrive
// meanwhile wait for no more than that.
const forgetful = 200

// forget deletes rows from before a moment, some at a time.
func (s *Store) forget(ctx context.Context, query string, before time.Time) (int, error) {
	forgotten := 0
	for {
		var n int64
		err := s.unlogged(ctx, noLedger, func(t *tx) (err error) {
			n, err = t.exec(query, ceil(before), forgetful)
			return err
		})
		if err == nil {
			forgotten += int(n)
		}
		if err != nil || n < forgetful {
			return forgotten, err
		}
	}
}
