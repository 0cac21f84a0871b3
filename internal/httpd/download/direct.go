package download

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
)

// Respond implements httpd.Responder. It sends the successful answers that most downloads get: a file or one part of
// it, the head of one, or 304. A refusal, a question, a redirect, a cookie, several ranges and an unmet precondition
// are net/http's to send.
func (f *face) Respond(d *httpd.Direct) (*httpd.Decided, error) {
	d.Start()
	if d.Named {
		f.routeNamed(&d.Call)
	} else {
		f.route(&d.Call)
	}
	made := f.decideDirect(d)
	if !made.isPlain() {
		return d.Decided(made, func() { f.abandon(made) }), nil
	}
	f.metrics.redeemed(nil)
	return nil, f.send(d, made.grant)
}

// decideDirect has the gate decide about a plain request. A panic becomes an error, since nothing was sent.
func (f *face) decideDirect(d *httpd.Direct) (made decision) {
	defer func() {
		if p := recover(); p != nil {
			d.Log().Error("panic", "request", d.ID, "route", d.Route(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			made = decision{err: sluice.Errorf(sluice.CodeInternal, "")}
		}
		if inTime := d.Decide(); !inTime && errors.Is(made.err, context.Canceled) {
			made.err = sluice.Errorf(sluice.CodeUnavailable, "the request was cancelled")
		}
	}()
	b := bearerOf(&d.Head)
	b.Named = d.Named
	b.Address, b.Request = d.Describe(&d.Head, d.Peer)
	made.grant, made.err = f.gate.Redeem(d.Context, d.Token, b)
	return made
}

// abandon ends a request that was decided and that net/http does not answer, because the connection is gone.
func (f *face) abandon(made decision) {
	f.metrics.redeemed(made.err)
	if made.err == nil {
		f.conclude(made.grant, 0, false)
	}
}

// isPlain reports whether the answer to a request is one that send sends.
func (made decision) isPlain() bool {
	if made.err != nil || made.grant.Location != "" || made.grant.Cookie != "" {
		return false
	}
	switch plan := made.grant.Plan; plan.Status {
	case http.StatusOK, http.StatusPartialContent:
		return len(plan.Parts) == 1
	case http.StatusNotModified:
		return true
	}
	return false
}

// errBroken says that the bytes of an answer broke off.
var errBroken = errors.New("the answer broke off")

// send sends the file of a grant, or what else isPlain allows. An error means that the answer broke off.
func (f *face) send(d *httpd.Direct, g *gate.Grant) (err error) {
	sending, ok := d.State.(*direct)
	if !ok {
		sending = &direct{}
		d.State = sending
	}
	d.Link = g.Link.ID
	out := &sending.delivery
	*out = delivery{to: d.Conn, rc: unbuffered{d.Conn}, limit: d.Transfer(), window: time.Now(), ctx: d.Context}
	defer func() {
		if p := recover(); p != nil {
			d.Log().Error("panic", "request", d.ID, "route", d.Route(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errBroken
		}
		d.Sent = out.sent
		f.conclude(g, out.sent, out.failed())
		d.End(err != nil)
	}()
	sending.writeHead(d.ID, g)
	content := g.Plan.Bytes > 0
	if err = d.SendHead(g.Plan.Status, sending.head, content); err == nil && content {
		err = out.send(g.Content, g.Plan.Parts[0])
	}
	return err
}

// unbuffered is a connection as a delivery controls it.
type unbuffered struct{ *httpd.Conn }

// SetWriteDeadline sets the deadline seldom: most answers are written at once.
func (u unbuffered) SetWriteDeadline(to time.Time) error { return u.ExtendWrites(to) }

// Flush does nothing: the connection keeps no bytes once ReadFrom has returned.
func (unbuffered) Flush() error { return nil }

// direct is what a connection keeps between its answers, so that the next one allocates less.
type direct struct {
	delivery delivery
	head     []byte
	about    about
	link     sluice.Link // about is of the names and types of these two
	file     sluice.File
}

// aboutFile returns what the headers say about a file. It is that of the previous answer as long as nothing changed
// that it depends on.
func (s *direct) aboutFile(l *sluice.Link, f *sluice.File) *about {
	same := s.file.SHA256 == f.SHA256 && s.file.Created.Equal(f.Created) && s.file.Filename == f.Filename &&
		s.file.Type == f.Type && s.link.Filename == l.Filename && s.link.Disposition == l.Disposition
	if !same || s.about.tag == "" {
		s.link, s.file, s.about = *l, *f, aboutFile(*l, *f)
	}
	return &s.about
}

// writeHead writes the head of an answer into s.head, without what Direct.SendHead adds. The lines are in the order of
// their names, as net/http writes them.
func (s *direct) writeHead(id string, g *gate.Grant) {
	about, plan := s.aboutFile(&g.Link, &g.File), &g.Plan
	b := append(s.head[:0], statusLine(plan.Status)...)
	of := len(plan.Parts) == 1 // otherwise the answer is 304
	if of {
		b = append(b, "Accept-Ranges: bytes\r\n"...)
	}
	b = append(b, cacheControl...)
	b = appendLine(b, "Content-Disposition: ", about.disposition)
	if of {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, plan.Parts[0].Length, 10)
		b = append(b, "\r\n"...)
		if plan.Ranged {
			b = appendLine(b, "Content-Range: ", contentRange(plan.Parts[0], g.File.Size))
		}
	}
	if about.plays {
		b = append(b, playerLine...)
	} else {
		b = append(b, securityPolicy...)
	}
	if of {
		b = appendLine(b, "Content-Type: ", about.mediaType)
	}
	b = append(b, openerPolicy...)
	b = append(b, resourcePolicy...)
	b = appendLine(b, "Etag: ", about.tag)
	if of {
		b = appendLine(b, "Last-Modified: ", about.modified)
	}
	b = append(b, referrerPolicy...)
	b = appendLine(b, "Repr-Digest: ", about.digest)
	b = append(b, contentTypeOptions...)
	b = appendLine(b, "X-Request-Id: ", id)
	s.head = slices.Grow(append(b, robots...), httpd.HeadRoom)
}

func appendLine(b []byte, start, value string) []byte {
	b = append(b, start...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func statusLine(status int) string {
	switch status {
	case http.StatusPartialContent:
		return "HTTP/1.1 206 Partial Content\r\n"
	case http.StatusNotModified:
		return "HTTP/1.1 304 Not Modified\r\n"
	}
	return "HTTP/1.1 200 OK\r\n"
}

// The lines of protection.
var (
	cacheControl       = protectionLine("Cache-Control")
	securityPolicy     = protectionLine("Content-Security-Policy")
	openerPolicy       = protectionLine("Cross-Origin-Opener-Policy")
	resourcePolicy     = protectionLine("Cross-Origin-Resource-Policy")
	referrerPolicy     = protectionLine("Referrer-Policy")
	contentTypeOptions = protectionLine("X-Content-Type-Options")
	robots             = protectionLine("X-Robots-Tag")
	playerLine         = "Content-Security-Policy: " + playerPolicy[0] + "\r\n"
)

func protectionLine(name string) string { return name + ": " + protection[name][0] + "\r\n" }
