package api

// AuditEntry is one entry of the audit log.
type AuditEntry struct {
	ID         string          `json:"id" doc:"Id of the entry"`
	Object     string          `json:"object" enum:"audit_entry" doc:"Always audit_entry"`
	Seq        int64           `json:"seq" doc:"Position in the log of this account and mode: 0, 1, 2, … without gaps"`
	Created    int64           `json:"created" doc:"Time of the action in unix seconds"`
	Time       string          `json:"time" doc:"RFC 3339, UTC, microseconds"`
	Action     string          `json:"action" doc:"The action, such as link.redeemed. More values may be added"`
	Outcome    string          `json:"outcome" enum:"allowed,refused" doc:"allowed or refused"`
	Livemode   bool            `json:"livemode" doc:"Mode: true for live, false for test"`
	Actor      Actor           `json:"actor" doc:"The party that made the request"`
	Key        *KeyRef         `json:"key,omitempty" doc:"The key that was changed, or that minted the link"`
	File       *FileRef        `json:"file,omitempty" doc:"The file of the action, as it was then"`
	Link       *LinkRef        `json:"link,omitempty" doc:"The link of the action, as it was then"`
	Entry      *EntryRef       `json:"entry,omitempty" doc:"The earlier entry that the action concerns"`
	Erasure    *ErasureRef     `json:"erasure,omitempty" doc:"In audit.erasure_begun and audit.erased: what is or was erased"`
	Ledger     *LedgerRef      `json:"ledger,omitempty" doc:"The change to the log itself"`
	Export     string          `json:"export,omitempty" doc:"The exported data: entries or disclosures"`
	Report     *ReportRef      `json:"report,omitempty" doc:"In audit.reported: the report that was made"`
	Request    *Request        `json:"request,omitempty" doc:"The HTTP request"`
	Delivery   *Delivery       `json:"delivery,omitempty" doc:"In link.redeemed: how the file is delivered, and how that ended. Entries of link.delivered from older versions have one too"`
	Deliveries []EndedDelivery `json:"deliveries,omitempty" doc:"In link.delivered: the downloads that have ended, in the order of their ends"`
	Recipient  *RecipientRef   `json:"recipient,omitempty" doc:"The person who was sent something, proved an address, or downloaded the file"`
	Mail       *MailRef        `json:"mail,omitempty" doc:"In link.mail_failed: the mail that could not be delivered"`
	Session    *SessionRef     `json:"session,omitempty" doc:"In session.created and session.ended: the session of the console"`
	Terms      string          `json:"terms_sha256,omitempty" doc:"In link.redeemed: SHA-256 of the accepted terms, in lower-case hexadecimal"`
	Refusal    string          `json:"refusal,omitempty" doc:"The rule that refused the request"`
	Repeats    int64           `json:"repeats,omitempty" doc:"Number of equal refusals since the previous entry that were not recorded as entries of their own"`
	Redacted   []string        `json:"redacted,omitempty" doc:"Personal members that were erased later, as JSON Pointers"`
	Damaged    []string        `json:"damaged,omitempty" doc:"Personal members whose stored value does not match the log's commitment. They are omitted, and the log does not verify"`
}

// Actor is the party that made a request.
type Actor struct {
	Type   string `json:"type" doc:"key, bearer, cli, system or person. More values may be added"`
	ID     string `json:"id,omitempty" doc:"Id, if it has one. Of a person: the subject at the issuer"`
	Name   string `json:"name,omitempty" doc:"Name at the time. Of a person, it is personal and can be erased"`
	Issuer string `json:"issuer,omitempty" doc:"Of a person: URL of the OpenID Connect provider"`
	Email  string `json:"email,omitempty" doc:"Of a person: the e-mail address that the provider gave. It can be erased"`
}

