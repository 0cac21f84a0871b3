package mail

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"sluice/internal/leader"
	"sluice/internal/service"
)

// Outbox sends the mails that wait. Of the servers that share a database, one does.
//
// A mail is removed when the mail server has accepted it. It is tried again after a temporary refusal or a lost
// connection, and given up, with an entry in the log, after a permanent one or when its time is over. It is sent twice
// only if the mail server's acceptance is lost: the connection or the process ended before it was recorded, or two
// processes believe for a moment that it is their turn. Both mails then have the same Message-ID.
type Outbox struct {
	Mails    *service.Mails
	Store    service.Store // of Mails
	Writer   *Writer
	Log      *slog.Logger
	Observer Observer // may be nil
}

// Observer is notified of the end of each attempt to send a mail.
type Observer interface {
	MailEnded(kind service.MailKind, result string)
	// MailServerFailing says whether the mail server could not be used at the last attempt to connect.
	MailServerFailing(failing bool)
}

// The results of an attempt to send a mail.
const (
	sent     = "sent"
	retried  = "retried"
	givenUp  = "given_up"
	withheld = "withheld" // nothing is to be sent any more: the address was erased, or the link was opened
)

const (
	connections = 4               // to the mail server at once
	perRead     = 32              // mails that are read at once: a code that comes later waits for no more
	perConn     = 100             // mails that one connection sends
	idle        = 5 * time.Second // a connection without work is closed
	// After a failure to connect or sign in, all mails wait: from firstPause, twice as long each time, up to longPause.
	firstPause = time.Second
	longPause  = time.Minute
	// lastSends is how long an orderly stop waits for the mails that are being sent.
	lastSends = 5 * time.Second
	// settleTime limits the commit of what became of a mail.
	settleTime = 30 * time.Second
)

// lookEvery is how often the mails that are due are read. Tests shorten it.
var lookEvery = time.Second

// leaseName is the name of the lease for sending mails.
const leaseName = "mail"

// Run sends mails until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	leader.Run(ctx, o.Store, leaseName, o.Log, func(turn context.Context) {
		sending, stop := context.WithCancel(context.WithoutCancel(turn))
		defer stop()
		defer context.AfterFunc(turn, func() {
			if ctx.Err() == nil { // the lease was lost: another server sends now
				stop()
				return
			}
			time.AfterFunc(lastSends, stop)
		})()
		t := shift{Outbox: o, work: make(chan service.Mail), busy: map[string]bool{}}
		t.run(turn, sending)
	})
}

// shift is the time during which a server sends the mails.
type shift struct {
	*Outbox
	work chan service.Mail

	mu     sync.Mutex
	busy   map[string]bool // ids of the mails that a sender has, or had since the last read began: true and false
	pause  time.Duration   // after the last failure to connect; 0 after a success
	resume time.Time       // nothing is sent earlier
	failed string          // the last failure to connect
}

// run reads the mails that are due and has them sent until turn ends. The sends end with sending.
func (s *shift) run(turn, sending context.Context) {
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			w := &sender{shift: s}
			w.run(sending)
		})
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for turn.Err() == nil {
		if s.round(turn) {
			continue
		}
		select {
		case <-turn.Done():
		case <-tick.C:
		}
	}
	close(s.work)
	all.Wait()
}

// round hands out mails that are due, and reports whether there were any.
func (s *shift) round(ctx context.Context) (handed bool) {
	s.forgetDone()
	list, err := s.Mails.Due(ctx, perRead, connections, s.isBusy)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Error("mails that wait cannot be read", "error", err)
		}
		return false
	}
	paused := time.Now().Before(s.resumeAt())
	for _, m := range list {
		if s.Mails.Over(m) {
			s.giveUp(ctx, m, "its time was over")
			continue
		}
		if paused {
			continue
		}
		s.setBusy(m, true)
		select {
		case s.work <- m:
			handed = true
		case <-ctx.Done():
			return false
		}
	}
	return handed
}

// isBusy reports whether a sender has a mail, or had it when the last read began: what was read may be what the mail
// was before it was sent.
func (s *shift) isBusy(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, busy := s.busy[id]
	return busy
}

func (s *shift) setBusy(m service.Mail, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[m.ID] = busy
}

// forgetDone forgets the mails whose senders are done. A read that begins now sees what became of them.
func (s *shift) forgetDone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.busy, func(_ string, busy bool) bool { return !busy })
}

func (s *shift) resumeAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resume
}

