package sluice

// The prefixes of ids. An id is a prefix followed by a ULID, 26 lower-case
// characters. Ids sort by creation time and contain 80 random bits.
const (
	PrefixAccount = "acct_"
	PrefixKey     = "key_"
	PrefixFile    = "file_"
	PrefixLink    = "link_"
	PrefixEntry   = "aud_"
	PrefixRequest = "req_"
	PrefixErasure = "era_"
	PrefixSession = "sess_"
)
