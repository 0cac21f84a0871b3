package sluice

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Metadata is the caller's own flat map, kept byte for byte.
type Metadata map[string]string

// Limits of metadata. Lengths count characters (Unicode code points).
const (
	MaxMetadataKeys     = 50
	MaxMetadataKeyLen   = 40
	MaxMetadataValueLen = 500

	reservedMetadataPrefix = "sluice_"
)

var metadataKey = regexp.MustCompile(`^[A-Za-z0-9_.\-]{1,40}$`)

func validateMetadata(v *Invalid, m Metadata) {
	if len(m) > MaxMetadataKeys {
		v.Add("metadata", "too_many", "metadata has %d keys; at most %d are kept", len(m), MaxMetadataKeys)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		param, value := "metadata."+clip(key, MaxMetadataKeyLen), m[key]
		switch {
		case !metadataKey.MatchString(key):
			v.Add(param, "invalid", "a metadata key is 1 to %d of A-Z a-z 0-9 _ - .", MaxMetadataKeyLen)
		case strings.HasPrefix(key, reservedMetadataPrefix):
			v.Add(param, "reserved", "metadata keys that begin with %s are reserved", reservedMetadataPrefix)
		}
		validateText(v, param, value, MaxMetadataValueLen)
	}
}

// merge applies a change to m: a nil value removes its key.
func mergeMetadata(m Metadata, change map[string]*string) Metadata {
	merged := Metadata{}
	maps.Copy(merged, m)
	for key, value := range change {
		if value == nil || *value == "" {
			delete(merged, key)
		} else {
			merged[key] = *value
		}
	}
	return merged
}

// validateText holds a string to a length in characters, to valid UTF-8, and
// to what every store keeps (PostgreSQL keeps no NUL in text).
func validateText(v *Invalid, param, s string, max int) {
	switch {
	case !utf8.ValidString(s):
		v.Add(param, "invalid", "%s is not valid UTF-8", param)
	case strings.ContainsRune(s, 0):
		v.Add(param, "invalid", "%s holds a NUL character", param)
	case utf8.RuneCountInString(s) > max:
		v.Add(param, "too_long", "%s has more than %d characters", param, max)
	}
}

// clip shortens s to max characters.
func clip(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	return string([]rune(s)[:max])
}
