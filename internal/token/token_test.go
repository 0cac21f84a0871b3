package token

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

func newTestKey(t testing.TB) Key {
	t.Helper()
	k, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newTestToken is a token of other ids each time.
func newTestToken() Token {
	t := Token{Kind: Read, Live: true}
	rand.Read(t.Account[:])
	rand.Read(t.Object[:])
	return t
}

// frozen is one line of testdata/links.txt.
type frozen struct {
	key   Key
	token Token
	text  string
}

func frozenTokens(t testing.TB) []frozen {
	t.Helper()
	data, err := os.ReadFile("testdata/links.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []frozen
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 6 {
			t.Fatalf("%d fields in %q", len(fields), line)
		}
		key, err := ParseKey(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		if key.ID() != fields[1] {
			t.Errorf("the id of the key %s is %s, was %s", fields[0], key.ID(), fields[1])
		}
		account, err1 := hex.DecodeString(fields[3])
		link, err2 := hex.DecodeString(fields[4])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		list = append(list, frozen{key, Token{Read, fields[2] == "live", [16]byte(account), [16]byte(link)}, fields[5]})
	}
	if len(list) == 0 {
		t.Fatal("no tokens")
	}
	return list
}

// TestLinksThatLive holds tokens to those that were made before tokens had kinds: byte for byte, and open as links.
func TestLinksThatLive(t *testing.T) {
	for _, f := range frozenTokens(t) {
		if text := f.key.Make(f.token); text != f.text {
			t.Errorf("the token of %+v is %s, was %s", f.token, text, f.text)
		}
		if got, ok := (Keyring{f.key}).Open(f.text, Read); !ok || got != f.token {
			t.Errorf("%s opens as %+v %v, want %+v", f.text, got, ok, f.token)
		}
	}
}

func TestRotation(t *testing.T) {
	old, young := newTestKey(t), newTestKey(t)
	want := newTestToken()
	text := old.Make(want)
	rotated := Keyring{young, old}
	if got, ok := rotated.Open(text, Read); !ok || got != want {
		t.Error("a token of the second signing key is refused")
	}
	if again := rotated.Key(old.ID()).Make(want); again != text {
		t.Error("the token changed when a signing key was added")
	}
	if _, ok := (Keyring{young}).Open(text, Read); ok {
		t.Error("a token of a retired signing key is accepted")
	}
	if again := (Keyring{young}).Key(old.ID()).Make(want); again != young.Make(want) {
		t.Error("the object of a retired signing key got no token of the first one")
	}
}

// authentic gives the text of fields with a good tag.
func authentic(k Key, fields [fieldsLen]byte) string {
	return base64.RawURLEncoding.EncodeToString(append(fields[:], k.tag(fields[:])...))
}

// TestKinds makes authentic tokens with every value of the second byte. Each opens for the kind that it has, if
// there is such a kind, and for no other.
func TestKinds(t *testing.T) {
	key := newTestKey(t)
	made := newTestToken()
	for second := range 256 {
		fields := [fieldsLen]byte{version, byte(second)}
		copy(fields[2:], key.id[:])
		copy(fields[6:], made.Account[:])
		copy(fields[22:], made.Object[:])
		text := authentic(key, fields)
		has, live := Kind(second/2), second%2 == 1
		for want := range 256 {
			got, ok := Keyring{key}.Open(text, Kind(want))
			if good := has == Read && want == int(Read); ok != good {
				t.Fatalf("a token of kind %d opens %v for kind %d, want %v", has, ok, want, good)
			}
			if ok && (got != Token{Read, live, made.Account, made.Object}) {
				t.Errorf("second byte %d opens as %+v", second, got)
			}
			if !ok && got != (Token{}) {
				t.Errorf("second byte %d is refused with %+v", second, got)
			}
		}
	}
}

// TestVersions refuses an authentic token of any other version.
func TestVersions(t *testing.T) {
	key := newTestKey(t)
	for v := range 256 {
		fields := [fieldsLen]byte{byte(v)}
		copy(fields[2:], key.id[:])
		if _, ok := (Keyring{key}).Open(authentic(key, fields), Read); ok != (v == version) {
			t.Errorf("version %d opens: %v", v, ok)
		}
	}
}

// TestEveryByte changes every byte of a token to every other value, in both modes. A token does not open without its
// key.
func TestEveryByte(t *testing.T) {
	for _, f := range frozenTokens(t)[:4] {
		ring := Keyring{newTestKey(t), f.key}
		raw, err := base64.RawURLEncoding.DecodeString(f.key.Make(f.token))
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			for change := 1; change < 256; change++ {
				forged := bytes.Clone(raw)
				forged[i] ^= byte(change)
				if _, ok := ring.Open(base64.RawURLEncoding.EncodeToString(forged), Read); ok {
					t.Fatalf("byte %d changed by %#x is accepted", i, change)
				}
			}
		}
		if _, ok := (Keyring{}).Open(f.text, Read); ok {
			t.Error("a token opens without a key")
		}
	}
}

// TestEveryCharacter tries every character of the alphabet and others in every place, and every length.
func TestEveryCharacter(t *testing.T) {
	key := newTestKey(t)
	ring, text := Keyring{key}, key.Make(newTestToken())
	if len(text) != Len {
		t.Errorf("token has %d characters, want %d", len(text), Len)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.\r\n \x00"
	for i := range text {
		for _, c := range []byte(alphabet) {
			forged := text[:i] + string(c) + text[i+1:]
			if _, ok := ring.Open(forged, Read); ok && forged != text {
				t.Fatalf("character %d changed to %q is accepted", i, c)
			}
		}
		if _, ok := ring.Open(text[:i], Read); ok {
			t.Fatalf("the first %d characters are accepted", i)
		}
	}
	for _, forged := range []string{
		text + "A", text + "=", "A" + text, text + "\n", text[:Len-4] + "====", strings.ToLower(text),
		strings.Repeat("A", Len),
	} {
		if _, ok := ring.Open(forged, Read); ok {
			t.Errorf("%q is accepted", forged)
		}
	}
}

func TestParseKey(t *testing.T) {
	key := newTestKey(t)
	again, err := ParseKey(key.Secret())
	if err != nil || again.ID() != key.ID() || again.Secret() != key.Secret() {
		t.Errorf("%s comes back as %s, %v", key, again, err)
	}
	if strings.Contains(key.String(), key.Secret()) {
		t.Error("String shows the secret")
	}
	for _, text := range []string{"", "x", key.Secret()[1:], key.Secret() + "AAAA", strings.Repeat("?", 44)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
	if _, err := NewKey(strings.NewReader("too short")); err == nil {
		t.Error("NewKey made a key of too few bytes")
	}
}

// FuzzOpen looks for a text that opens and is not the token of what it opens.
func FuzzOpen(f *testing.F) {
	frozen := frozenTokens(f)
	ring := Keyring{}
	for _, one := range frozen {
		f.Add(one.text, uint8(Read))
		f.Add(one.text, uint8(1))
		ring = append(ring, one.key)
	}
	f.Add("", uint8(Read))
	f.Add(strings.Repeat("_", Len), uint8(Read))
	f.Fuzz(func(t *testing.T, text string, want uint8) {
		got, ok := ring.Open(text, Kind(want))
		if !ok {
			if got != (Token{}) {
				t.Fatalf("%q is refused with %+v", text, got)
			}
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || got.Kind != Kind(want) || ring.Key(hex.EncodeToString(raw[2:6])).Make(got) != text {
			t.Fatalf("%q opens as %+v for kind %d, and is not its token", text, got, want)
		}
	})
}

// FuzzMake opens what it makes, of every kind that there is and no other.
func FuzzMake(f *testing.F) {
	for _, one := range frozenTokens(f) {
		f.Add(uint8(one.token.Kind), one.token.Live, one.token.Account[:], one.token.Object[:])
	}
	key := newTestKey(f)
	f.Fuzz(func(t *testing.T, kind uint8, live bool, account, object []byte) {
		want := Token{Kind: Kind(kind % 128), Live: live}
		copy(want.Account[:], account)
		copy(want.Object[:], object)
		text := key.Make(want)
		if got, ok := (Keyring{key}).Open(text, want.Kind); ok != (want.Kind == Read) || ok && got != want {
			t.Fatalf("%+v opens as %+v %v", want, got, ok)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	ring := Keyring{newTestKey(b), newTestKey(b)}
	text := ring[0].Make(newTestToken())
	forged := text[:Len-1] + "A"
	if forged == text {
		forged = text[:Len-1] + "B"
	}
	for _, c := range []struct{ name, token string }{{"authentic", text}, {"forged", forged}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ring.Open(c.token, Read)
			}
		})
	}
}

func BenchmarkMake(b *testing.B) {
	key, t := newTestKey(b), newTestToken()
	b.ReportAllocs()
	for b.Loop() {
		key.Make(t)
	}
}
