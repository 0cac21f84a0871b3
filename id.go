package sluice

// The prefixes of ids. An id is its prefix and the 26 characters of a ULID in
// lower case: sortable by time of making, unguessable in 80 bits.
const (
	PrefixAccount = "acct_"
	PrefixKey     = "key_"
	PrefixFile    = "file_"
	PrefixLink    = "link_"
	PrefixEntry   = "aud_"
	PrefixRequest = "req_"
)
