package api

// Link is a time-limited right to read one file.
type Link struct {
	ID             string            `json:"id" doc:"Id of the link"`
	Object         string            `json:"object" enum:"file_link" doc:"Always file_link"`
	FileID         string            `json:"file_id" doc:"Id of the file it leads to"`
	URL            string            `json:"url" doc:"Whoever has it can read the file"`
	ExpiresAt      *int64            `json:"expires_at" doc:"null: never"`
	Expired        bool              `json:"expired" doc:"Whether its time has run out"`
	RevokedAt      *int64            `json:"revoked_at" doc:"When it was ended before its time"`
	Reason         *string           `json:"reason" doc:"Why the file leaves"`
	Metadata       map[string]string `json:"metadata" doc:"Your own notes: texts by key"`
	Disposition    string            `json:"disposition" enum:"attachment,inline" doc:"Whether a browser saves the file or shows it"`
	Filename       *string           `json:"filename" doc:"What the download is called; null for the file's own name"`
	MaxDownloads   *int64            `json:"max_downloads" doc:"null: no limit"`
	Downloads      int64             `json:"downloads" doc:"How often it was redeemed"`
	LastRedeemedAt *int64            `json:"last_redeemed_at" doc:"When it was last redeemed; null: not yet"`
	HasPassword    bool              `json:"has_password" doc:"Whether a bearer must send a password too"`
	AllowedIPs     []string          `json:"allowed_ips" nullable:"false" doc:"Networks (CIDR) it may be used from; empty for any"`
	Created        int64             `json:"created" doc:"When it was made, in unix seconds"`
	Updated        int64             `json:"updated" doc:"When it was last changed by its owner, in unix seconds"`
	Livemode       bool              `json:"livemode" doc:"Mode: true for live, false for test"`
}

// NewLink asks for a link. ExpiresInSeconds and ExpiresAt exclude each other;
// with neither, the link lives for an hour.
type NewLink struct {
	ExpiresInSeconds *Lifetime         `json:"expires_in_seconds,omitempty" doc:"Lifetime from now, 3600 when left out; \"none\" for a link without end, which only some keys may mint"`
	ExpiresAt        *int64            `json:"expires_at,omitempty" doc:"Unix seconds"`
	Reason           string            `json:"reason,omitempty" doc:"Why the file leaves, up to 500 characters"`
	Metadata         map[string]string `json:"metadata,omitempty" doc:"Up to 50 keys of up to 40 characters, with values of up to 500"`
	MaxDownloads     *int64            `json:"max_downloads,omitempty" minimum:"1" doc:"How often the file may be downloaded"`
	Password         *string           `json:"password,omitempty" doc:"What a bearer must send too, 8 to 200 characters; kept as a hash"`
	AllowedIPs       []string          `json:"allowed_ips,omitempty" doc:"Networks (CIDR) or addresses it may be used from, up to 100"`
	Disposition      string            `json:"disposition,omitempty" enum:"attachment,inline" doc:"Whether a browser saves the file (attachment, the default) or shows it (inline). Only types without script are ever shown: text/plain, PNG, JPEG, GIF, WebP and BMP images, and WAV, Ogg, MP4 and WebM sound and film. For any other, such as application/pdf, inline is refused"`
	Filename         string            `json:"filename,omitempty" doc:"What the download is called, up to 255 characters"`
}

// NewFileLink asks for a link to the file it names.
type NewFileLink struct {
	FileID string `json:"file_id" doc:"Id of the file it leads to"`
	NewLink
}

// NewLinkBatch asks for one link of a kind to each of many files.
type NewLinkBatch struct {
	FileIDs []string `json:"file_ids" nullable:"false" doc:"1 to 100 ids of files"`
	NewLink
}

// LinkBatch is what a batch made: a link for each file that exists, in the
// order asked for.
type LinkBatch struct {
	Object string   `json:"object" enum:"file_link_batch" doc:"Always file_link_batch"`
	Data   []Link   `json:"data" nullable:"false" doc:"The links, in the order of the files asked for"`
	Absent []string `json:"absent" nullable:"false" doc:"The ids that no file has"`
}

// LinkChange changes a link; what is left out stays as it is. ExpiresInSeconds
// and ExpiresAt exclude each other.
type LinkChange struct {
	ExpiresInSeconds *Lifetime          `json:"expires_in_seconds,omitempty" doc:"Lifetime from now, or \"none\""`
	ExpiresAt        Optional[int64]    `json:"expires_at,omitzero" doc:"Unix seconds; null: never"`
	Reason           Optional[string]   `json:"reason,omitzero" doc:"Why the file leaves, up to 500 characters; null or an empty text removes it"`
	Metadata         map[string]*string `json:"metadata,omitempty" doc:"Merged; null or an empty text removes a key"`
	MaxDownloads     Optional[int64]    `json:"max_downloads,omitzero" minimum:"1" doc:"How often the file may be downloaded in all; null lifts the limit"`
	AllowedIPs       *[]string          `json:"allowed_ips,omitempty" doc:"Networks (CIDR) or addresses, up to 100; empty for any"`
}