// SessionRef is a session of the console in an entry.
type SessionRef struct {
	ID        string   `json:"id" doc:"Id of the session"`
	ExpiresAt *int64   `json:"expires_at" doc:"Time of expiry in unix seconds"`
	Key       string   `json:"key,omitempty" doc:"Id of the API key that signed in. The session has the scopes of the key"`
	Issuer    string   `json:"issuer,omitempty" doc:"If a person signed in: URL of the OpenID Connect provider"`
	Subject   string   `json:"subject,omitempty" doc:"If a person signed in: their id at the provider"`
	Scopes    []string `json:"scopes,omitempty" doc:"If a person signed in: the scopes of the session"`
}

// Before holds the members that a change replaced, with their old values; null
// for a member that was not set. A member in Before that is absent beside it
// was removed.
type Before map[string]any

// KeyRef is a key at the time of an entry. Entries of key.created, key.updated,
// key.rotated and key.revoked also hold its rights, and always scopes.
type KeyRef struct {
	ID                 string    `json:"id" doc:"Id of the key"`
	Name               string    `json:"name,omitempty" doc:"Name at the time"`
	Scopes             []string  `json:"scopes,omitempty" doc:"Scopes after the action. Only in key.created, key.updated, key.rotated and key.revoked"`
	ExpiresAt          *int64    `json:"expires_at,omitempty" doc:"Time of expiry in unix seconds. If scopes is present, its absence means never"`
	MaxLinkLifetime    *Lifetime `json:"max_link_lifetime,omitempty" doc:"Seconds, or \"none\". If scopes is present, its absence means the server's default"`
	OldSecretExpiresAt *int64    `json:"old_secret_expires_at,omitempty" doc:"In key.rotated: when the old secret expires, in unix seconds"`
	Before             Before    `json:"before,omitempty" doc:"In key.updated: the replaced members with their old values; null for a member that was not set"`
}

// FileRef is a file at the time of an entry. It remains after the file is
// deleted. Entries of file.created, file.updated, file.held, file.released,
// file.deleted and file.retained_out also hold title, hold, linked resources and
// the end of the retention, and always held.
type FileRef struct {
	ID       string            `json:"id" doc:"Id of the file"`
	Filename string            `json:"filename" doc:"Name at the time; empty if it was erased"`
	Size     int64             `json:"size" doc:"Size in bytes"`
	Type     string            `json:"type" doc:"Media type"`
	SHA256   string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Purpose  string            `json:"purpose" doc:"Purpose at the time"`
	Metadata map[string]string `json:"metadata,omitempty" doc:"Metadata at the time"`

	Title           string     `json:"title,omitempty" doc:"Title at the time. Only if held is present"`
	Held            *bool      `json:"held,omitempty" doc:"Whether the file is under hold. Only in file.created, file.updated, file.held, file.released, file.deleted and file.retained_out"`
	LinkedResources []Resource `json:"linked_resources,omitempty" doc:"Linked resources at the time. Only if held is present"`
	ExpiresAt       *int64     `json:"expires_at,omitempty" doc:"When the retention ends, as seconds since 1970; absent if it never does. Only if held is present. Older versions did not record it"`
	Before          Before     `json:"before,omitempty" doc:"In file.updated, file.held and file.released: the replaced members with their old values; null for a member that was not set"`
	Found           *Found     `json:"found,omitempty" doc:"In file.damaged: what was found instead of the bytes. The size and sha256 beside it are the expected ones"`
}

// Found describes what is stored instead of the bytes of a file.
type Found struct {
	Problem string `json:"problem" doc:"missing: nothing is stored. unreadable: the stored bytes cannot be read. size: the number of bytes is wrong. sha256: the size is right and the digest wrong. More values may be added"`
	Size    *int64 `json:"size,omitempty" doc:"Size in bytes; absent if unknown"`
	SHA256  string `json:"sha256,omitempty" doc:"SHA-256 of the bytes found, in lower-case hexadecimal, if their size is right"`
}

