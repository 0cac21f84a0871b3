package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"filippo.io/age"
)

const (
	fingerprintLen = 16
	maxRecipients  = 20
	maxIdentities  = 64 << 10 // bytes of a file of identities
)

// Recipients are those who can open encrypted objects. The zero value means that nothing is encrypted.
type Recipients struct {
	list        []age.Recipient
	fingerprint string
}

// ParseRecipients parses native recipients of age, which begin with age1: see https://age-encryption.org/v1. Their
// order does not matter, nor does it when one is given twice.
func ParseRecipients(texts []string) (r Recipients, err error) {
	if len(texts) == 0 {
		return r, nil
	}
	if len(texts) > maxRecipients {
		return r, fmt.Errorf("at most %d recipients are possible", maxRecipients)
	}
	given := map[string]age.Recipient{}
	for _, text := range texts {
		if strings.HasPrefix(text, "AGE-SECRET-KEY-") {
			return Recipients{}, errors.New("this is an identity, which is a secret; " +
				"give its recipient, which age-keygen -y prints, and replace the identity if others could see it here")
		}
		list, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(list) != 1 {
			return Recipients{}, fmt.Errorf("%q is not an age recipient (age1…), as age-keygen prints it", text)
		}
		if name, ok := list[0].(fmt.Stringer); ok {
			text = name.String()
		}
		given[text] = list[0]
	}
	// Each once: one more would make every object longer, as if all that are stored were damaged.
	sorted := slices.Sorted(maps.Keys(given))
	for _, text := range sorted {
		r.list = append(r.list, given[text])
	}
	// Recipients of different kinds may exclude each other.
	if _, err := age.Encrypt(io.Discard, r.list...); err != nil {
		return Recipients{}, fmt.Errorf("these recipients cannot be combined: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.Join(sorted, "\n")))
	r.fingerprint = hex.EncodeToString(sum[:])[:fingerprintLen]
	return r, nil
}

// Identities open what was encrypted to their recipients.
type Identities []age.Identity

// ReadIdentities reads the identities of age in a file. A file that a password protects must be decrypted first.
func ReadIdentities(path string) (Identities, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIdentities))
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(text), "age-encryption.org/") || strings.HasPrefix(string(text), "-----BEGIN AGE") {
		return nil, fmt.Errorf("%s is encrypted itself; decrypt it first with age -d", path)
	}
	list, err := age.ParseIdentities(strings.NewReader(string(text)))
	if err != nil { // may quote a line, which is a secret
		return nil, fmt.Errorf("%s holds something else than age identities (AGE-SECRET-KEY-…)", path)
	}
	return list, nil
}
