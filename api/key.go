package api

// Key is an API credential. Its secret is shown once, in the answer that made it.
type Key struct {
	ID              string    `json:"id" doc:"Id of the key"`
	Object          string    `json:"object" enum:"key" doc:"Always key"`
	Name            string    `json:"name" doc:"Who uses it"`
	Scopes          []string  `json:"scopes" nullable:"false" doc:"What it may do"`
	Livemode        bool      `json:"livemode" doc:"Mode: true for live, false for test"`
	Created         int64     `json:"created" doc:"When it was made, in unix seconds"`
	Updated         int64     `json:"updated" doc:"When it was last changed by its owner, in unix seconds"`
	ExpiresAt       *int64    `json:"expires_at" doc:"null: never"`
	LastUsedAt      *int64    `json:"last_used_at" doc:"Known to about a minute; null: not used yet"`
	RevokedAt       *int64    `json:"revoked_at" doc:"When it was revoked; null: it was not"`
	MaxLinkLifetime *Lifetime `json:"max_link_lifetime" doc:"Longest lifetime of links that it mints, in seconds, or \"none\" when they need not end; null for the server's value"`
	Version         string    `json:"version" doc:"The version of the API that it is pinned to"`
}

// CreatedKey is a key and its secret, which is null when the request was a
// repetition: it is shown once.
type CreatedKey struct {
	Key
	Secret *string `json:"secret" doc:"What to send as Bearer; null in a replayed answer"`
}

// NewKey asks for a key. It grants at most what the key that asks has itself.
type NewKey struct {
	Name            string    `json:"name" doc:"Who uses it, up to 100 characters"`
	Scopes          []string  `json:"scopes,omitempty" doc:"What it may do; all that the asking key may when left out"`
	ExpiresAt       *int64    `json:"expires_at,omitempty" doc:"Unix seconds; when the asking key does when left out"`
	MaxLinkLifetime *Lifetime `json:"max_link_lifetime,omitempty" doc:"Seconds, or \"none\" for links without end; the asking key's own when left out"`
}

// KeyChange changes a key; what is left out stays as it is.
type KeyChange struct {
	Name            *string            `json:"name,omitempty" doc:"Who uses it, up to 100 characters"`
	Scopes          *[]string          `json:"scopes,omitempty" doc:"What it may do; replaces what it may now"`
	ExpiresAt       Optional[int64]    `json:"expires_at,omitzero" doc:"Unix seconds; null: never"`
	MaxLinkLifetime Optional[Lifetime] `json:"max_link_lifetime,omitzero" doc:"Seconds, or \"none\"; null for the server's value"`
}

// KeyRotation asks for a new secret.
type KeyRotation struct {
	OverlapSeconds int64 `json:"overlap_seconds,omitempty" doc:"How long the secret before it stays good, up to 604800 (7 days)"`
}
