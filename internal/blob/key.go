package blob

import "sluice"

// maxPrefix bounds the letters before the underscore of a key, so that every
// key is also a name that a file system takes.
const maxPrefix = 32

// suffixLen is the length of what follows the underscore: a ULID.
const suffixLen = 26

// checkKey refuses every key but those of the form [a-z]{1,32}_[0-9a-z]{26}.
// They hold nothing that a path, a URL or an S3 object name gives a meaning.
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
