package service

import (
	"fmt"
	"maps"
	"mime"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice"
	"sluice/internal/audit"
)

var resourceType = regexp.MustCompile(`^[a-z][a-z0-9_.\-]{0,39}$`)

func validateResources(v *sluice.Invalid, list []sluice.Resource) {
	if len(list) > sluice.MaxLinkedResources {
		v.Add("linked_resources", "too_many", "linked_resources has %d elements; at most %d are kept",
			len(list), sluice.MaxLinkedResources)
		return
	}
	seen := map[sluice.Resource]bool{}
	for i, r := range list {
		param := fmt.Sprintf("linked_resources.%d", i)
		if !resourceType.MatchString(r.Type) {
			v.Add(param+".type", "invalid", "a resource type is 1 to 40 of a-z 0-9 _ . -, a letter first")
		}
		if r.ID == "" {
			v.Add(param+".id", "required", "a linked resource needs an id")
		}
		validateText(v, param+".id", r.ID, sluice.MaxResourceIDLen)
		if seen[r] {
			v.Add(param, "invalid", "%s %s is there twice", r.Type, audit.Clip(r.ID, 64))
		}
		seen[r] = true
	}
}

// baseName returns the last element of a filename, which may be a path of any operating system. A file without a name
// gets one. Hostile characters are kept: the name is data, and is made safe where it is shown.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if strings.TrimFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '.' }) == "" || name == "/" {
		return "file"
	}
	return name
}

// mediaType returns the declared type in canonical form. If the declared type is missing, generic or malformed, it
// returns the type that belongs to the extension of the filename.
func mediaType(declared, filename string) string {
	t, params, err := mime.ParseMediaType(declared)
	if err == nil && t != "application/octet-stream" && strings.Contains(t, "/") {
		if canonical := mime.FormatMediaType(t, params); canonical != "" && len(canonical) <= sluice.MaxTypeLen {
			return canonical
		}
	}
	if byName := mime.TypeByExtension(path.Ext(filename)); byName != "" {
		return byName
	}
	return "application/octet-stream"
}

func validateMaxDownloads(v *sluice.Invalid, n int64) {
	if n < 0 || n > sluice.MaxMaxDownloads {
		v.Add("max_downloads", "out_of_range", "max_downloads is 1 to %d", sluice.MaxMaxDownloads)
	}
}

func validateAllowedIPs(v *sluice.Invalid, list []netip.Prefix) {
	if len(list) > sluice.MaxAllowedIPs {
		v.Add("allowed_ips", "too_many", "allowed_ips has %d elements; at most %d are kept",
			len(list), sluice.MaxAllowedIPs)
	}
	for i, p := range list {
		if !p.IsValid() || p.Masked() != p {
			v.Add(fmt.Sprintf("allowed_ips.%d", i), "invalid", "%s is not a network: bits are set beyond its length", p)
		}
	}
}

var metadataKey = regexp.MustCompile(`^[A-Za-z0-9_.\-]{1,40}$`)

func validateMetadata(v *sluice.Invalid, m sluice.Metadata) {
	if len(m) > sluice.MaxMetadataKeys {
		v.Add("metadata", "too_many", "metadata has %d keys; at most %d are kept", len(m), sluice.MaxMetadataKeys)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		param, value := "metadata."+audit.Clip(key, sluice.MaxMetadataKeyLen), m[key]
		switch {
		case !metadataKey.MatchString(key):
			v.Add(param, "invalid", "a metadata key is 1 to %d of A-Z a-z 0-9 _ - .", sluice.MaxMetadataKeyLen)
		case strings.HasPrefix(key, sluice.ReservedMetadataPrefix):
			v.Add(param, "reserved", "metadata keys that begin with %s are reserved", sluice.ReservedMetadataPrefix)
		}
		validateText(v, param, value, sluice.MaxMetadataValueLen)
	}
}

// mergeMetadata applies a change to m. A nil or empty value removes its key.
func mergeMetadata(m sluice.Metadata, change map[string]*string) sluice.Metadata {
	merged := sluice.Metadata{}
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

// validateText checks that a string is valid UTF-8, has at most max characters, and has no NUL, which PostgreSQL cannot
// store.
func validateText(v *sluice.Invalid, param, s string, max int) {
	switch {
	case !utf8.ValidString(s):
		v.Add(param, "invalid", "%s is not valid UTF-8", param)
	case strings.ContainsRune(s, 0):
		v.Add(param, "invalid", "%s holds a NUL character", param)
	case utf8.RuneCountInString(s) > max:
		v.Add(param, "too_long", "%s has more than %d characters", param, max)
	}
}

// MinPasswordLen and MaxPasswordLen limit the password of a new link, in characters. Older links may have shorter
// passwords.
const (
	MinPasswordLen = 8
	MaxPasswordLen = 200
)

func validatePassword(v *sluice.Invalid, password string) {
	if password == "" {
		return
	}
	validateText(v, "password", password, MaxPasswordLen)
	if strings.TrimSpace(password) != password { // HTTP trims header values
		v.Add("password", "invalid", "a password does not begin or end with a space")
	}
	if len([]rune(password)) < MinPasswordLen {
		v.Add("password", "out_of_range", "a password has at least %d characters", MinPasswordLen)
	}
}
