package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestCheckpointText(t *testing.T) {
	c := Checkpoint{"example.com/behind-the-sofa", 20852163, Hash{1}}
	want := "example.com/behind-the-sofa\n20852163\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	if got := c.Text(); got != want {
		t.Errorf("%q", got)
	}
	if got, err := ParseCheckpoint(want); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	root := base64.StdEncoding.EncodeToString(make([]byte, HashSize))
	for _, text := range []string{
		"", "\n", "a\n1\n" + root, "a\n1\n\n", "\n1\n" + root + "\n", "a b\n1\n" + root + "\n",
		"a+b\n1\n" + root + "\n",
		"a\n01\n" + root + "\n", "a\n-1\n" + root + "\n", "a\n+1\n" + root + "\n", "a\n1 \n" + root + "\n",
		"a\n0x1\n" + root + "\n",
		"a\n281474976710656\n" + root + "\n", "a\n9223372036854775808\n" + root + "\n", "a\n1\n" + root[:43] + "\n",
		"a\n1\n" + root[:42] + "B=\n",
		"a\n1\n" + root + "=\n", "a\n1\n" + root + "\nextension\n", "a\n1\n" + root + "\n\n",
		"a\r\n1\r\n" + root + "\r\n", "a\n0\n" + root + "\n",
		"\xff\n1\n" + root + "\n", strings.Repeat("a", MaxCheckpoint) + "\n1\n" + root + "\n",
	} {
		if got, err := ParseCheckpoint(text); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%.100q: %+v, %v", text, got, err)
		}
	}
}

func TestOpen(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	signed, err := signer.Sign(7, Hash{9})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := v.Open(signed); err != nil || c != (Checkpoint{testOrigin, 7, Hash{9}}) {
		t.Errorf("%+v, %v", c, err)
	}
	// Package note must agree.
	known, err := note.NewVerifier(signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(signed, note.VerifierList(known)); err != nil || len(n.Sigs) != 1 ||
		n.Sigs[0].Name != testOrigin {
		t.Errorf("%+v, %v", n, err)
	}
	for i := range signed {
		for bit := range 8 {
			changed := bytes.Clone(signed)
			changed[i] ^= 1 << bit
			if c, err := v.Open(changed); !errors.Is(err, ErrCheckpoint) {
				t.Fatalf("byte %d ^ %#x: %+v, %v", i, 1<<bit, c, err)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	signer, stranger := testSigner(t, 1), testSigner(t, 2)
	v := testVerifier(t, signer.VerifierKey())
	sign := func(text string, s *Signer) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, s.signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	good := sign(Checkpoint{testOrigin, 7, Hash{9}}.Text(), signer)
	text, sigs, err := splitNote(good)
	if err != nil {
		t.Fatal(err)
	}
	for what, signed := range map[string][]byte{
		"nothing":           nil,
		"by a stranger":     sign(text, stranger),
		"of another log":    sign(Checkpoint{"files.example.com/acct_02/live", 7, Hash{9}}.Text(), signer),
		"extension line":    sign(text+"more\n", signer),
		"no checkpoint":     sign("hello\n", signer),
		"without signature": []byte(text + "\n"),
		"signed twice":      []byte(string(good) + sigs[0].line),
		"no newline":        good[:len(good)-1],
		"too large":         append(bytes.Clone(good), make([]byte, MaxCheckpoint)...),
		"many signatures":   append(bytes.Clone(good), strings.Repeat("— witness.example AAAAAAA=\n", MaxCheckpoint/28)...),
		"trailing text":     append(bytes.Clone(good), "hello\n"...),
		"bad second by us":  []byte(string(good) + "— " + testOrigin + " " + base64.StdEncoding.EncodeToString(append(idBytes(signer), 1, 2, 3)) + "\n"),
		"loose base64":      []byte(string(good) + "— witness.example AAAAAAB=\n"),
		"short signature":   []byte(string(good) + "— witness.example AAAA\n"),
	} {
		if c, err := v.Open(signed); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	// C2SP signed-note: signatures by unknown keys are ignored.
	others := string(good) + "— witness.example AAAAAAA=\n— " + testOrigin + " AAAAAAA=\n"
	if c, err := v.Open([]byte(others)); err != nil || c.Size != 7 {
		t.Errorf("with other signatures: %+v, %v", c, err)
	}
	if _, err := signer.Sign(-1, Hash{}); err == nil {
		t.Error("a negative size was signed")
	}
	if _, err := signer.Sign(MaxSize+1, Hash{}); err == nil {
		t.Error("a size above MaxSize was signed")
	}
}

func idBytes(s *Signer) []byte {
	id := s.signer.KeyHash()
	return []byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
}

func FuzzOpen(f *testing.F) {
	signer := testSigner(f, 1)
	v := testVerifier(f, signer.VerifierKey())
	signed, err := signer.Sign(7, Hash{9})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(append(bytes.Clone(signed), "— witness.example AAAAAAA=\n"...))
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, err := v.Open(signed)
		if err != nil {
			return
		}
		if c != (Checkpoint{testOrigin, 7, Hash{9}}) {
			t.Fatalf("%q is %+v", signed, c)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(Checkpoint{testOrigin, 7, Hash{9}}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Fatalf("%q is %+v", text, c)
		}
	})
}
