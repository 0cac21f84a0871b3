// Package token makes and checks tokens. A token is the secret part of a URL that needs no API key.
//
// A token is derived from what it names and from a signing key. It is never stored. It has 54 bytes:
//
//	version      1   always 1
//	kind, mode   1   bit 0 is the mode: 0 test, 1 live; bits 1 to 7 are the kind
//	signing key  4   the id of the key
//	account     16   a ULID
//	object      16   a ULID: the link, for the kind Read
//	tag         16
//
// The tag is HMAC-SHA-256 (RFC 2104) under the signing key, truncated to 128 bits. It covers a domain and all fields
// before the tag. The domain and each field stand behind their length, as 4 bytes in big-endian order; the second byte
// of the token is one field. The text of a token is unpadded base64url (RFC 4648, section 5): 72 characters, without
// spare bits, so no two texts stand for the same token.
//
// Without a signing key nobody can make a token. Checking one costs no I/O.
//
// # Kinds
//
// The first tokens had no kind, and their second byte was the mode alone: 0 or 1. Read, the kind of links, is
// number 0. So the second byte of those tokens means what it meant, the tag covers the same bytes, and each of them
// still opens. Servers that know no kinds refuse a token whose second byte is more than 1, so a token of a later kind
// opens nothing there.
//
// The kind is under the tag: nobody can turn a token of one kind into one of another.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

const (
	version = 1
	domain  = "sluice link token" // of tokens of every kind: changing it would end all links
	liveBit = 1

	tagLen    = 16
	fieldsLen = 1 + 1 + 4 + 16 + 16
	rawLen    = fieldsLen + tagLen

	// Len is the length of every token in characters.
	Len = rawLen / 3 * 4
)

// Kind says what a token lets its bearer do. It is at most 127. Numbers are never used again: they are in URLs that
// people keep.
type Kind uint8

const (
	// Read is the kind of links: the bearer reads a file.
	Read Kind = 0

	kinds = 1 // how many kinds there are; a token of another one is refused
)

// Token is what a token says.
type Token struct {
	Kind    Kind
	Live    bool // the mode: live, or test
	Account [16]byte
	Object  [16]byte // the link, for the kind Read
}

// Key is a signing key: it makes and checks tokens. Its zero value is no key.
type Key struct {
	id     [4]byte
	secret [32]byte
	macs   *sync.Pool // of hash.Hash under the secret; httpd.BenchmarkLinkList shows what they save
}

// NewKey makes a key of 32 random bytes.
func NewKey(random io.Reader) (Key, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return Key{}, err
	}
	return keyOf(secret), nil
}

// ParseKey reads the text that Key.Secret gives.
func ParseKey(text string) (Key, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return Key{}, errors.New("a signing key is 32 bytes in base64")
	}
	return keyOf([32]byte(raw)), nil
}

func keyOf(secret [32]byte) Key {
	sum := sha256.Sum256(append([]byte("sluice signing key id\x00"), secret[:]...))
	macs := &sync.Pool{New: func() any { return hmac.New(sha256.New, secret[:]) }}
	return Key{id: [4]byte(sum[:4]), secret: secret, macs: macs}
}

// ID names the key: 8 hexadecimal digits that are derived from its secret and do not reveal it.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Secret is the key as text. It belongs into the secrets file and nowhere else.
func (k Key) Secret() string { return base64.StdEncoding.EncodeToString(k.secret[:]) }

// String hides the secret from logs.
func (k Key) String() string { return "signing key " + k.ID() }

// NewMAC returns HMAC-SHA-256 under the key, for messages other than tokens. A message must begin with a domain behind
// its length in 8 bytes: no message that is tagged for a token begins so.
func (k Key) NewMAC() hash.Hash { return hmac.New(sha256.New, k.secret[:]) }

// Make derives the text of a token.
func (k Key) Make(t Token) string {
	raw := make([]byte, 0, rawLen)
	raw = append(raw, version, byte(t.Kind)<<1)
	if t.Live {
		raw[1] |= liveBit
	}
	raw = append(raw, k.id[:]...)
	raw = append(raw, t.Account[:]...)
	raw = append(raw, t.Object[:]...)
	raw = append(raw, k.tag(raw)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Keyring holds the signing keys that are in use. The first one makes new tokens.
type Keyring []Key

// Key returns the key with an id, or the first one if that key is not in use any more.
func (r Keyring) Key(id string) Key {
	for _, k := range r {
		if k.ID() == id {
			return k
		}
	}
	return r[0]
}

// Open checks a token. It is false for text that no key of the ring made, for a kind that this version does not know,
// and for a token of another kind than the wanted one.
func (r Keyring) Open(text string, want Kind) (Token, bool) {
	var raw [rawLen]byte
	if len(text) != Len {
		return Token{}, false
	}
	if n, err := base64.RawURLEncoding.Decode(raw[:], []byte(text)); err != nil || n != rawLen {
		return Token{}, false
	}
	fields, tag := raw[:fieldsLen], raw[fieldsLen:]
	key, ok := r.byID([4]byte(fields[2:6]))
	if !ok || fields[0] != version || !hmac.Equal(tag, key.tag(fields)) {
		return Token{}, false
	}
	t := Token{
		Kind:    Kind(fields[1] >> 1),
		Live:    fields[1]&liveBit != 0,
		Account: [16]byte(fields[6:22]),
		Object:  [16]byte(fields[22:38]),
	}
	if t.Kind >= kinds || t.Kind != want {
		return Token{}, false
	}
	return t, true
}

func (r Keyring) byID(id [4]byte) (Key, bool) {
	for _, k := range r {
		if k.id == id {
			return k, true
		}
	}
	return Key{}, false
}

// tag authenticates the fields of a token.
func (k Key) tag(fields []byte) []byte {
	message := make([]byte, 0, 96)
	for _, part := range [...][]byte{[]byte(domain), fields[0:1], fields[1:2], fields[2:6], fields[6:22], fields[22:38]} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(message)
	return mac.Sum(message[:0])[:tagLen]
}
