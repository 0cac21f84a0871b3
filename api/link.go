package api

// Link is a time-limited right to download one file.
type Link struct {
	ID             string            `json:"id" doc:"Id of the link"`
	Object         string            `json:"object" enum:"file_link" doc:"Always file_link"`
	FileID         string            `json:"file_id" doc:"Id of the file"`
	URL            string            `json:"url" doc:"A secret: anyone who has the URL can download the file"`
	ExpiresAt      *int64            `json:"expires_at" doc:"Time of expiry in unix seconds; null: never"`
	Expired        bool              `json:"expired" doc:"Whether the link has expired"`
	RevokedAt      *int64            `json:"revoked_at" doc:"Time of revocation in unix seconds; null: not revoked"`
	Reason         *string           `json:"reason" doc:"Why the file is shared"`
	Metadata       map[string]string `json:"metadata" doc:"Your own data: texts by key"`
	Disposition    string            `json:"disposition" enum:"attachment,inline" doc:"Whether a browser saves the file or shows it"`
	Filename       *string           `json:"filename" doc:"File name of downloads; null for the file's own name"`
	MaxDownloads   *int64            `json:"max_downloads" doc:"Download limit; null: none"`
	Downloads      int64             `json:"downloads" doc:"Number of downloads"`
	LastRedeemedAt *int64            `json:"last_redeemed_at" doc:"Time of the last download in unix seconds; null: none yet"`
	HasPassword    bool              `json:"has_password" doc:"Whether a download requires a password"`
	AllowedIPs     []string          `json:"allowed_ips" nullable:"false" doc:"Networks (CIDR) that may use the link; empty for any"`
	Created        int64             `json:"created" doc:"Time of creation in unix seconds"`
	Updated        int64             `json:"updated" doc:"Time of the last change through the API in unix seconds"`
	Livemode       bool              `json:"livemode" doc:"Mode: true for live, false for test"`

	Recipient         *Recipient `json:"recipient,omitempty" doc:"The person that the link is for; absent: nobody in particular"`
	AllowedRecipients []string   `json:"allowed_recipients" nullable:"false" doc:"Who else may open the link, once the address is proved: addresses, or *@ and a domain"`
	Verification      string     `json:"verification" enum:"none,email" doc:"How people prove their address before a download"`
	Message           *string    `json:"message" doc:"From the sender to the recipient"`
	Terms             *string    `json:"terms" doc:"Terms to be accepted before a download"`
	Notify            *Notify    `json:"notify,omitempty" doc:"Who is told by mail of the use of the link; absent: nobody"`
	Page              string     `json:"page" enum:"auto,always,never" doc:"When a browser gets a page before the bytes"`
	Language          *string    `json:"language" doc:"Language of the page and of mails; null: the reader's"`
}

// Recipient is the person that a link is for.
type Recipient struct {
	Email string `json:"email" doc:"E-mail address, up to 254 bytes. It is returned in lower case, with its domain in ASCII (RFC 5890)"`
	Name  string `json:"name,omitempty" doc:"Name, up to 200 characters"`
}

// Notify says who is told by mail of the use of a link.
type Notify struct {
	Email string   `json:"email" doc:"E-mail address, up to 254 bytes"`
	On    []string `json:"on" nullable:"false" doc:"The occasions: first_download, every_download, refused, and unopened, which is 24 hours before the end of a link that was not opened, or half its lifetime if that is shorter"`
}

