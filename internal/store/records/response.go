package records

import (
	"encoding/json"
	"fmt"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const responseColumns = "key_id, once_key, fingerprint, request_id, created, result, err"

func responseFields(a *service.StoredResponse) []any {
	return []any{
		&a.KeyID, &a.IdempotencyKey, (*sqldb.Digest)(&a.Fingerprint), &a.RequestID, (*sqldb.Time)(&a.Created),
		(*[]byte)(&a.Result), failure{&a.Err},
	}
}

// failure reads the error of a stored response, which is JSON, NULL for none.
type failure struct{ err **sluice.Error }

// Scan implements sql.Scanner.
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

// StoredResponse implements service.Reader: it gives the stored response to an idempotency key.
func (r *Reader) StoredResponse(keyID, idempotencyKey string) (a service.StoredResponse, err error) {
	err = r.OneUnbuffered(responseFields(&a),
		"SELECT "+responseColumns+" FROM answer WHERE key_id = $1 AND once_key = $2", keyID, idempotencyKey)
	return a, err
}

// StoreResponse implements service.Tx: it stores the response to an idempotency key.
func (t *Tx) StoreResponse(a service.StoredResponse) error {
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
	_, err := t.log.Exec("INSERT INTO answer ("+responseColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)"+
		" ON CONFLICT (key_id, once_key) DO UPDATE SET"+
		" fingerprint = excluded.fingerprint, request_id = excluded.request_id,"+
		" created = excluded.created, result = excluded.result, err = excluded.err",
		a.KeyID, a.IdempotencyKey, a.Fingerprint[:], a.RequestID, sqldb.Micros(a.Created), result, failed)
	return err
}

// EraseResponse implements service.Tx.
func (t *Tx) EraseResponse(requestID string, created time.Time, failure *sluice.Error) error {
	data, err := json.Marshal(failure)
	if err != nil {
		return t.Fail(err)
	}
	_, err = t.log.Exec("UPDATE answer SET result = NULL, err = $3 WHERE created = $1 AND request_id = $2",
		sqldb.Micros(created), requestID, data)
	return err
}

// DeleteResponses deletes stored responses from before a time.
var DeleteResponses = deleteBefore("DELETE FROM answer WHERE (key_id, once_key) IN" +
	" (SELECT key_id, once_key FROM answer WHERE created < $1 ORDER BY created LIMIT $2)")
