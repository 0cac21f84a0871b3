package console

import (
	"cmp"
	"slices"
	"time"

	"sluice"
	"sluice/internal/sentence"
)

func (s *site) mountPeople() {
	s.page("GET /sessions", sluice.KeysAdmin, (*visit).listSessions)
	s.page("POST /sessions/{id}/end", sluice.KeysAdmin, (*visit).endSession)
}

var _ = flash(map[string]string{
	"session-ended-test": "The session in test mode was ended. One in live mode, of the same browser, goes on.",
	"session-ended-live": "The session in live mode was ended. One in test mode, of the same browser, goes on.",
})

// sessionRow is a session in a list.
type sessionRow struct {
	sluice.Session
	Who, More string
	State     linkState
	Active    bool
	Own       bool
	Log       string // the address of what the person or key did
}

// sessionList is the page with the list of sessions.
type sessionList struct {
	Sessions []sessionRow
	Pages    pager
	Now      time.Time
}

func (v *visit) listSessions() error {
	page := pageOf(v.r.URL.Query())
	list, err := v.svc.Sessions.List(v.r.Context(), v.caller, page)
	if err != nil {
		return err
	}
	p := sessionList{Now: v.svc.Now(), Pages: pagerOf(v.r, page, list, func(s sluice.Session) string { return s.ID })}
	for _, s := range list.Data {
		p.Sessions = append(p.Sessions, v.sessionRow(s, p.Now))
	}
	return v.render("sessions", p)
}

func (v *visit) sessionRow(s sluice.Session, now time.Time) sessionRow {
	row := sessionRow{
		Session: s, State: linkState{"active", "good"}, Active: s.Active(now), Own: s.ID == v.session.ID,
		Who:  sentence.Visible(cmp.Or(s.Person.Name, s.Person.Email, s.Person.Subject)),
		More: sentence.Visible(s.Person.Email),
	}
	if s.KeyID != "" {
		row.Who, row.More = "API key", s.KeyID
	}
	if row.Who == row.More {
		row.More = ""
	}
	switch {
	case !s.Ended.IsZero():
		row.State = linkState{"ended", ""}
	case !row.Active:
		row.State = linkState{"expired", ""}
	}
	if v.caller.Grants(sluice.AuditRead) {
		row.Log = v.path("/log?" + apiQuery(ofSession(s)))
	}
	return row
}

// Roles are the roles that have the scopes of a session, or else the scopes.
func (s sessionRow) Roles() string {
	for _, role := range sluice.AllRoles() {
		if slices.Equal(slices.Sorted(slices.Values(role.Scopes())), slices.Sorted(slices.Values(s.Scopes))) {
			return string(role)
		}
	}
	return joined(s.Scopes)
}

func (v *visit) endSession() error {
	id := v.r.PathValue("id")
	if id == v.session.ID {
		return v.signOut() // of both modes
	}
	if _, err := v.svc.Sessions.End(v.r.Context(), v.caller, id); err != nil {
		return err
	}
	return v.redirect(did(v.path("/sessions"), "session-ended-"+string(v.mode)))
}