// LinkRef is a link at the time of an entry. Entries of link.created,
// link.updated and link.revoked also hold its limits, and always has_password.
type LinkRef struct {
	ID        string            `json:"id" doc:"Id of the link"`
	ExpiresAt *int64            `json:"expires_at" doc:"Time of expiry in unix seconds; null: never"`
	Reason    string            `json:"reason,omitempty" doc:"Why the file is shared"`
	Metadata  map[string]string `json:"metadata,omitempty" doc:"Metadata at the time"`

	MaxDownloads *int64   `json:"max_downloads,omitempty" doc:"Download limit. If has_password is present, its absence means no limit"`
	HasPassword  *bool    `json:"has_password,omitempty" doc:"Whether a download requires a password. Only in link.created, link.updated and link.revoked"`
	AllowedIPs   []string `json:"allowed_ips,omitempty" doc:"Networks (CIDR) that may use the link. If has_password is present, its absence means any"`
	Disposition  string   `json:"disposition,omitempty" doc:"attachment or inline. Only if has_password is present"`
	Filename     string   `json:"filename,omitempty" doc:"File name of downloads. If has_password is present, its absence means the file's own name"`

	Recipient         *Recipient `json:"recipient,omitempty" doc:"The person that the link is for. This and the following are only in link.created, link.updated and link.revoked, and absent if they are not set"`
	AllowedRecipients []string   `json:"allowed_recipients,omitempty" doc:"Who else may open the link"`
	Verification      string     `json:"verification,omitempty" doc:"email: people prove their address. Absent: they do not"`
	Message           string     `json:"message,omitempty" doc:"From the sender to the recipient"`
	TermsSHA256       string     `json:"terms_sha256,omitempty" doc:"SHA-256 of the terms to be accepted, in lower-case hexadecimal"`
	Notify            *Notify    `json:"notify,omitempty" doc:"Who is told by mail of the use of the link"`
	Page              string     `json:"page,omitempty" doc:"always or never. Absent: auto"`
	Language          string     `json:"language,omitempty" doc:"Language of the page and of mails"`
	Erased            bool       `json:"erased,omitempty" doc:"true: a redaction erased the people, and nobody is admitted"`

	Before Before `json:"before,omitempty" doc:"In link.updated: the replaced members with their old values; null for a member that was not set"`
}

// RecipientRef is the person of an entry.
type RecipientRef struct {
	Email        string `json:"email,omitempty" doc:"E-mail address"`
	Name         string `json:"name,omitempty" doc:"Name, if the link has one"`
	Verification string `json:"verification,omitempty" doc:"In link.redeemed: id of the link.verified entry that records the proof of the address"`
}

// MailRef is a mail that could not be delivered.
type MailRef struct {
	Kind    string `json:"kind" doc:"code, link, first_download, every_download, refused or unopened. More values may be added"`
	Problem string `json:"problem,omitempty" doc:"The last answer of the mail server, or why there was none"`
}

// EntryRef identifies an earlier entry, and fields of it.
type EntryRef struct {
	ID     string   `json:"id" doc:"Id of the entry"`
	Seq    int64    `json:"seq" doc:"Position in the log"`
	Fields []string `json:"fields,omitempty" doc:"JSON Pointers into the entry's leaf"`
}

// ErasureRef describes an erasure from many entries. The counts are in
// audit.erased only.
type ErasureRef struct {
	ID       string   `json:"id" doc:"Id of the erasure"`
	By       string   `json:"by" doc:"What the entries have in common: recipient, client_ip, file_id, link_id or key_id. More values may be added"`
	ObjectID string   `json:"object_id,omitempty" doc:"Id of the file, link or key. The address of a person is not recorded"`
	Fields   []string `json:"fields" nullable:"false" doc:"Names of the erased fields"`
	Entries  *int64   `json:"entries,omitempty" doc:"Number of entries that lost a field"`
	Links    *int64   `json:"links,omitempty" doc:"Number of links that lost a field"`
	Files    *int64   `json:"files,omitempty" doc:"Number of files that lost a field"`
}

