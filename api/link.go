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
}

// NewFileLink is a NewLink with its file.
type NewFileLink struct {
	FileID string `json:"file_id" doc:"Id of the file"`
	NewLink
}

// NewLinkBatch describes one link each to several files, with the same
// settings.
type NewLinkBatch struct {
	FileIDs []string `json:"file_ids" nullable:"false" doc:"Ids of 1 to 100 files"`
	NewLink
}

// LinkBatch is the result of a NewLinkBatch: a link for each file that exists,
// in the order of the request.
type LinkBatch struct {
	Object string   `json:"object" enum:"file_link_batch" doc:"Always file_link_batch"`
	Data   []Link   `json:"data" nullable:"false" doc:"The links, in the order of file_ids"`
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
}
