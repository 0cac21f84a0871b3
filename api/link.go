package api

// Link is a time-limited right to read one file.
type Link struct {
	ID             string            `json:"id"`
	Object         string            `json:"object" enum:"file_link"`
	FileID         string            `json:"file_id"`
	URL            string            `json:"url" doc:"Whoever has it can read the file"`
	ExpiresAt      *int64            `json:"expires_at" doc:"null: never"`
	Expired        bool              `json:"expired"`
	RevokedAt      *int64            `json:"revoked_at" doc:"When it was ended before its time"`
	Reason         *string           `json:"reason" doc:"Why the file leaves"`
	Metadata       map[string]string `json:"metadata"`
	Downloads      int64             `json:"downloads"`
	LastRedeemedAt *int64            `json:"last_redeemed_at"`
	Created        int64             `json:"created"`
	Updated        int64             `json:"updated"`
	Livemode       bool              `json:"livemode"`
}

// NewLink asks for a link. ExpiresInSeconds and ExpiresAt exclude each other;
// with neither, the link lives for an hour.
type NewLink struct {
	ExpiresInSeconds *int64            `json:"expires_in_seconds,omitempty" doc:"Lifetime from now"`
	ExpiresAt        *int64            `json:"expires_at,omitempty" doc:"Unix seconds"`
	Reason           string            `json:"reason,omitempty" doc:"Why the file leaves, up to 500 characters"`
	Metadata         map[string]string `json:"metadata,omitempty"`
}

// NewFileLink asks for a link to the file it names.
type NewFileLink struct {
	FileID string `json:"file_id"`
	NewLink
}

// LinkChange changes a link; what is left out stays as it is.
type LinkChange struct {
	ExpiresInSeconds *int64             `json:"expires_in_seconds,omitempty" doc:"Lifetime from now"`
	ExpiresAt        *int64             `json:"expires_at,omitempty" doc:"Unix seconds"`
	Reason           *string            `json:"reason,omitempty" doc:"Why the file leaves, up to 500 characters"`
	Metadata         map[string]*string `json:"metadata,omitempty" doc:"Merged; null or an empty text removes a key"`
}
