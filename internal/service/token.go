package service

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

	"sluice"
	"sluice/internal/objectid"
)

// A token is the secret part of a link's URL. It is derived, not stored:
//
//	version 1 | mode 1 | signing key 4 | account 16 | link 16 | tag 16   bytes, base64url
//
// The tag is HMAC-SHA-256 (RFC 2104), truncated to 128 bits, over the domain
// and all fields before it, each with its length. Who does not know a signing
// key cannot make a token, and checking one costs no I/O. 54 bytes are 72
// characters exactly, so no two texts stand for the same token.
const (
	tokenVersion = 1
	tokenDomain  = "sluice link token"
	tokenTagLen  = 16
	tokenRawLen  = 1 + 1 + 4 + 16 + 16 + tokenTagLen

	// TokenLen is the length of every token in characters.
	TokenLen = tokenRawLen / 3 * 4
)

// SigningKey derives and checks tokens.
type SigningKey struct {
	id     [4]byte
	secret [32]byte
	macs   *sync.Pool // of hash.Hash under the secret, which takes longer to make than to use
}

// NewSigningKey makes a key of 32 random bytes.
func NewSigningKey(random io.Reader) (SigningKey, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return SigningKey{}, err
	}
	return signingKey(secret), nil
}

// ParseSigningKey reads what SigningKey.Secret wrote.
func ParseSigningKey(text string) (SigningKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return SigningKey{}, errors.New("a signing key is 32 bytes in base64")
	}
	return signingKey([32]byte(raw)), nil
}

func signingKey(secret [32]byte) SigningKey {
	sum := sha256.Sum256(append([]byte("sluice signing key id\x00"), secret[:]...))
	macs := &sync.Pool{New: func() any { return hmac.New(sha256.New, secret[:]) }}
	return SigningKey{id: [4]byte(sum[:4]), secret: secret, macs: macs}
}

// ID names the key: 8 hexadecimal digits derived from its secret, which they
// do not reveal.
func (k SigningKey) ID() string { return hex.EncodeToString(k.id[:]) }

// Secret is the key as text, for the secrets file and nothing else.
func (k SigningKey) Secret() string { return base64.StdEncoding.EncodeToString(k.secret[:]) }

// String hides the secret from logs.
func (k SigningKey) String() string { return "signing key " + k.ID() }

// keyring holds the live signing keys; the first one signs.
type keyring []SigningKey

func (r keyring) byID(id [4]byte) (SigningKey, bool) {
	for _, k := range r {
		if k.id == id {
			return k, true
		}
	}
	return SigningKey{}, false
}

// token derives a link's token with the key that it was minted with, or with
// the first when that one has been retired.
func (r keyring) token(l sluice.Link) (string, error) {
	account, ok := objectid.Parse(sluice.PrefixAccount, l.Ledger.Account)
	link, ok2 := objectid.Parse(sluice.PrefixLink, l.ID)
	if !ok || !ok2 {
		return "", errors.New("token: link or account has no proper id")
	}
	key := r[0]
	for _, k := range r {
		if k.ID() == l.SigningKey {
			key = k
		}
	}
	raw := make([]byte, 0, tokenRawLen)
	raw = append(raw, tokenVersion, 0)
	if l.Ledger.Mode.Live() {
		raw[1] = 1
	}
	raw = append(raw, key.id[:]...)
	raw = append(raw, account[:]...)
	raw = append(raw, link[:]...)
	raw = append(raw, key.tag(raw)...)
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// open gives ledger and link of an authentic token.
func (r keyring) open(token string) (sluice.LedgerID, string, bool) {
	var raw [tokenRawLen]byte
	if len(token) != TokenLen {
		return sluice.LedgerID{}, "", false
	}
	if n, err := base64.RawURLEncoding.Decode(raw[:], []byte(token)); err != nil || n != tokenRawLen {
		return sluice.LedgerID{}, "", false
	}
	fields, tag := raw[:tokenRawLen-tokenTagLen], raw[tokenRawLen-tokenTagLen:]
	key, ok := r.byID([4]byte(fields[2:6]))
	if !ok || fields[0] != tokenVersion || fields[1] > 1 || !hmac.Equal(tag, key.tag(fields)) {
		return sluice.LedgerID{}, "", false
	}
	mode := sluice.Test
	if fields[1] == 1 {
		mode = sluice.Live
	}
	ledger := sluice.LedgerID{Account: objectid.Format(sluice.PrefixAccount, [16]byte(fields[6:22])), Mode: mode}
	return ledger, objectid.Format(sluice.PrefixLink, [16]byte(fields[22:38])), true
}

// tag authenticates the fields of a token. They have fixed widths; the domain
// stands before them with its length.
func (k SigningKey) tag(fields []byte) []byte {
	message := make([]byte, 0, 96)
	for _, part := range [...][]byte{[]byte(tokenDomain), fields[0:1], fields[1:2], fields[2:6], fields[6:22], fields[22:38]} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(message)
	return mac.Sum(message[:0])[:tokenTagLen]
}
