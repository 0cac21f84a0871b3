package api

// Key is an API key. Its secret is returned only when it is created or rotated.
type Key struct {
	ID              string    `json:"id" doc:"Id of the key"`
	Object          string    `json:"object" enum:"key" doc:"Always key"`
	Name            string    `json:"name" doc:"Name of the key's user or use"`
	Scopes          []string  `json:"scopes" nullable:"false" doc:"Scopes of the key"`
	Livemode        bool      `json:"livemode" doc:"Mode: true for live, false for test"`
	Created         int64     `json:"created" doc:"Time of creation in unix seconds"`
	Updated         int64     `json:"updated" doc:"Time of the last change through the API in unix seconds"`
	ExpiresAt       *int64    `json:"expires_at" doc:"Time of expiry in unix seconds; null: never"`
	LastUsedAt      *int64    `json:"last_used_at" doc:"Time of the last use in unix seconds, accurate to about a minute; null: never used"`
	RevokedAt       *int64    `json:"revoked_at" doc:"Time of revocation in unix seconds; null: not revoked"`
	MaxLinkLifetime *Lifetime `json:"max_link_lifetime" doc:"Longest lifetime of links that the key mints, in seconds, or \"none\" for links without expiry; null: the server's default"`
	Version         string    `json:"version" doc:"API version that the key is pinned to"`
}

// CreatedKey is a key and its secret. The secret is null in a repeated
// response, because it is returned only once.
type CreatedKey struct {
	Key
	Secret *string `json:"secret" doc:"The secret for the Authorization header; null in a replayed response"`
}

// NewKey describes a key to create. Its rights must not exceed those of the
// requesting key.
type NewKey struct {
	Name            string    `json:"name" doc:"Name of the key's user or use, up to 100 characters"`
	Scopes          []string  `json:"scopes,omitempty" doc:"Scopes of the key; those of the requesting key by default"`
	ExpiresAt       *int64    `json:"expires_at,omitempty" doc:"Time of expiry in unix seconds; that of the requesting key by default"`
	MaxLinkLifetime *Lifetime `json:"max_link_lifetime,omitempty" doc:"Seconds, or \"none\" for links without expiry; the limit of the requesting key by default"`
}

// KeyChange changes a key. Omitted members keep their values.
type KeyChange struct {
	Name            *string            `json:"name,omitempty" doc:"Name of the key's user or use, up to 100 characters"`
	Scopes          *[]string          `json:"scopes,omitempty" doc:"Replaces all scopes of the key"`
	ExpiresAt       Optional[int64]    `json:"expires_at,omitzero" doc:"Time of expiry in unix seconds; null: never"`
	MaxLinkLifetime Optional[Lifetime] `json:"max_link_lifetime,omitzero" doc:"Seconds, or \"none\"; null: the server's default"`
}

// KeyRotation describes the rotation of a key's secret.
type KeyRotation struct {
	OverlapSeconds int64 `json:"overlap_seconds,omitempty" doc:"How long the old secret stays valid, up to 604800 (7 days)"`
}
