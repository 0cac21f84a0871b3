package service

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"sluice"
)

// Challenge is a code that a browser has asked for at a link. The code itself is derived: see Links.Code.
type Challenge struct {
	LinkID  string
	ID      string        // of the browser's cookie: see ChallengeID
	Address sluice.Digest // of the address to prove
	Network sluice.Digest // of the browser
	Entry   string        // of LinkCodeSent, which has the address; "" if no code was sent
	Tries   int64         // codes that were compared; MaxTries if the right one was among them, or TriesEnded
	Created time.Time
}

// Limits of codes. The counts are in the database, so they survive restarts and hold for all servers.
const (
	CodeLasts = 10 * time.Minute // how long a code is good
	MaxTries  = 5                // of one code
	// TriesEnded are the Tries of a challenge that a redaction has ended.
	TriesEnded = MaxTries + 1

	// An address may be sent MaxCodesOfAddress codes for a link in any AddressWindow.
	AddressWindow     = 10 * time.Minute
	MaxCodesOfAddress = 3
	// A link sends MaxCodesOfLink codes in any LinkWindow. It keeps the newest MaxUnsentOfLink challenges for which
	// no code was sent.
	LinkWindow      = 24 * time.Hour
	MaxCodesOfLink  = 20
	MaxUnsentOfLink = 200
	// A network may ask for MaxCodesOfNetwork codes, and all links together send MaxCodes, in any NetworkWindow.
	NetworkWindow     = time.Hour
	MaxCodesOfNetwork = 30
	MaxCodes          = 5000
)

// ChallengeCounts counts the challenges of the windows around a moment. A clock that was set back finds those from its
// future only within one window.
type ChallengeCounts struct {
	Address int64 // of the address at the link
	Sent    int64 // of the link, for which a code was sent
	Unsent  int64 // of the link, for which none was
	Network int64 // at all links; at most MaxCodesOfNetwork
	All     int64 // of all links, for which a code was sent; at most MaxCodes
}

// Full reports whether no further code may be sent. It does not depend on whether the address may open the link.
func (n ChallengeCounts) Full() bool {
	return n.Address >= MaxCodesOfAddress || n.Sent >= MaxCodesOfLink ||
		n.Network >= MaxCodesOfNetwork || n.All >= MaxCodes
}

// Live reports whether a code can still be given for the challenge. If the clock was set back far, it cannot.
func (c Challenge) Live(now time.Time) bool {
	age := now.Sub(c.Created)
	return c.Tries < MaxTries && -CodeLasts < age && age < CodeLasts
}

// Ended reports whether a redaction has erased the person of the challenge. Then neither its code nor the visit that it
// gave is good any more.
func (c Challenge) Ended() bool { return c.Tries >= TriesEnded }

// ChallengeID returns the id of the challenge of a browser with a cookie. It does not reveal the cookie.
func ChallengeID(link, cookie string) string {
	sum := sha256.Sum256([]byte("challenge\x00" + link + "\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// mac authenticates texts under the signing key of a link, for one use.
func (s *Links) mac(l sluice.Link, domain string, parts ...string) []byte {
	parts = append([]string{domain, l.Ledger.Account, string(l.Ledger.Mode), l.ID}, parts...)
	return macOf(s.keys.Key(l.SigningKey), parts...)
}

// AddressHash returns a hash of an address at a link. Nobody without the signing keys can compute it.
func (s *Links) AddressHash(l sluice.Link, address string) sluice.Digest {
	return sluice.Digest(s.mac(l, "sluice address", address))
}

// NetworkHash returns a hash of the network of a client, the same at every link: of an IPv4 address, or of the /64
// network of an IPv6 address. Nobody without the signing keys can compute it. A rotation of those keys changes it.
func (s *Links) NetworkHash(from netip.Addr) sluice.Digest {
	return sluice.Digest(macOf(s.keys[0], "sluice network", NetworkOf(from).String()))
}

// NetworkOf returns the network in which guesses and codes are counted: an IPv4 address, or the /64 network of an IPv6
// address.
func NetworkOf(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	network, _ := from.Prefix(bits)
	return network
}

// Visit is what a browser has shown at a link. The browser keeps it in a cookie; nothing of it is stored. Each member
// stands for one question, and none answers for another.
type Visit struct {
	Address      string    `json:"address,omitempty"`      // that was proved, in canonical form
	Verification string    `json:"verification,omitempty"` // the id of the entry of the proof
	Challenge    string    `json:"challenge,omitempty"`    // whose code was the proof; it outlives the visit
	Password     bool      `json:"password,omitempty"`     // the browser gave the password of the link
	Terms        string    `json:"terms,omitempty"`        // SHA-256 of the accepted terms, in hexadecimal
	Downloaded   time.Time `json:"downloaded,omitzero"`    // when the browser last downloaded the file
	Issued       time.Time `json:"issued"`
	Expires      time.Time `json:"expires"`
}

const (
	// VisitLasts is how long a Visit lasts, if the link does not end earlier.
	VisitLasts = time.Hour
	// maxVisitLen bounds the text of a Visit. The longest address and its name in JSON need less than half.
	maxVisitLen = 2048
	// visitSkew is how far the clocks of two servers may differ.
	visitSkew = 5 * time.Minute

	visitDomain = "sluice visit"
)

// NewVisit begins a visit at a link.
func NewVisit(l sluice.Link, now time.Time) Visit {
	v := Visit{Issued: now, Expires: now.Add(VisitLasts)}
	if !l.Expires.IsZero() && l.Expires.Before(v.Expires) {
		v.Expires = l.Expires
	}
	return v
}

// SealVisit returns the text of a visit, for a cookie: its JSON and an HMAC-SHA-256 under the signing key of the link,
// both in base64url. The HMAC covers the ledger and the link.
func (s *Links) SealVisit(l sluice.Link, v Visit) string {
	payload, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has strings and times
	}
	tag := s.mac(l, visitDomain, string(payload))
	return base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(tag)
}

// OpenVisit reads the text of a visit at a link. It is false for a text that SealVisit did not return for this link,
// and for a visit that has expired or, because the clock was set back, has not begun.
func (s *Links) OpenVisit(l sluice.Link, text string, now time.Time) (v Visit, ok bool) {
	sealed, tag, found := strings.Cut(text, ".")
	if !found || len(text) > maxVisitLen {
		return Visit{}, false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return Visit{}, false
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil || !hmac.Equal(given, s.mac(l, visitDomain, string(payload))) {
		return Visit{}, false
	}
	if json.NewDecoder(bytes.NewReader(payload)).Decode(&v) != nil {
		return Visit{}, false
	}
	return v, now.Before(v.Expires) && !now.Before(v.Issued.Add(-visitSkew))
}
