package api

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID       string     `json:"id" doc:"Id of the entry"`
	Object   string     `json:"object" enum:"audit_entry" doc:"Always audit_entry"`
	Seq      int64      `json:"seq" doc:"Place in the log of this account and mode: 0, 1, 2, … without a gap"`
	Created  int64      `json:"created" doc:"When it was done, in unix seconds"`
	Time     string     `json:"time" doc:"RFC 3339, UTC, microseconds"`
	Action   string     `json:"action" doc:"What was done, such as link.redeemed; the set is open"`
	Outcome  string     `json:"outcome" enum:"allowed,refused" doc:"Whether it was allowed"`
	Livemode bool       `json:"livemode" doc:"Mode: true for live, false for test"`
	Actor    Actor      `json:"actor" doc:"Who asked"`
	Key      *KeyRef    `json:"key,omitempty" doc:"The key this concerns: the one changed, or the one that minted the link"`
	File     *FileRef   `json:"file,omitempty" doc:"The file this concerns, as it was"`
	Link     *LinkRef   `json:"link,omitempty" doc:"The link this concerns, as it was"`
	Entry    *EntryRef  `json:"entry,omitempty" doc:"The earlier entry that this is about"`
	Ledger   *LedgerRef `json:"ledger,omitempty" doc:"What the log goes on with"`
	Export   string     `json:"export,omitempty" doc:"What was exported: entries or disclosures"`
	Request  *Request   `json:"request,omitempty" doc:"The request that asked"`
	Delivery *Delivery  `json:"delivery,omitempty" doc:"How the file leaves, and in link.delivered how it left"`
	Refusal  string     `json:"refusal,omitempty" doc:"The rule that refused"`
	Repeats  int64      `json:"repeats,omitempty" doc:"How often the same was refused for the same reason since the entry before, without an entry of its own"`
	Redacted []string   `json:"redacted,omitempty" doc:"Personal members of request that have been erased since"`
	Damaged  []string   `json:"damaged,omitempty" doc:"Personal members of request whose stored value is not the one that the log commits to; they are left out, and the log does not verify"`
}

// Actor is who asked.
type Actor struct {
	Type string `json:"type" doc:"key, bearer, cli or system; the set is open"`
	ID   string `json:"id,omitempty" doc:"Id, where it has one"`
	Name string `json:"name,omitempty" doc:"Name then"`
}

// Before is what a change replaced: the members beside it that the change
// changed, with the values they had, null for one that was not set. A member
// that is in Before and no longer beside it was lifted.
type Before map[string]any

// KeyRef is what an entry keeps of a key. Entries of key.created, key.updated,
// key.rotated and key.revoked tell its rights too; those always have scopes.
type KeyRef struct {
	ID                 string    `json:"id" doc:"Id of the key"`
	Name               string    `json:"name,omitempty" doc:"Name then"`
	Scopes             []string  `json:"scopes,omitempty" doc:"What it may do from then on; only in entries of the key's creation, change, rotation and end"`
	ExpiresAt          *int64    `json:"expires_at,omitempty" doc:"Unix seconds; where scopes are told, its absence means never"`
	MaxLinkLifetime    *Lifetime `json:"max_link_lifetime,omitempty" doc:"Seconds, or \"none\"; where scopes are told, its absence means the server's value"`
	OldSecretExpiresAt *int64    `json:"old_secret_expires_at,omitempty" doc:"With key.rotated: when the secret before it ends, in unix seconds"`
	Before             Before    `json:"before,omitempty" doc:"With key.updated: the members that the change replaced, with the values they had; null for one that was not set"`
}

// FileRef is what an entry keeps of a file, also after the file is gone.
// Entries of file.created, file.updated, file.held, file.released, file.deleted
// and file.retained_out tell title, hold and linked resources too; those always
// have held.
type FileRef struct {
	ID       string            `json:"id" doc:"Id of the file"`
	Filename string            `json:"filename" doc:"Its name then"`
	Size     int64             `json:"size" doc:"Bytes"`
	Type     string            `json:"type" doc:"Media type"`
	SHA256   string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Purpose  string            `json:"purpose" doc:"What it was for"`
	Metadata map[string]string `json:"metadata,omitempty" doc:"Its metadata then"`

	Title           string     `json:"title,omitempty" doc:"What people called it; only where held is told"`
	Held            *bool      `json:"held,omitempty" doc:"Whether it was under hold; only in entries of the file's creation, change, hold, release and deletion"`
	LinkedResources []Resource `json:"linked_resources,omitempty" doc:"What it belonged to; only where held is told"`
	Before          Before     `json:"before,omitempty" doc:"With file.updated, file.held and file.released: the members that the change replaced, with the values they had; null for one that was not set"`
	Found           *Found     `json:"found,omitempty" doc:"With file.damaged: what was found in place of the bytes; size and sha256 beside it say what should be stored"`
}

