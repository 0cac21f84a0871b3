package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"time"

	"sluice"
	"sluice/internal/service"
)

// GrantLasts is how long a bearer who was counted may ask again, for parts or
// for the whole, without being counted.
const GrantLasts = 10 * time.Minute

// Bearers are named without keeping who they are: by the cookie they have, or
// by their address and user agent.

func byCookie(link, cookie string) sluice.Digest {
	return sha256.Sum256([]byte("cookie\x00" + link + "\x00" + cookie))
}

func byClient(link string, b Bearer) sluice.Digest {
	return sha256.Sum256([]byte("client\x00" + link + "\x00" + b.Address.String() + "\x00" + b.Request.UserAgent))
}

// covered gives the grant by which an answer comes without counting, or one of
// nothing. Whoever has it by its cookie has answered what the link asks.
func (g *Grant) covered(r service.Reader, b Bearer, now time.Time) (open service.OpenGrant, answered bool, err error) {
	if g.Link.MaxDownloads == 0 {
		return service.OpenGrant{}, false, nil
	}
	if b.Cookie != "" {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byCookie(g.Link.ID, b.Cookie))
		if err == nil && covers(open, g.Plan, now) {
			return open, true, nil
		}
	}
	if err == nil || sluice.CodeOf(err) == sluice.CodeNotFound {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byClient(g.Link.ID, b))
	}
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !covers(open, g.Plan, now) {
		return service.OpenGrant{}, false, nil
	}
	return open, false, err
}

// covers reports whether an answer comes without counting: it does as long as
// that many bytes are left, and always when it has no bytes.
func covers(open service.OpenGrant, p Plan, now time.Time) bool {
	return now.Before(open.Expires) && p.cost() <= open.Left
}

// open opens a grant with a download that is counted. In all, twice the file's
// size may be taken from it, so whoever lost a download can have the whole file
// once more.
func (gate *Gate) open(g *Grant, b Bearer, now time.Time) (service.OpenGrant, error) {
	bearer := byClient(g.Link.ID, b)
	if b.Person {
		var secret [16]byte
		if _, err := io.ReadFull(gate.random, secret[:]); err != nil {
			return service.OpenGrant{}, err
		}
		g.Cookie = base64.RawURLEncoding.EncodeToString(secret[:])
		bearer = byCookie(g.Link.ID, g.Cookie)
	}
	left := 2*max(1, g.File.Size) - g.Plan.cost()
	return service.OpenGrant{LinkID: g.Link.ID, Bearer: bearer, Expires: now.Add(GrantLasts), Left: left}, nil
}
