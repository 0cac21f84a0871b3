package password_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/password"
)

func TestMatches(t *testing.T) {
	hash, err := password.Hash(t.Context(), rand.Reader, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		hash     sluice.PasswordHash
		password string
		want     bool
	}{
		{"the right password", hash, "correct horse", true},
		{"another", hash, "correct house", false},
		{"none", hash, "", false},
		{"no hash", "", "", false},
		{"a hash that is cut off", hash[:len(hash)-1], "correct horse", false},
		{"other parameters", sluice.PasswordHash(strings.Replace(string(hash), "t=2", "t=1", 1)), "correct horse", false},
	} {
		if got, err := password.Matches(t.Context(), c.hash, c.password); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if again, _ := password.Hash(t.Context(), rand.Reader, "correct horse"); again == hash {
		t.Error("two hashes of a password have the same salt")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if right, err := password.Matches(gone, hash, "correct horse"); right || !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context: %v, %v", right, err)
	}
}
