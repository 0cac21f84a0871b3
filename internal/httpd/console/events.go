package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice"
)

// Bounds of the streams of events (HTML Living Standard, section 9.2). A browser opens a stream again by itself.
const (
	maxStreams    = 2000 // of a process
	maxOfSession  = 20
	maxOfOwner    = 100              // of the sessions of one person or key
	heartbeat     = 25 * time.Second // a comment, so that proxies and the server notice when the other is gone
	streamLasts   = 15 * time.Minute
	streamPatient = 10 * time.Second // for a browser that does not read
)

// streams counts the streams of a process.
type streams struct {
	mu        sync.Mutex
	total     int
	ofSession map[string]int
	ofOwner   map[owner]int
}

// owner is whose a session is.
type owner struct{ key, issuer, subject string }

func ownerOf(s sluice.Session) owner { return owner{s.KeyID, s.Person.Issuer, s.Person.Subject} }

// begin counts a stream of a session. It reports false when there are too many.
func (s *streams) begin(session sluice.Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := ownerOf(session)
	if s.total >= maxStreams || s.ofSession[session.ID] >= maxOfSession || s.ofOwner[of] >= maxOfOwner {
		return false
	}
	if s.ofSession == nil {
		s.ofSession, s.ofOwner = map[string]int{}, map[owner]int{}
	}
	s.total++
	s.ofSession[session.ID]++
	s.ofOwner[of]++
	return true
}

func (s *streams) end(session sluice.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	release(s.ofSession, session.ID)
	release(s.ofOwner, ownerOf(session))
}

func release[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] == 0 {
		delete(counts, k)
	}
}

// streamEvents tells the browser when the log has grown: event news, with the numbers of new and of all entries. It
// ends with the session, and when the server stops.
func (v *visit) streamEvents() error {
	if v.r.Method == http.MethodHead { // its answer would have no end either
		v.call.Header.Set("Allow", http.MethodGet)
		return sluice.Errorf(sluice.CodeMethodNotAllowed, "this path does not allow HEAD")
	}
	known, err := strconv.ParseInt(v.r.URL.Query().Get("known"), 10, 64)
	if err != nil || known < 0 {
		return sluice.Errorf(sluice.CodeValidation, "known is the number of entries that the page was made with")
	}
	if !v.streams.begin(v.session) {
		return &sluice.Error{
			Code: sluice.CodeRateLimited, RetryAfter: time.Minute, Detail: "there are too many pages that wait for news",
		}
	}
	defer v.streams.end(v.session)
	watch, err := v.svc.Entries.Watch(v.r.Context(), v.caller, known)
	if err != nil {
		return err
	}
	defer watch.Close()
	ctx, cancel := context.WithTimeout(v.r.Context(), streamLasts)
	defer cancel()
	defer context.AfterFunc(v.server.Stopping(), cancel)()
	v.call.Header.Set("Content-Type", "text/event-stream")
	v.call.Header.Set("X-Accel-Buffering", "no") // nginx
	out := stream{v.w, http.NewResponseController(v.w)}
	if out.send("retry: 5000\n\n") != nil {
		return nil
	}
	for {
		wait, stop := context.WithTimeout(ctx, heartbeat)
		news, err := watch.Next(wait)
		stop()
		switch {
		case err == nil:
			err = out.send("event: news\ndata: {\"new\":%d,\"size\":%d}\n\n", news.New, news.Size)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			err = out.send(":\n\n")
		default: // the session has ended, or the database cannot say whether it has
			err = errors.Join(out.send("event: end\ndata: {}\n\n"), err)
		}
		if err != nil {
			return nil
		}
	}
}

// stream writes events.
type stream struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (s stream) send(format string, args ...any) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(streamPatient))
	if _, err := fmt.Fprintf(s.ResponseWriter, format, args...); err != nil {
		return err
	}
	return s.rc.Flush()
}