// Found is what was found in place of the bytes that a file should have.
type Found struct {
	Problem string `json:"problem" doc:"missing: nothing is stored; unreadable: what is stored cannot be read; size: more or fewer bytes are stored; sha256: as many bytes are stored, and others. The set is open"`
	Size    *int64 `json:"size,omitempty" doc:"Bytes; absent where they could not be counted"`
	SHA256  string `json:"sha256,omitempty" doc:"SHA-256 of the bytes found, lower-case hexadecimal, where they have the right size"`
}

// LinkRef is what an entry keeps of a link. Entries of link.created,
// link.updated and link.revoked tell its limits too; those always have
// has_password.
type LinkRef struct {
	ID        string            `json:"id" doc:"Id of the link"`
	ExpiresAt *int64            `json:"expires_at" doc:"null: never"`
	Reason    string            `json:"reason,omitempty" doc:"Why the file leaves"`
	Metadata  map[string]string `json:"metadata,omitempty" doc:"Its metadata then"`

	MaxDownloads *int64   `json:"max_downloads,omitempty" doc:"How often the file may be downloaded; where has_password is told, its absence means no limit"`
	HasPassword  *bool    `json:"has_password,omitempty" doc:"Whether a bearer must send a password; only in entries of the link's creation, change and end"`
	AllowedIPs   []string `json:"allowed_ips,omitempty" doc:"Networks (CIDR) it may be used from; where has_password is told, its absence means any"`
	Disposition  string   `json:"disposition,omitempty" doc:"attachment or inline; only where has_password is told"`
	Filename     string   `json:"filename,omitempty" doc:"What the download is called; where has_password is told, its absence means the file's own name"`
	Before       Before   `json:"before,omitempty" doc:"With link.updated: the members that the change replaced, with the values they had; null for one that was not set"`
}

// EntryRef names an earlier entry, and fields of it.
type EntryRef struct {
	ID     string   `json:"id" doc:"Id of the entry"`
	Seq    int64    `json:"seq" doc:"Its place in the log"`
	Fields []string `json:"fields,omitempty" doc:"JSON Pointers into its leaf"`
}

// LedgerRef is what an entry says of the log itself.
type LedgerRef struct {
	Key     string `json:"key,omitempty" doc:"With ledger.key_rotated: the verifier key from here on, in the text form of C2SP signed-note"`
	Log     string `json:"log,omitempty" doc:"With ledger.rolled_back: the account and mode of the log that has lost entries"`
	Size    *int64 `json:"size,omitempty" doc:"With ledger.rolled_back: the number of signed entries that it has"`
	WasSize *int64 `json:"was_size,omitempty" doc:"With ledger.rolled_back: the number of signed entries that it had"`
	WasRoot string `json:"was_root,omitempty" doc:"With ledger.rolled_back: the root of the tree over those, in base64"`
}

// Request is what an entry keeps of the request that asked.
type Request struct {
	ID           string `json:"id,omitempty" doc:"The X-Request-Id of its answer"`
	Method       string `json:"method,omitempty" doc:"HTTP method"`
	Route        string `json:"route,omitempty" doc:"The pattern that matched, never the path"`
	Range        string `json:"range,omitempty" doc:"The Range that was asked for"`
	IP           string `json:"ip,omitempty" doc:"The peer's address, which may be a proxy's"`
	ClientIP     string `json:"client_ip,omitempty" doc:"The address that was decided on: that of the client as trusted proxies name it, or else the peer's; absent where it is not known"`
	ForwardedFor string `json:"forwarded_for,omitempty" doc:"What proxies claim, unchecked"`
	UserAgent    string `json:"user_agent,omitempty" doc:"User-Agent"`
	RefererHost  string `json:"referer_host,omitempty" doc:"The host of the Referer"`
}

// Delivery is how a file leaves. What was sent stands in link.delivered only: it
// is what was handed to the connection, and what of it arrived, only the client knows.
type Delivery struct {
	Mode       string `json:"mode" doc:"Who sends the bytes: proxy is Sluice itself, redirect the store of the bytes, whose sending is not observed; the set is open"`
	Status     int    `json:"status" doc:"HTTP status of the answer"`
	Bytes      *int64 `json:"bytes,omitempty" doc:"Bytes of the file that were handed to the operating system's connection. How many of them arrived, only the client knows"`
	Complete   *bool  `json:"complete,omitempty" doc:"Whether all bytes that the answer was to carry were handed to the operating system's connection. It does not say that they arrived"`
	Returned   bool   `json:"returned,omitempty" doc:"true: Sluice failed to send the file, and the download was given back, so that it does not count"`
	DurationMS *int64 `json:"duration_ms,omitempty" doc:"From the decision to the end, in milliseconds"`
}
