package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

func (s *site) mountKeys() {
	s.page("GET /keys", sluice.KeysAdmin, (*visit).listKeys)
	s.page("GET /keys/new", sluice.KeysAdmin, (*visit).askNewKey)
	s.page("POST /keys", sluice.KeysAdmin, (*visit).createKey)
	s.page("GET /keys/{id}", sluice.KeysAdmin, (*visit).showKey)
	s.page("GET /keys/{id}/rotate", sluice.KeysAdmin, (*visit).askRotateKey)
	s.page("POST /keys/{id}/rotate", sluice.KeysAdmin, (*visit).rotateKey)
	s.page("GET /keys/{id}/revoke", sluice.KeysAdmin, (*visit).askRevokeKey)
	s.page("POST /keys/{id}/revoke", sluice.KeysAdmin, (*visit).revokeKey)
}

var _ = flash(map[string]string{
	"secret-shown": "This form was sent before, and the answer showed the secret. If that is lost, make a new secret.",
	"key-revoked":  "The API key was revoked. It opens nothing any more, and its links and sessions have ended.",
})

// scopeWords say what a scope allows.
var scopeWords = map[sluice.Scope]string{
	sluice.FilesRead:    "See the records of files, but not their bytes",
	sluice.FilesContent: "Read the bytes of files without a link; each time is an entry of the log",
	sluice.FilesWrite:   "Upload, change, hold and delete files",
	sluice.LinksRead:    "See links and who has them",
	sluice.LinksWrite:   "Make, change and end links",
	sluice.AuditRead:    "Read, export and verify the log, with the addresses of people in it",
	sluice.KeysAdmin:    "Create, rotate and revoke API keys, end sessions, and erase personal fields",
}

// scopeWord is a scope with what it allows.
type scopeWord struct {
	Scope  sluice.Scope
	Words  string
	Ticked bool
}

// keyRow is a key with its state in a word.
type keyRow struct {
	sluice.Key
	State linkState
	Path  string
	Own   bool // of the person who looks at it
}

func (v *visit) keyRow(k sluice.Key, now time.Time) keyRow {
	row := keyRow{Key: k, State: linkState{"active", "good"}, Path: v.path("/keys/" + k.ID), Own: k.ID == v.caller.Key.ID}
	switch {
	case !k.Revoked.IsZero():
		row.State = linkState{"revoked", ""}
	case !k.Active(now):
		row.State = linkState{"expired", ""}
	case !k.Expires.IsZero() && k.Expires.Sub(now) < 7*24*time.Hour:
		row.State = linkState{"expires soon", "warn"}
	}
	return row
}

// Rotating reports whether the old secret still works at now.
func (k keyRow) Rotating(now time.Time) bool { return now.Before(k.OldExpires) }

// keyList is the page with the list of keys.
type keyList struct {
	Keys  []keyRow
	Pages pager
	Now   time.Time
}

func (v *visit) listKeys() error {
	page := pageOf(v.r.URL.Query())
	list, err := v.svc.Keys.List(v.r.Context(), v.caller, page)
	if err != nil {
		return err
	}
	p := keyList{Now: v.svc.Now(), Pages: pagerOf(v.r, page, list, func(k sluice.Key) string { return k.ID })}
	for _, k := range list.Data {
		p.Keys = append(p.Keys, v.keyRow(k, p.Now))
	}
	return v.render("keys", p)
}

// keyPage is the page of a key, and of the forms that change it.
type keyPage struct {
	keyRow
	Form   *fields
	Scopes []scopeWord
	Secret string // of a key that was just made
	Now    time.Time
}

func (v *visit) findKey() (p keyPage, err error) {
	k, err := v.svc.Keys.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return p, err
	}
	return v.keyPage(k), nil
}

func (v *visit) keyPage(k sluice.Key) keyPage {
	now := v.svc.Now()
	p := keyPage{keyRow: v.keyRow(k, now), Form: newFields(nil), Now: now}
	for _, scope := range sluice.AllScopes() {
		if k.Grants(scope) {
			p.Scopes = append(p.Scopes, scopeWord{scope, scopeWords[scope], true})
		}
	}
	return p
}

func (v *visit) showKey() error {
	p, err := v.findKey()
	if err != nil {
		return err
	}
	return v.render("key", p)
}

// newKeyPage is the form that creates a key.
type newKeyPage struct {
	Form   *fields
	Scopes []scopeWord // that the person may grant
}

var newKeyFields = []string{"name", "scopes", "expires_at"}

