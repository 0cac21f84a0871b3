package api

// LedgerRotation proves that the log rotated to a new key. It is what a
// verifier needs that only has the old key.
type LedgerRotation struct {
	Object  string `json:"object" enum:"ledger_rotation" doc:"Always ledger_rotation"`
	Seq     int64  `json:"seq" doc:"Position of the entry that names the new key"`
	Key     string `json:"key" doc:"The new verifier key, in the text form of C2SP signed-note"`
	Proof   string `json:"proof" doc:"C2SP tlog-proof of that entry under the last checkpoint of the old key; the entry is its extra data"`
	Created int64  `json:"created" doc:"Time of creation in unix seconds"`
}

// Redaction records that personal fields of an audit entry were erased.
type Redaction struct {
	Object  string   `json:"object" enum:"audit_redaction" doc:"Always audit_redaction"`
	EntryID string   `json:"entry_id" doc:"Id of the redacted entry"`
	Seq     int64    `json:"seq" doc:"Position of that entry"`
	Fields  []string `json:"fields" nullable:"false" doc:"JSON Pointers into the entry's leaf"`
	ID      string   `json:"id" doc:"Id of the audit entry that records the redaction"`
}
