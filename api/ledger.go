package api

// LedgerRotation proves that the log went on with another key: what a verifier
// needs that knows only the key before.
type LedgerRotation struct {
	Object  string `json:"object" enum:"ledger_rotation" doc:"Always ledger_rotation"`
	Seq     int64  `json:"seq" doc:"Of the entry that names the next key"`
	Key     string `json:"key" doc:"The next verifier key, in the text form of C2SP signed-note"`
	Proof   string `json:"proof" doc:"C2SP tlog-proof of that entry under the last checkpoint of the key before; the entry is its extra data"`
	Created int64  `json:"created" doc:"When it was made, in unix seconds"`
}

// Redaction tells that personal fields of an audit entry were erased.
type Redaction struct {
	Object  string   `json:"object" enum:"audit_redaction" doc:"Always audit_redaction"`
	EntryID string   `json:"entry_id" doc:"The entry they were fields of"`
	Seq     int64    `json:"seq" doc:"Of that entry"`
	Fields  []string `json:"fields" nullable:"false" doc:"JSON Pointers into its leaf"`
	ID      string   `json:"id" doc:"The audit entry that tells of the redaction"`
}
