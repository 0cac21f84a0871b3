package console

import (
	"context"
	"sync"
	"time"

	"sluice"
	"sluice/internal/service"
)

func (s *site) mountHome() {
	s.page("GET /{$}", anyone, (*visit).showHome)
	s.page("GET /events", sluice.AuditRead, (*visit).streamEvents)
}

// homePage is the first page of a mode. What the person may not see is nil.
type homePage struct {
	Known   int64 // entries of the log that the page knows
	Lines   []line
	Refused []line
	Ending  *linkRows
	Log     *logState
	Server  *serverState
	Now     time.Time
}

// How much the first page shows of each.
const (
	homeLines   = 10
	homeRefused = 5
	homeEnding  = 5
	endsToday   = 24 * time.Hour
)

func (v *visit) showHome() (err error) {
	p := homePage{Now: v.svc.Now()}
	if v.caller.Grants(sluice.LinksRead) {
		if p.Ending, err = v.endingLinks(p.Now); err != nil {
			return err
		}
	}
	if v.caller.Grants(sluice.AuditRead) {
		if err := v.readLog(&p); err != nil {
			return err
		}
	}
	if v.caller.Grants(sluice.KeysAdmin) {
		p.Server = v.serverState()
	}
	return v.render("home", p)
}

// endingLinks are the links that end within a day, those that end first at the top.
func (v *visit) endingLinks(now time.Time) (*linkRows, error) {
	active, until := false, now.Add(endsToday)
	filter := service.LinkFilter{Over: &active}
	filter.Expires.GTE, filter.Expires.LT = &now, &until
	list, err := v.svc.Links.List(v.r.Context(), v.caller, filter, sluice.Page{Limit: homeEnding})
	if err != nil {
		return nil, err
	}
	files, err := v.filesOf(list.Data)
	if err != nil {
		return nil, err
	}
	rows := &linkRows{Named: true}
	for _, l := range list.Data {
		rows.Rows = append(rows.Rows, v.linkRow(l, files[l.FileID], now))
	}
	return rows, nil
}

// readLog reads what the page shows of the log.
func (v *visit) readLog(p *homePage) error {
	ctx := v.r.Context()
	newest, err := v.svc.Entries.List(ctx, v.caller, service.EntryFilter{}, sluice.Page{Limit: 3 * homeLines})
	if err != nil {
		return err
	}
	for i, e := range newest.Data {
		if i == 0 {
			p.Known = e.Seq + 1
		}
		if e.Action != sluice.LinkDelivered && len(p.Lines) < homeLines { // downloads tell how they ended
			p.Lines = append(p.Lines, v.lineOf(e))
		}
	}
	refused, err := v.svc.Entries.List(ctx, v.caller, service.EntryFilter{Outcome: sluice.Refused},
		sluice.Page{Limit: homeRefused})
	if err != nil {
		return err
	}
	for _, e := range refused.Data {
		p.Refused = append(p.Refused, v.lineOf(e))
	}
	p.Log, err = v.logState(p.Known)
	return err
}

// logState is what the newest checkpoint says of a log.
type logState struct {
	Size       int64
	Checkpoint service.Checkpoint // Verifier is "" if there is none yet
	Unsigned   int64
	Witnesses  []string
}

func (v *visit) logState(size int64) (*logState, error) {
	c, err := v.svc.Ledgers.NewestCheckpoint(v.r.Context(), v.caller)
	if err != nil {
		return nil, err
	}
	return &logState{max(size, c.Size), c, max(0, size-c.Size), witnesses(c.Note)}, nil
}

// serverState is how the server does on which the page was made.
type serverState struct {
	Ready   string // why it cannot commit or store; "" if it can
	Shared  bool   // by several accounts; then the counts are not shown, which are of all of them
	Mails   int64  // that wait
	Oldest  time.Time
	Damaged int64    // files with damaged bytes
	Failing []string // jobs
	Jobs    bool     // whether it is known how the jobs do
}

func (v *visit) serverState() *serverState {
	s := &serverState{Ready: v.readiness.ask(v.r.Context(), v.svc), Damaged: v.svc.Scrub.State().Damaged}
	accounts, err := v.svc.Accounts.List(v.r.Context())
	s.Shared = err != nil || len(accounts) > 1
	if s.Shared {
		s.Damaged = 0
	} else if mails, _, err := v.svc.Mails.State(v.r.Context()); err == nil {
		s.Mails, s.Oldest = mails.Waiting, mails.Oldest
	}
	if v.failingJobs != nil {
		s.Jobs, s.Failing = true, v.failingJobs()
	}
	return s
}

// readiness keeps for a while whether the server is ready: to ask costs a commit and a file. The zero value is usable.
type readiness struct {
	mu      sync.Mutex
	at      time.Time
	problem string
}

// How long the answer holds, and how long a page waits for it.
const (
	readyHolds = 10 * time.Second
	readyWaits = 2 * time.Second
)

func (r *readiness) ask(ctx context.Context, svc *service.Service) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < readyHolds {
		return r.problem
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWaits)
	defer cancel()
	err := svc.Ready(ctx)
	r.at, r.problem = time.Now(), ""
	switch {
	case sluice.CodeOf(err) == sluice.CodeStorageFull:
		r.problem = "The disk is full. Links and keys can still be revoked, and files deleted."
	case err != nil:
		r.problem = "It cannot record changes or store files. The address /readyz of the server says why."
	}
	return r.problem
}
