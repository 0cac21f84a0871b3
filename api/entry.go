package api

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID       string     `json:"id"`
	Object   string     `json:"object" enum:"audit_entry"`
	Seq      int64      `json:"seq" doc:"Place in the log of this account and mode: 0, 1, 2, … without a gap"`
	Created  int64      `json:"created"`
	Time     string     `json:"time" doc:"RFC 3339, UTC, microseconds"`
	Action   string     `json:"action"`
	Outcome  string     `json:"outcome" enum:"allowed,refused"`
	Livemode bool       `json:"livemode"`
	Actor    Actor      `json:"actor"`
	Key      *KeyRef    `json:"key,omitempty" doc:"The key this concerns: the one changed, or the one that minted the link"`
	File     *FileRef   `json:"file,omitempty"`
	Link     *LinkRef   `json:"link,omitempty"`
	Entry    *EntryRef  `json:"entry,omitempty" doc:"The earlier entry that this is about"`
	Ledger   *LedgerRef `json:"ledger,omitempty" doc:"What the log goes on with"`
	Export   string     `json:"export,omitempty" doc:"What was exported: entries or disclosures"`
	Request  *Request   `json:"request,omitempty"`
	Refusal  string     `json:"refusal,omitempty" doc:"The rule that refused"`
	Redacted []string   `json:"redacted,omitempty" doc:"Personal members of request that have been erased since"`
}

// Actor is who asked.
type Actor struct {
	Type string `json:"type" doc:"key, bearer, cli or system; the set is open"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// KeyRef is what an entry keeps of a key.
type KeyRef struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// FileRef is what an entry keeps of a file, also after the file is gone.
type FileRef struct {
	ID       string            `json:"id"`
	Filename string            `json:"filename"`
	Size     int64             `json:"size"`
	Type     string            `json:"type"`
	SHA256   string            `json:"sha256"`
	Purpose  string            `json:"purpose"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// LinkRef is what an entry keeps of a link.
type LinkRef struct {
	ID        string            `json:"id"`
	ExpiresAt *int64            `json:"expires_at" doc:"null: never"`
	Reason    string            `json:"reason,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
}

// EntryRef names an earlier entry, and fields of it.
type EntryRef struct {
	ID     string   `json:"id"`
	Seq    int64    `json:"seq"`
	Fields []string `json:"fields,omitempty" doc:"JSON Pointers into its leaf"`
}

// LedgerRef is what an entry says of the log itself.
type LedgerRef struct {
	Key string `json:"key" doc:"The verifier key from here on, in the text form of C2SP signed-note"`
}

// Request is what an entry keeps of the request that asked.
type Request struct {
	ID           string `json:"id,omitempty"`
	Method       string `json:"method,omitempty"`
	Route        string `json:"route,omitempty" doc:"The pattern that matched, never the path"`
	Range        string `json:"range,omitempty"`
	IP           string `json:"ip,omitempty" doc:"The peer's address"`
	ForwardedFor string `json:"forwarded_for,omitempty" doc:"What proxies claim, unchecked"`
	UserAgent    string `json:"user_agent,omitempty"`
	RefererHost  string `json:"referer_host,omitempty"`
}
