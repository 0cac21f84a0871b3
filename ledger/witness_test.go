package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// cosigner signs like a witness.
type cosigner struct {
	name string
	key  ed25519.PrivateKey
}

func newCosigner(name string, seed byte) cosigner {
	return cosigner{name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

func (c cosigner) public() []byte {
	return append([]byte{4}, c.key.Public().(ed25519.PublicKey)...)
}

func (c cosigner) id() []byte {
	sum := sha256.Sum256(append([]byte(c.name+"\n"), c.public()...))
	return sum[:4]
}

func (c cosigner) vkey() string {
	return fmt.Sprintf("%s+%x+%s", c.name, c.id(), base64.StdEncoding.EncodeToString(c.public()))
}

func (c cosigner) line(text string, at uint64) string {
	sig := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	raw := append(binary.BigEndian.AppendUint64(c.id(), at), sig...)
	return "— " + c.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func TestWitness(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	signed, err := signer.Sign(7, Hash{9})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Open(signed)
	if err != nil {
		t.Fatal(err)
	}
	one, two := newCosigner("witness.example/w1", 1), newCosigner("witness.example/w2", 2)
	w, err := NewWitness(one.vkey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Cosigned(signed); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("not cosigned: %v", err)
	}
	cosigned, err := w.Cosign(signed, []byte(two.line(c.Text(), 1)+one.line(c.Text(), 1_700_000_000)))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(cosigned, []byte("w2")) {
		t.Errorf("accepted a line by another key:\n%s", cosigned)
	}
	if at, err := w.Cosigned(cosigned); err != nil || at.Unix() != 1_700_000_000 {
		t.Errorf("%v, %v", at, err)
	}
	if got, err := v.Open(cosigned); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := w.Cosign(cosigned, []byte(one.line(c.Text(), 1_700_000_001)))
	if at, err2 := w.Cosigned(again); err != nil || err2 != nil || at.Unix() != 1_700_000_001 ||
		len(again) != len(cosigned) {
		t.Errorf("%v, %v, %v:\n%s", at, err, err2, again)
	}
	for i := range cosigned {
		changed := bytes.Clone(cosigned)
		changed[i] ^= 1
		_, err := v.Open(changed)
		if _, err2 := w.Cosigned(changed); err == nil && err2 == nil {
			t.Errorf("byte %d of\n%s", i, cosigned)
		}
	}
}

func TestWitnessRefuses(t *testing.T) {
	signer, one := testSigner(t, 1), newCosigner("witness.example/w1", 1)
	signed, err := signer.Sign(7, Hash{9})
	if err != nil {
		t.Fatal(err)
	}
	text := Checkpoint{testOrigin, 7, Hash{9}}.Text()
	w, err := NewWitness(one.vkey())
	if err != nil {
		t.Fatal(err)
	}
	for what, answer := range map[string]string{
		"nothing":         "",
		"another text":    one.line(strings.Replace(text, "7", "8", 1), 5),
		"after the end":   one.line(text, 1<<63),
		"a stranger":      newCosigner("witness.example/w1", 2).line(text, 5),
		"no line":         "hello\n",
		"too much":        strings.Repeat(one.line(text, 5), 2000),
		"a page of HTML":  "<html></html>",
		"without newline": strings.TrimSuffix(one.line(text, 5), "\n"),
	} {
		if got, err := w.Cosign(signed, []byte(answer)); err == nil {
			t.Errorf("%s:\n%s", what, got)
		}
	}
	vkey := one.vkey()
	for _, bad := range []string{"", "+", signer.VerifierKey(), vkey[:len(vkey)-4], vkey + "AAAA", strings.Replace(vkey, "w1", "w2", 1), vkey + "\n"} {
		if _, err := NewWitness(bad); err == nil {
			t.Errorf("witness key %q", bad)
		}
	}
}

func FuzzCosign(f *testing.F) {
	signer, one := testSigner(f, 1), newCosigner("witness.example/w1", 1)
	signed, err := signer.Sign(7, Hash{9})
	if err != nil {
		f.Fatal(err)
	}
	w, err := NewWitness(one.vkey())
	if err != nil {
		f.Fatal(err)
	}
	v := testVerifier(f, signer.VerifierKey())
	f.Add(signed, []byte(one.line(Checkpoint{testOrigin, 7, Hash{9}}.Text(), 5)))
	f.Fuzz(func(t *testing.T, signed, answer []byte) {
		cosigned, err := w.Cosign(signed, answer)
		if err != nil {
			return
		}
		if _, err := w.Cosigned(cosigned); err != nil {
			t.Fatalf("%q and %q: %v", signed, answer, err)
		}
		if _, err := v.Open(signed); err == nil && len(cosigned) <= MaxCheckpoint {
			if _, err := v.Open(cosigned); err != nil {
				t.Fatalf("%q and %q: %v", signed, answer, err)
			}
		}
	})
}