// connected notes whether the mail server can be used. Each failure is logged once.
func (s *shift) connected(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Observer != nil {
		s.Observer.MailServerFailing(err != nil)
	}
	if err == nil {
		if s.failed != "" {
			s.Log.Info("the mail server can be used again", "server", s.Writer.Server.Host())
		}
		s.pause, s.failed = 0, ""
		return
	}
	if time.Now().Before(s.resume) { // another connection failed at the same time
		return
	}
	s.pause = min(max(firstPause, 2*s.pause), longPause)
	s.resume = time.Now().Add(s.pause)
	if text := err.Error(); text != s.failed {
		s.failed = text
		s.Log.Error("the mail server cannot be used; mails wait", "error", err)
	}
}

// giveUp records that a mail will never be sent.
func (s *shift) giveUp(ctx context.Context, m service.Mail, problem string) {
	s.Log.Warn("mail given up",
		"mail", m.ID, "kind", m.Kind, "link", m.LinkID, "problem", problem, "attempts", m.Attempts)
	s.settle(ctx, m, givenUp, func(ctx context.Context) error { return s.Mails.GiveUp(ctx, m, problem) })
}

// settle commits what became of a mail, and tries until that succeeds or ctx ends. Until then this sender sends no
// other mail: without a record, mails would be sent again after a restart.
func (s *shift) settle(ctx context.Context, m service.Mail, result string, commit func(context.Context) error) {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := s.commit(ctx, commit)
		if err == nil {
			if s.Observer != nil {
				s.Observer.MailEnded(m.Kind, result)
			}
			return
		}
		s.Log.Error("what became of a mail cannot be recorded; retrying", "mail", m.ID, "result", result, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// commit runs a commit even if ctx has ended.
func (s *shift) commit(ctx context.Context, commit func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	return commit(ctx)
}

// sender has a connection to the mail server at times, and sends one mail after the other.
type sender struct {
	*shift
	conn *connection // nil for none
	used int         // mails that conn has sent
}

func (w *sender) run(ctx context.Context) {
	defer w.hangUp()
	for {
		timer := time.NewTimer(idle)
		select {
		case m, ok := <-w.work:
			timer.Stop()
			if !ok {
				return
			}
			w.deliver(ctx, m)
			w.setBusy(m, false)
		case <-timer.C:
			w.hangUp()
		}
	}
}

// deliver sends a mail, and records what became of it.
func (w *sender) deliver(ctx context.Context, m service.Mail) {
	letter, err := w.Mails.Read(ctx, m)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, service.ErrWithheld):
		w.settle(ctx, m, withheld, func(ctx context.Context) error { return w.Mails.Withhold(ctx, letter) })
		return
	case errors.Is(err, service.ErrLinkEnded):
		w.giveUp(ctx, m, "the link had ended")
		return
	case err != nil:
		w.Log.Error("a mail cannot be read; retrying", "mail", m.ID, "error", err)
		w.retry(ctx, m)
		return
	}
	message, err := w.Writer.message(letter, letter.Now)
	if err != nil {
		w.giveUp(ctx, m, "the address is not valid")
		return
	}
	if !w.connect(ctx) {
		return // it stays due
	}
	f := w.conn.send(message)
	if w.used++; w.conn.broken || w.used >= perConn {
		w.hangUp()
	}
	switch {
	case f == nil:
		w.settle(ctx, m, sent, func(ctx context.Context) error { return w.Mails.Sent(ctx, letter) })
	case f.permanent:
		w.giveUp(ctx, m, f.Error())
	default:
		w.Log.Warn("mail not accepted; retrying", "mail", m.ID, "kind", m.Kind, "attempts", m.Attempts+1, "error", f)
		w.retry(ctx, m)
	}
}

func (w *sender) retry(ctx context.Context, m service.Mail) {
	w.settle(ctx, m, retried, func(ctx context.Context) error { return w.Mails.Retry(ctx, m) })
}

// connect makes sure that there is a connection that works.
func (w *sender) connect(ctx context.Context) bool {
	if w.conn != nil && w.used > 0 && w.conn.smtp.Noop() != nil { // the mail server has closed it meanwhile
		w.hangUp()
	}
	if w.conn != nil {
		return true
	}
	if time.Now().Before(w.resumeAt()) {
		return false
	}
	conn, err := w.Writer.Server.connect(ctx)
	if ctx.Err() != nil {
		if err == nil {
			conn.close()
		}
		return false
	}
	if w.connected(err); err != nil {
		return false
	}
	w.conn, w.used = conn, 0
	return true
}

func (w *sender) hangUp() {
	if w.conn != nil {
		w.conn.close()
		w.conn = nil
	}
}
