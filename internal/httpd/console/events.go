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
	heartbeat     = 25 * time.Second // a comment, so that proxies and the server notice when the other is gone
	streamLasts   = 15 * time.Minute
	streamPatient = 10 * time.Second // for a browser that does not read
)

// streams counts the streams of a process.
type streams struct {
	mu        sync.Mutex
	total     int
	ofSession map[string]int
}

// begin counts a stream of a session. It reports false when there are too many.
func (s *streams) begin(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxStreams || s.ofSession[session] >= maxOfSession {
		return false
	}
	if s.ofSession == nil {
		s.ofSession = map[string]int{}
	}
	s.total++
	s.ofSession[session]++
	return true
}

func (s *streams) end(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.ofSession[session]--; s.ofSession[session] == 0 {
		delete(s.ofSession, session)
	}
}

// streamEvents tells the browser when the log has grown: event news, with the numbers of new and of all entries. It
// ends with the session, and when the server stops.
func (v *visit) streamEvents() error {
	known, err := strconv.ParseInt(v.r.URL.Query().Get("known"), 10, 64)
	if err != nil || known < 0 {
		return sluice.Errorf(sluice.CodeValidation, "known is the number of entries that the page was made with")
	}
	if !v.streams.begin(v.session.ID) {
		v.call.Header.Set("Retry-After", "60")
		return sluice.Errorf(sluice.CodeRateLimited, "there are too many pages that wait for news")
	}
	defer v.streams.end(v.session.ID)
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