func (v *visit) askNewKey() error {
	return v.newKeyPage(http.StatusOK, newFields(nil, newKeyFields...))
}

func (v *visit) newKeyPage(status int, form *fields) error {
	p := newKeyPage{Form: form}
	for _, scope := range sluice.AllScopes() {
		if v.caller.Grants(scope) {
			p.Scopes = append(p.Scopes, scopeWord{scope, scopeWords[scope], form.Has("scopes", string(scope))})
		}
	}
	return v.show(status, "newkey", p)
}

// createKey creates a key, and shows its secret on the page that answers, which is the only place where it ever is.
func (v *visit) createKey() error {
	values, err := v.form()
	if err != nil {
		return err
	}
	var invalid sluice.Invalid
	n := service.NewKey{Name: strings.TrimSpace(values.Get("name")), Expires: endOfDay(values, &invalid)}
	for _, scope := range values["scopes"] {
		n.Scopes = append(n.Scopes, sluice.Scope(scope))
	}
	if len(n.Scopes) == 0 {
		invalid.Add("scopes", "required", "a key needs at least one scope")
	}
	var created service.CreatedKey
	v.once(values)
	if err = invalid.Err(); err == nil {
		created, err = v.svc.Keys.Create(v.r.Context(), v.caller, n)
	}
	if err != nil {
		form := newFields(values, newKeyFields...)
		if !form.fail("The key was not created", err) {
			return err
		}
		return v.newKeyPage(v.call.Problem(v.r.Context(), err).Status, form)
	}
	return v.showSecret(created)
}

// endOfDay reads the last day of a key, in UTC.
func endOfDay(values url.Values, v *sluice.Invalid) time.Time {
	text := values.Get("expires_at")
	if text == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		v.Add("expires_at", "invalid", "this is not a day such as 2026-11-28")
	}
	return day.AddDate(0, 0, 1)
}

// showSecret answers with the page of a key and its new secret. The answer to a form that was sent before has none.
func (v *visit) showSecret(k service.CreatedKey) error {
	if k.Secret == "" {
		return v.redirect(did(v.path("/keys/"+k.Key.ID), "secret-shown"))
	}
	p := v.keyPage(k.Key)
	p.Secret = k.Secret
	return v.show(http.StatusOK, "key", p)
}

// overlaps are the choices of how long an old secret works beside a new one.
var overlaps = []time.Duration{0, time.Hour, 24 * time.Hour, service.MaxOverlap}

// LongestLink says how long the links of the key may live.
func (p keyPage) LongestLink() string {
	switch p.MaxLinkLifetime {
	case 0:
		return "as the server allows"
	case sluice.Forever:
		return "without limit"
	}
	return lifetime(p.MaxLinkLifetime)
}

// Overlaps are the choices in seconds.
func (keyPage) Overlaps() []time.Duration { return overlaps }

// Seconds is a duration in seconds.
func (keyPage) Seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (v *visit) askRotateKey() error {
	p, err := v.findKey()
	if err != nil {
		return err
	}
	return v.render("rotate", p)
}

func (v *visit) rotateKey() error {
	values, err := v.form()
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(values.Get("overlap_seconds"), 10, 64)
	overlap := time.Duration(seconds) * time.Second
	if err != nil || !slices.Contains(overlaps, overlap) {
		return sluice.Errorf(sluice.CodeValidation, "there is no such time for the old secret")
	}
	v.once(values)
	k, err := v.svc.Keys.Rotate(v.r.Context(), v.caller, v.r.PathValue("id"), overlap)
	if err != nil {
		return v.keyFailed("rotate", "The key was not changed", err)
	}
	return v.showSecret(k)
}

func (v *visit) askRevokeKey() error {
	p, err := v.findKey()
	if err != nil {
		return err
	}
	return v.render("revoke", p)
}

func (v *visit) revokeKey() error {
	id := v.r.PathValue("id")
	if _, err := v.svc.Keys.Revoke(v.r.Context(), v.caller, id, nil); err != nil {
		return v.keyFailed("revoke", "The key was not revoked", err)
	}
	if id == v.caller.Key.ID { // the session has ended with it
		return v.redirect(v.signInPath(""))
	}
	return v.redirect(did(v.path("/keys"), "key-revoked"))
}

// keyFailed shows a form again, if it can say what is wrong.
func (v *visit) keyFailed(view, title string, err error) error {
	p, missing := v.findKey()
	if missing != nil || !p.Form.fail(title, err) {
		return err
	}
	return v.show(v.call.Problem(v.r.Context(), err).Status, view, p)
}
