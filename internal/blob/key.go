package blob

import "sluice"

// maxPrefix limits the letters before the underscore of a key, so that every key
// is also a valid file name.
const maxPrefix = 32

// suffixLen is the length of the part after the underscore: a ULID.
const suffixLen = 26

// checkKey refuses every key that does not have the form
// [a-z]{1,32}_[0-9a-z]{26}. A key of this form has no character with a meaning in
// a path, a URL or the name of an S3 object.
func checkKey(key string) error {
	if !wellFormed(key) {
		return sluice.Errorf(sluice.CodeValidation, "this is not the key of a blob")
	}
	return nil
}

func wellFormed(key string) bool {
	prefix := len(key) - suffixLen - 1
	if prefix < 1 || prefix > maxPrefix || key[prefix] != '_' {
		return false
	}
	for i := range len(key) {
		c := key[i]
		letter := 'a' <= c && c <= 'z'
		digit := '0' <= c && c <= '9' && i > prefix
		if !letter && !digit && i != prefix {
			return false
		}
	}
	return true
}
