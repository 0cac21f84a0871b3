package service

import (
	"crypto/rand"
	"strings"
	"testing"

	"sluice"
)

func TestKeySecret(t *testing.T) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		secret, err := newKeySecret(rand.Reader, m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(secret, "sk_"+string(m)+"_") {
			t.Errorf("secret of mode %s begins %q", m, secret[:8])
		}
		if _, ok := hashKeySecret(secret); !ok {
			t.Errorf("%q is refused", secret)
		}
		for i := range secret {
			mistyped := secret[:i] + "7" + secret[i+1:]
			if _, ok := hashKeySecret(mistyped); ok && mistyped != secret {
				t.Errorf("character %d mistyped is taken for a secret", i)
			}
		}
	}
}