// NewLink describes a link to mint. ExpiresInSeconds and ExpiresAt exclude each
// other. Without either, the lifetime is an hour.
type NewLink struct {
	ExpiresInSeconds *Lifetime         `json:"expires_in_seconds,omitempty" doc:"Lifetime from now in seconds, 3600 by default; \"none\" for a link without expiry, which only some keys may mint"`
	ExpiresAt        *int64            `json:"expires_at,omitempty" doc:"Time of expiry in unix seconds"`
	Reason           string            `json:"reason,omitempty" doc:"Why the file is shared, up to 500 characters"`
	Metadata         map[string]string `json:"metadata,omitempty" doc:"Up to 50 keys of up to 40 characters, with values of up to 500"`
	MaxDownloads     *int64            `json:"max_downloads,omitempty" minimum:"1" doc:"Download limit"`
	Password         *string           `json:"password,omitempty" doc:"Password that a download requires, 8 to 200 characters; stored as a hash"`
	AllowedIPs       []string          `json:"allowed_ips,omitempty" doc:"Networks (CIDR) or addresses that may use the link, up to 100"`
	Disposition      string            `json:"disposition,omitempty" enum:"attachment,inline" doc:"Whether a browser saves the file (attachment, the default) or shows it (inline). inline is refused for types that may contain script, such as text/html. It is allowed for text/plain, for application/pdf if the file begins with %PDF-, for PNG, JPEG, GIF, WebP and BMP images, and for WAV, Ogg, MP4 and WebM audio and video"`
	Filename         string            `json:"filename,omitempty" doc:"File name of downloads, up to 255 characters"`

	Recipient         *Recipient `json:"recipient,omitempty" doc:"The person that the link is for"`
	AllowedRecipients []string   `json:"allowed_recipients,omitempty" doc:"Who else may open the link, once the address is proved: up to 20 addresses, or *@ and a domain, such as *@bank.example"`
	Verification      string     `json:"verification,omitempty" enum:"none,email" doc:"email: people prove their address by a code that is mailed to them. It is the default if recipient or allowed_recipients is set, and needs a mail server"`
	Send              bool       `json:"send,omitempty" doc:"Mail the link to its recipient"`
	Message           string     `json:"message,omitempty" doc:"From the sender to the recipient, up to 2000 characters. It is shown on the page and in the mail"`
	Terms             string     `json:"terms,omitempty" doc:"Terms to be accepted before a download, up to 5000 characters. The audit log keeps their SHA-256"`
	Notify            *Notify    `json:"notify,omitempty" doc:"Who is told by mail of the use of the link"`
	Page              string     `json:"page,omitempty" enum:"auto,always,never" doc:"When a browser gets a page before the bytes. auto: where something must be asked. always: at every navigation. never: never, which is refused if something must be asked. The default is that of the file's purpose, or else auto"`
	Language          string     `json:"language,omitempty" doc:"Language of the page and of mails: en, de, fr, es, it, nl, pt, pl, ja or zh. By default, that of the reader"`
}

// NewFileLink is a NewLink with its file.
type NewFileLink struct {
	FileID string `json:"file_id" doc:"Id of the file"`
	NewLink
}

// NewLinkBatch describes one link each to several files, or several people, with
// the same settings.
type NewLinkBatch struct {
	FileIDs    []string    `json:"file_ids" nullable:"false" doc:"Ids of 1 to 100 files"`
	Recipients []Recipient `json:"recipients,omitempty" doc:"Up to 100 people. Each gets a link of their own to each file, up to 100 links in all. It excludes recipient"`
	NewLink
}

// LinkBatch is the result of a NewLinkBatch: a link for each file that exists,
// and each recipient, in the order of the request.
type LinkBatch struct {
	Object string   `json:"object" enum:"file_link_batch" doc:"Always file_link_batch"`
	Data   []Link   `json:"data" nullable:"false" doc:"The links, in the order of file_ids, and of recipients for each"`
	Absent []string `json:"absent" nullable:"false" doc:"Ids of files that do not exist"`
}

// LinkChange changes a link. Omitted members keep their values.
// ExpiresInSeconds and ExpiresAt exclude each other.
type LinkChange struct {
	ExpiresInSeconds *Lifetime          `json:"expires_in_seconds,omitempty" doc:"Lifetime from now in seconds, or \"none\""`
	ExpiresAt        Optional[int64]    `json:"expires_at,omitzero" doc:"Time of expiry in unix seconds; null: never"`
	Reason           Optional[string]   `json:"reason,omitzero" doc:"Why the file is shared, up to 500 characters; null or \"\" removes it"`
	Metadata         map[string]*string `json:"metadata,omitempty" doc:"Merged with the current metadata; null or \"\" removes a key"`
	MaxDownloads     Optional[int64]    `json:"max_downloads,omitzero" minimum:"1" doc:"Download limit, including earlier downloads; null removes it"`
	AllowedIPs       *[]string          `json:"allowed_ips,omitempty" doc:"Networks (CIDR) or addresses, up to 100; empty for any"`

	AllowedRecipients *[]string        `json:"allowed_recipients,omitempty" doc:"Who else may open the link, up to 20; only for a link whose verification is email. recipient and verification cannot be changed"`
	Message           Optional[string] `json:"message,omitzero" doc:"From the sender to the recipient, up to 2000 characters; null or \"\" removes it"`
	Terms             Optional[string] `json:"terms,omitzero" doc:"Terms to be accepted before a download, up to 5000 characters; null or \"\" removes them"`
	Notify            Optional[Notify] `json:"notify,omitzero" doc:"Who is told by mail of the use of the link; null: nobody"`
	Page              string           `json:"page,omitempty" enum:"auto,always,never" doc:"When a browser gets a page before the bytes"`
	Language          Optional[string] `json:"language,omitzero" doc:"Language of the page and of mails; null or \"\" for the reader's"`
}
