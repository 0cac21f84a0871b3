// Package seal makes rows of the database tamper-evident. A seal is a MAC over what a key or a link allows, under a
// signing key of the secrets. Someone who can write to the database, and has no secrets, cannot make a key, widen one,
// or change what a link opens and for whom: a server refuses a row whose seal does not fit.
//
// A seal shows that a server wrote the row, and not that the row is the newest: who kept an earlier row with its seal
// can put it back. That is for sluice fsck to find, which compares the rows with the log.
//
// A row that is revoked has no seal, because it allows nothing.
package seal

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/token"
)

const domain = "sluice row seal"

// Seals makes and checks seals. It is safe for concurrent use.
type Seals struct {
	macs     []*sync.Pool // of hash.Hash, one pool for each signing key; the first makes seals
	required bool
	// fitted has seals that were found to fit, each with what it fits, so that a link that is in demand costs no MAC.
	// They are found by their first bits. BenchmarkCheck shows what they save.
	fitted [fittedSeals]atomic.Pointer[fitting]
}

// fitting is a seal and a message that it fits.
type fitting struct {
	seal    sluice.Digest
	message message
}

const (
	fittedSeals  = 1 << 10
	maxFittedLen = 1 << 10 // bytes of a message; longer ones are not kept
)

// New returns the Seals of signing keys: the first one makes seals, and all of them are accepted. With required, a row
// without a seal is not trusted. Without it every row is: those of older versions have no seals.
func New(keys token.Keyring, required bool) *Seals {
	s := &Seals{required: required}
	for _, k := range keys {
		s.macs = append(s.macs, &sync.Pool{New: func() any { return k.NewMAC() }})
	}
	return s
}

// Required reports whether rows need a seal.
func (s *Seals) Required() bool { return s.required }

// Rotated reports whether there are seals of older signing keys that are accepted.
func (s *Seals) Rotated() bool { return len(s.macs) > 1 }

// Key returns the seal of a key: zero if it is revoked.
func (s *Seals) Key(k sluice.Key) sluice.Digest {
	if !k.Revoked.IsZero() {
		return sluice.Digest{}
	}
	return s.sum(0, keyMessage(nil, k))
}

// Link returns the seal of a link: zero if it is revoked.
func (s *Seals) Link(l sluice.Link) sluice.Digest {
	if !l.Revoked.IsZero() {
		return sluice.Digest{}
	}
	return s.sum(0, linkMessage(nil, l))
}

// KeyFits reports whether a key is revoked or has the seal of a server.
func (s *Seals) KeyFits(k sluice.Key) bool {
	room := rooms.Get().(*[messageRoom]byte)
	defer rooms.Put(room)
	return !k.Revoked.IsZero() || s.fits(k.Seal, keyMessage(room[:0], k))
}

// LinkFits reports whether a link is revoked or has the seal of a server.
func (s *Seals) LinkFits(l sluice.Link) bool {
	room := rooms.Get().(*[messageRoom]byte)
	defer rooms.Put(room)
	return !l.Revoked.IsZero() || s.fits(l.Seal, linkMessage(room[:0], l))
}

// TrustsKey reports whether a key may be believed: its seal fits, or seals are not required.
func (s *Seals) TrustsKey(k sluice.Key) bool { return !s.required || s.KeyFits(k) }

// TrustsLink is TrustsKey for a link.
func (s *Seals) TrustsLink(l sluice.Link) bool { return !s.required || s.LinkFits(l) }

// Session returns the seal of a session: zero if it has ended.
func (s *Seals) Session(session sluice.Session) sluice.Digest {
	if !session.Ended.IsZero() {
		return sluice.Digest{}
	}
	return s.sum(0, sessionMessage(session))
}

// TrustsSession reports whether a session has ended or has the seal of a server. Unlike keys and links, sessions of no
// version are without one.
func (s *Seals) TrustsSession(session sluice.Session) bool {
	return !session.Ended.IsZero() || s.fits(session.Seal, sessionMessage(session))
}

func (s *Seals) fits(seal sluice.Digest, m message) bool {
	if seal == (sluice.Digest{}) {
		return false
	}
	slot := &s.fitted[binary.BigEndian.Uint16(seal[:])%fittedSeals]
	if known := slot.Load(); known != nil && known.seal == seal && bytes.Equal(known.message, m) {
		return true
	}
	m = bytes.Clone(m) // it may be kept
	for i := range s.macs {
		if sum := s.sum(i, m); hmac.Equal(sum[:], seal[:]) {
			if len(m) <= maxFittedLen {
				slot.Store(&fitting{seal, m})
			}
			return true
		}
	}
	return false
}

