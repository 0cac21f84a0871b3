package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"sluice"
	"sluice/internal/service"
)

type sessionCommand struct {
	List sessionList `cmd:"" help:"List the sessions of the console in both modes, newest first. They leave the list a day after they expire."`
	End  sessionEnd  `cmd:"" help:"End a session, or all sessions of a person, at once."`
}

// sessionJSON is the form in which --json prints a session.
type sessionJSON struct {
	ID        string         `json:"id"`
	Object    string         `json:"object"`
	Livemode  bool           `json:"livemode"`
	Key       string         `json:"key,omitempty"`
	Issuer    string         `json:"issuer,omitempty"`
	Subject   string         `json:"subject,omitempty"`
	Email     string         `json:"email,omitempty"`
	Name      string         `json:"name,omitempty"`
	Scopes    []sluice.Scope `json:"scopes,omitempty"`
	Created   int64          `json:"created"`
	ExpiresAt int64          `json:"expires_at"`
	EndedAt   *int64         `json:"ended_at"`
}

func sessionJSONOf(s sluice.Session) sessionJSON {
	printed := sessionJSON{
		ID: s.ID, Object: "session", Livemode: s.Ledger.Mode.Live(), Key: s.KeyID, Issuer: s.Person.Issuer,
		Subject: s.Person.Subject, Email: s.Person.Email, Name: s.Person.Name, Scopes: s.Scopes,
		Created: s.Created.Unix(), ExpiresAt: s.Expires.Unix(),
	}
	if !s.Ended.IsZero() {
		at := s.Ended.Unix()
		printed.EndedAt = &at
	}
	return printed
}

type sessionList struct{ dataFlags }

func (s *sessionList) Run(ctx context.Context, out *output) error {
	i, account, err := s.open(ctx, out)
	if err != nil {
		return err
	}
	sessions, err := allSessions(ctx, i.service, account)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	if s.JSON {
		list := make([]sessionJSON, len(sessions))
		for n, session := range sessions {
			list[n] = sessionJSONOf(session)
		}
		return json.NewEncoder(out.stdout).Encode(list)
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tMODE\tWHO\tSIGNED IN\tSTATE\tSCOPES")
	for _, session := range sessions {
		state := "active"
		if !session.Active(i.service.Now()) {
			state = "ended"
		}
		who := cmp.Or(session.KeyID, session.Person.Email, session.Person.Subject)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", session.ID, session.Ledger.Mode, cell(who),
			session.Created.Format(time.RFC3339), state, cmp.Or(joinScopes(session.Scopes), "of the key"))
	}
	return table.Flush()
}

// allSessions returns the sessions of both modes, test first.
func allSessions(ctx context.Context, svc *service.Service, a sluice.Account) (sessions []sluice.Session, err error) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		page := sluice.Page{Limit: sluice.MaxPageSize}
		for more := true; more; {
			list, err := svc.Sessions.List(ctx, service.Operator(sluice.LedgerID{Account: a.ID, Mode: m}), page)
			if err != nil {
				return nil, err
			}
			sessions = append(sessions, list.Data...)
			if more = list.More; more {
				page.After = list.Data[len(list.Data)-1].ID
			}
		}
	}
	return sessions, nil
}

type sessionEnd struct {
	dataFlags
	ID     string `arg:"" optional:"" help:"The session's id."`
	Person string `help:"End all sessions of the person with this id at the OpenID Connect provider, in both modes of the account." placeholder:"ID"`
	Issuer string `help:"With --person: only sessions of this OpenID Connect provider. Needed if people of several have the id." placeholder:"URL"`
}

func (s *sessionEnd) Run(ctx context.Context, out *output) error {
	if (s.ID == "") == (s.Person == "") {
		return usageError{errors.New("give the id of a session, or --person")}
	}
	if s.Issuer != "" && s.Person == "" {
		return usageError{errors.New("--issuer needs --person")}
	}
	if s.ID != "" {
		if err := checkID(sluice.PrefixSession, s.ID); err != nil {
			return usageError{err}
		}
	}
	i, account, err := s.open(ctx, out)
	if err != nil {
		return err
	}
	ended, err := s.end(ctx, i.service, account)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(out.stdout).Encode(map[string]any{"ended": ended})
	}
	for _, id := range ended {
		if _, err := fmt.Fprintf(out.stdout, "ended %s\n", id); err != nil {
			return err
		}
	}
	return nil
}

// end ends the sessions that are meant, and returns their ids.
func (s *sessionEnd) end(ctx context.Context, svc *service.Service, a sluice.Account) (ended []string, err error) {
	sessions, err := allSessions(ctx, svc, a)
	if err != nil {
		return nil, err
	}
	var meant []sluice.Session
	for _, session := range sessions {
		ofPerson := s.Person != "" && session.Person.Subject == s.Person &&
			(s.Issuer == "" || session.Person.Issuer == s.Issuer)
		if (session.ID == s.ID || ofPerson) && session.Active(svc.Now()) {
			meant = append(meant, session)
		}
	}
	for _, session := range meant {
		if first := meant[0].Person.Issuer; session.Person.Issuer != first {
			return nil, sluice.Errorf(sluice.CodeConflict, "people of %s and %s have this id; say which with --issuer",
				first, session.Person.Issuer)
		}
	}
	for _, session := range meant {
		_, err := svc.Sessions.End(ctx, service.Operator(session.Ledger), session.ID)
		if sluice.CodeOf(err) == sluice.CodeNotFound {
			continue // it has ended meanwhile
		}
		if err != nil {
			return ended, err
		}
		ended = append(ended, session.ID)
	}
	if len(ended) == 0 {
		return nil, sluice.Errorf(sluice.CodeNotFound, "no such session is active; sluice session list shows all sessions")
	}
	return ended, nil
}
