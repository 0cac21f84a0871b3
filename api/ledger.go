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

// EntryRedaction names the fields to erase from one entry.
type EntryRedaction struct {
	Fields *[]string `json:"fields,omitempty" doc:"Names of the fields to erase: see the fields of an erasure. All by default"`
}

// NewErasure asks to erase personal fields from all entries that have something
// in common: exactly one of the other members.
type NewErasure struct {
	Recipient string    `json:"recipient,omitempty" doc:"E-mail address: entries about this person. Links that allow the person are included if an entry is about the person and the link"`
	ClientIP  string    `json:"client_ip,omitempty" doc:"Entries of requests from this address"`
	FileID    string    `json:"file_id,omitempty" doc:"Entries about this file"`
	LinkID    string    `json:"link_id,omitempty" doc:"Entries about this link"`
	KeyID     string    `json:"key_id,omitempty" doc:"Entries about this key, of requests with it, and of redemptions of links that it minted"`
	Fields    *[]string `json:"fields,omitempty" doc:"Names of the fields to erase, wherever they are in an entry: actor, allowed_recipients, client_ip, forwarded_for, ip, message, notify, recipient, user_agent, and, of files whose purpose says that they are personal, filename, linked_resources, metadata, reason, title. By default: with recipient allowed_recipients, client_ip, forwarded_for, ip, message, recipient and user_agent; with client_ip or key_id client_ip, forwarded_for, ip and user_agent; with file_id or link_id all"`
}

// The states of an Erasure.
const (
	ErasureRunning = "running"
	ErasureEnded   = "ended"
)

// Erasure erases personal fields from many entries, in the background. When it
// has ended, no entry before the one that records the end has them any more.
type Erasure struct {
	ID           string   `json:"id" doc:"Id of the erasure"`
	Object       string   `json:"object" enum:"audit_erasure" doc:"Always audit_erasure"`
	State        string   `json:"state" enum:"running,ended" doc:"running or ended"`
	By           string   `json:"by" enum:"recipient,client_ip,file_id,link_id,key_id" doc:"What the entries have in common"`
	ObjectID     string   `json:"object_id,omitempty" doc:"Id of the file, link or key. The address of a person is not kept"`
	Fields       []string `json:"fields" nullable:"false" doc:"Names of the erased fields"`
	Entries      int64    `json:"entries" doc:"Number of entries that lost a field so far"`
	Links        int64    `json:"links" doc:"Number of links that lost a field so far"`
	Files        int64    `json:"files" doc:"Number of files that lost a field so far"`
	BegunEntryID string   `json:"begun_entry_id" doc:"Id of the audit entry that records the beginning"`
	EntryID      string   `json:"entry_id,omitempty" doc:"Id of the audit entry that records the end"`
	Created      int64    `json:"created" doc:"Time of creation in unix seconds"`
	Updated      int64    `json:"updated" doc:"Time of the newest progress in unix seconds"`
	EndedAt      *int64   `json:"ended_at" doc:"Time of the end in unix seconds"`
	Livemode     bool     `json:"livemode" doc:"Mode: true for live, false for test"`
}