func (s *Seals) sum(key int, m message) (sum sluice.Digest) {
	mac := s.macs[key].Get().(hash.Hash)
	defer s.macs[key].Put(mac)
	mac.Reset()
	mac.Write(m)
	mac.Sum(sum[:0])
	return sum
}

// keyMessage has what a key allows, and whose it is. A new column of the table belongs here, or in the list of
// TestSealsCoverColumns with the reason why it does not.
func keyMessage(room []byte, k sluice.Key) message {
	m := beginIn(room, "key", k.Ledger, k.ID)
	m.bytes(k.Hash[:])
	m.number(int64(len(k.Scopes)))
	for _, scope := range k.Scopes {
		m.text(string(scope))
	}
	m.time(k.Created)
	m.time(k.Expires)
	m.text(k.Version)
	m.bytes(k.OldHash[:])
	m.time(k.OldExpires)
	m.number(int64(k.MaxLinkLifetime))
	return m
}

// linkMessage has what a link opens, for whom and for how long. A new column of the table belongs here, or in the list
// of TestSealsCoverColumns with the reason why it does not.
func linkMessage(room []byte, l sluice.Link) message {
	m := beginIn(room, "link", l.Ledger, l.ID)
	m.text(l.FileID)
	m.text(l.KeyID)
	m.text(l.SigningKey)
	m.time(l.Created)
	m.time(l.Expires)
	m.number(l.MaxDownloads)
	m.text(string(l.Password))
	m.number(int64(len(l.AllowedIPs)))
	for _, p := range l.AllowedIPs {
		m.prefix(p)
	}
	m.text(string(l.Disposition))
	m.text(l.Filename)
	if !l.Access.IsZero() {
		m.access(*l.Access)
	}
	return m
}

// sessionMessage has what a session allows, and whose it is. A new column of the table belongs here, or in the list of
// TestSealsCoverColumns with the reason why it does not.
func sessionMessage(s sluice.Session) message {
	m := beginIn(nil, "session", s.Ledger, s.ID)
	m.bytes(s.Hash[:])
	m.text(s.KeyID)
	m.text(s.Person.Issuer)
	m.text(s.Person.Subject)
	m.text(s.Person.Email)
	m.text(s.Person.Name)
	m.number(int64(len(s.Scopes)))
	for _, scope := range s.Scopes {
		m.text(string(scope))
	}
	m.time(s.Created)
	m.time(s.Expires)
	return m
}

// message is what a MAC is made over: each value behind its length, or of a fixed length.
type message []byte

// messageRoom is the usual length of a message, and a little more. A message that is compared with a known one is in
// one of rooms, and needs no allocation.
const messageRoom = 512

var rooms = sync.Pool{New: func() any { return new([messageRoom]byte) }}

// beginIn begins a message in the memory of room.
func beginIn(room []byte, kind string, l sluice.LedgerID, id string) message {
	m := message(room)
	m = binary.BigEndian.AppendUint64(m, uint64(len(domain))) // as token.Key.NewMAC wants it
	m = append(m, domain...)
	m.text(kind)
	m.text(l.Account)
	m.text(string(l.Mode))
	m.text(id)
	return m
}

// access adds what a link asks of people. It is the last in its message, so none is told from one that asks nothing.
func (m *message) access(a sluice.Access) {
	for _, text := range []string{
		a.Recipient.Email, a.Recipient.Name, string(a.Verification), a.Message, a.Terms, a.Notify.Email, string(a.Page),
		a.Language, strconv.FormatBool(a.Erased),
	} {
		m.text(text)
	}
	m.number(int64(len(a.Allowed)))
	for _, pattern := range a.Allowed {
		m.text(pattern)
	}
	m.number(int64(len(a.Notify.On)))
	for _, occasion := range a.Notify.On {
		m.text(string(occasion))
	}
}

func (m *message) text(s string) {
	*m = append(binary.BigEndian.AppendUint32(*m, uint32(len(s))), s...)
}

func (m *message) bytes(b []byte) {
	*m = append(binary.BigEndian.AppendUint32(*m, uint32(len(b))), b...)
}

func (m *message) number(n int64) { *m = binary.BigEndian.AppendUint64(*m, uint64(n)) }

// time adds a time in microseconds, as the database has it. Behind it stands whether there is one.
func (m *message) time(t time.Time) {
	if t.IsZero() {
		m.number(0)
		*m = append(*m, 0)
		return
	}
	m.number(t.UnixMicro())
	*m = append(*m, 1)
}

// prefix adds a network.
func (m *message) prefix(p netip.Prefix) {
	a := p.Addr().As16()
	m.bytes(a[:])
	m.number(int64(p.Addr().BitLen())<<32 | int64(p.Bits()))
}
