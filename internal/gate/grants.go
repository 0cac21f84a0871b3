package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"time"

	"sluice"
	"sluice/internal/service"
)

// GrantLasts is how long a bearer may repeat a counted download, in whole or in
// parts, without being counted again.
const GrantLasts = 10 * time.Minute

// byCookie identifies a bearer by the hash of their cookie.
func byCookie(link, cookie string) sluice.Digest {
	return sha256.Sum256([]byte("cookie\x00" + link + "\x00" + cookie))
}

// byClient identifies a bearer by the hash of their address and user agent.
func byClient(link string, b Bearer) sluice.Digest {
	return sha256.Sum256([]byte("client\x00" + link + "\x00" + b.Address.String() + "\x00" + b.Request.UserAgent))
}

// findOpenGrant returns the open grant that the response can be taken from without
// counting a download, or the zero OpenGrant. A bearer who has its cookie has
// already answered the link's challenge.
func (g *Grant) findOpenGrant(
	r service.Reader, b Bearer, now time.Time,
) (open service.OpenGrant, answered bool, err error) {
	if g.Link.MaxDownloads == 0 {
		return service.OpenGrant{}, false, nil
	}
	if b.Cookie != "" {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byCookie(g.Link.ID, b.Cookie))
		if err == nil && withinGrant(open, g.Plan, now) {
			return open, true, nil
		}
	}
	if err == nil || sluice.CodeOf(err) == sluice.CodeNotFound {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byClient(g.Link.ID, b))
	}
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !withinGrant(open, g.Plan, now) {
		return service.OpenGrant{}, false, nil
	}
	return open, false, err
}

// withinGrant reports whether an open grant has enough bytes left for a response.
// A response without bytes costs none.
func withinGrant(open service.OpenGrant, p Plan, now time.Time) bool {
	return now.Before(open.Expires) && p.cost() <= open.Left
}

// newOpenGrant returns the open grant that a counted download begins. It allows
// twice the size of the file in total, so that a bearer whose download broke can
// download the whole file once more.
func (gate *Gate) newOpenGrant(g *Grant, b Bearer, now time.Time) (service.OpenGrant, error) {
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
	return service.OpenGrant{
		LinkID: g.Link.ID, Bearer: bearer, Expires: now.Add(GrantLasts), Left: left, Seq: g.seq,
	}, nil
}