// ReportRef describes a report that was made.
type ReportRef struct {
	Entries int64             `json:"entries" doc:"Number of entries in the report"`
	Filter  map[string]string `json:"filter,omitempty" doc:"What was asked for, by the names of the parameters. Values that were erased later are empty"`
	SHA256  string            `json:"sha256" doc:"Salted digest of what the report shows, in lower-case hexadecimal"`
}

// LedgerRef describes a change to the log itself.
type LedgerRef struct {
	Key     string `json:"key,omitempty" doc:"In ledger.key_rotated: the new verifier key, in the text form of C2SP signed-note"`
	Log     string `json:"log,omitempty" doc:"In ledger.rolled_back: account and mode of the log that lost entries"`
	Size    *int64 `json:"size,omitempty" doc:"In ledger.rolled_back: number of signed entries that remain"`
	WasSize *int64 `json:"was_size,omitempty" doc:"In ledger.rolled_back: number of signed entries before"`
	WasRoot string `json:"was_root,omitempty" doc:"In ledger.rolled_back: root of the tree before, in base64"`
}

// Request is the HTTP request of an entry.
type Request struct {
	ID           string `json:"id,omitempty" doc:"The X-Request-Id of the response"`
	Method       string `json:"method,omitempty" doc:"HTTP method"`
	Route        string `json:"route,omitempty" doc:"The pattern of the route, never the path"`
	Range        string `json:"range,omitempty" doc:"The Range header"`
	IP           string `json:"ip,omitempty" doc:"Address of the peer, which may be a proxy"`
	ClientIP     string `json:"client_ip,omitempty" doc:"Address used for the decision: the client's as reported by trusted proxies, or else the peer's; absent if unknown"`
	ForwardedFor string `json:"forwarded_for,omitempty" doc:"The X-Forwarded-For header, unverified"`
	UserAgent    string `json:"user_agent,omitempty" doc:"The User-Agent header"`
	RefererHost  string `json:"referer_host,omitempty" doc:"Host of the Referer header"`
}

// Delivery describes the delivery of a file. Mode and Status are decided with the
// redemption. The other members say how the download ended. They are recorded later,
// in the entry that Entry names, and are absent until then; so they stay if Sluice
// does not send the bytes, or crashed while it did.
type Delivery struct {
	Mode       string `json:"mode" doc:"Sender of the bytes. proxy: Sluice. redirect: the bucket, which Sluice does not observe. More values may be added"`
	Status     int    `json:"status" doc:"HTTP status of the response"`
	Bytes      *int64 `json:"bytes,omitempty" doc:"Number of file bytes that were written to the operating system's connection. Only the client knows how many arrived. Absent until the download has ended"`
	Complete   *bool  `json:"complete,omitempty" doc:"Whether all bytes of the response were written to the operating system's connection. It does not mean that they arrived"`
	Returned   bool   `json:"returned,omitempty" doc:"true: Sluice failed to send the file, so the download does not count"`
	DurationMS *int64 `json:"duration_ms,omitempty" doc:"Time from the decision to the end in milliseconds"`
	Entry      string `json:"entry,omitempty" doc:"Id of the link.delivered entry that records how the download ended"`
}

// EndedDelivery records how one download ended. Only the client knows how many
// bytes arrived.
type EndedDelivery struct {
	Bytes      int64  `json:"bytes" doc:"Number of file bytes that were written to the operating system's connection"`
	Complete   bool   `json:"complete" doc:"Whether all bytes of the response were written to the operating system's connection"`
	DurationMS int64  `json:"duration_ms" doc:"Time from the decision to the end in milliseconds"`
	File       string `json:"file" doc:"Id of the file"`
	Link       string `json:"link" doc:"Id of the link"`
	Returned   bool   `json:"returned,omitempty" doc:"true: Sluice failed to send the file, so the download does not count"`
	Seq        int64  `json:"seq" doc:"Position in the log of the link.redeemed entry of the download"`
}
