package httpd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

func (c client) makeKey(t testing.TB, body string) api.CreatedKey {
	t.Helper()
	return read[api.CreatedKey](t, c.ask(t, "POST", "/v1/keys", body).want(t, 200))
}

// TestKeys creates, changes, rotates and revokes a key.
func TestKeys(t *testing.T) {
	c := newClient(t)
	now := c.Clock.Now().Unix()
	made := c.makeKey(t, fmt.Sprintf(`{"name":"billing","scopes":["links:write","files:read"],"expires_at":%d,"max_link_lifetime":600}`, now+3600))
	want := api.Key{
		ID: made.ID, Object: "key", Name: "billing", Scopes: []string{"files:read", "links:write"}, Created: now,
		Updated: now, ExpiresAt: ptr(now + 3600),
		MaxLinkLifetime: ptr(api.Lifetime(600)), Version: sluice.APIVersion,
	}
	if diff := cmp.Diff(want, made.Key); diff != "" {
		t.Error(diff)
	}
	if made.Secret == nil || !strings.HasPrefix(*made.Secret, "sk_test_") {
		t.Fatalf("secret %v", made.Secret)
	}
	path := "/v1/keys/" + made.ID
	got := c.ask(t, "GET", path, "").want(t, 200)
	if diff := cmp.Diff(want, read[api.Key](t, got)); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(got.body), "secret") ||
		strings.Contains(string(c.ask(t, "GET", "/v1/keys", "").body), *made.Secret) {
		t.Error("the secret is shown again")
	}

	t.Run("last_used_at", func(t *testing.T) {
		c.Clock.Advance(time.Second)
		c.as(*made.Secret).ask(t, "GET", "/v1/account", "").want(t, 200)
		if got := read[api.Key](t, c.ask(t, "GET", path, "")); got.LastUsedAt == nil || *got.LastUsedAt != now+1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a key grants what it was given", func(t *testing.T) {
		f := c.upload(t, "a.txt", "text/plain", "hello")
		c.as(*made.Secret).ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 403)
		c.as(*made.Secret).ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":600}`).want(t, 200)
		c.as(*made.Secret).ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":601}`).want(t, 400)
	})
	t.Run("PATCH changes what is there and leaves the rest", func(t *testing.T) {
		got := read[api.Key](t, c.ask(t, "PATCH", path, `{"name":"invoicing"}`).want(t, 200))
		want := want
		want.Name, want.Updated, want.LastUsedAt = "invoicing", got.Updated, got.LastUsedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		_, endless := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{Name: "endless", MaxLinkLifetime: sluice.Forever})
		got = read[api.Key](t, c.as(endless).ask(t, "PATCH", path,
			`{"scopes":["files:read"],"max_link_lifetime":"none","expires_at":null}`).want(t, 200))
		if !slices.Equal(got.Scopes, []string{"files:read"}) || got.MaxLinkLifetime == nil ||
			*got.MaxLinkLifetime != api.Endless || got.ExpiresAt != nil || got.Name != "invoicing" {
			t.Errorf("%+v", got)
		}
		if a := c.ask(t, "GET", path, ""); !strings.Contains(string(a.body), `"max_link_lifetime":"none"`) {
			t.Errorf("%s", a.body)
		}
		got = read[api.Key](t, c.as(endless).ask(t, "PATCH", path, `{"max_link_lifetime":null}`).want(t, 200))
		if got.MaxLinkLifetime != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("rotate: overlap_seconds", func(t *testing.T) {
		rotated := read[api.CreatedKey](t, c.ask(t, "POST", path+"/rotate", `{"overlap_seconds":60}`).want(t, 200))
		if rotated.ID != made.ID || rotated.Secret == nil || *rotated.Secret == *made.Secret {
			t.Errorf("%+v", rotated)
		}
		for _, secret := range []string{*made.Secret, *rotated.Secret} {
			c.as(secret).ask(t, "GET", "/v1/account", "").want(t, 200)
		}
		c.Clock.Advance(time.Minute)
		c.as(*made.Secret).ask(t, "GET", "/v1/account", "").want(t, 401)
		c.as(*rotated.Secret).ask(t, "GET", "/v1/account", "").want(t, 200)
		again := read[api.CreatedKey](t, c.ask(t, "POST", path+"/rotate", "").want(t, 200)) // at once
		c.as(*rotated.Secret).ask(t, "GET", "/v1/account", "").want(t, 401)
		c.as(*again.Secret).ask(t, "GET", "/v1/account", "").want(t, 200)
		made = again
	})
	t.Run("DELETE", func(t *testing.T) {
		deleted := read[api.Deleted](t, c.ask(t, "DELETE", path, "").want(t, 200))
		if deleted != (api.Deleted{ID: made.ID, Object: "key", Deleted: true}) {
			t.Errorf("%+v", deleted)
		}
		c.as(*made.Secret).ask(t, "GET", "/v1/account", "").want(t, 401)
		if got := read[api.Key](t, c.ask(t, "GET", path, "").want(t, 200)); got.RevokedAt == nil ||
			*got.RevokedAt != c.Clock.Now().Unix() {
			t.Errorf("%+v", got)
		}
		for method, at := range map[string]string{"PATCH": path, "DELETE": path, "POST": path + "/rotate"} {
			c.problem(t, c.ask(t, method, at, "{}").want(t, 404), sluice.CodeNotFound)
		}
	})
	var actions []string
	for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
		if e.KeyID() == made.ID && strings.HasPrefix(string(e.Action), "key.") {
			actions = append(actions, string(e.Action))
		}
	}
	if want := "key.created key.updated key.updated key.updated key.rotated key.rotated key.revoked"; strings.Join(actions, " ") != want {
		t.Errorf("%q", actions)
	}
}

func TestKeyList(t *testing.T) {
	c := newClient(t)
	ids := []string{c.Key.ID}
	for i := range 4 {
		ids = slices.Insert(ids, 0, c.makeKey(t, fmt.Sprintf(`{"name":"%d"}`, i)).ID)
	}
	var got []string
	for page := c.URL + "/v1/keys?limit=2"; page != ""; {
		a := c.ask(t, "GET", page, "").want(t, 200)
		for _, k := range read[api.List[api.Key]](t, a).Data {
			got = append(got, k.ID)
		}
		page = beside(a)["next"]
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%q, want %q", got, ids)
	}
}

// TestBadKeys requests invalid keys.
func TestBadKeys(t *testing.T) {
	c := newClient(t)
	now := c.Clock.Now()
	_, narrow := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{
		Name: "narrow", Scopes: []sluice.Scope{sluice.KeysAdmin, sluice.FilesRead}, Expires: now.Add(time.Hour),
		MaxLinkLifetime: time.Hour,
	})
	for _, test := range []struct {
		name, body   string
		param, field string
	}{
		{"no name", `{}`, "name", "required"},
		{"an empty name", `{"name":""}`, "name", "required"},
		{"a long name", `{"name":"` + strings.Repeat("ü", 101) + `"}`, "name", "too_long"},
		{"no scopes", `{"name":"x","scopes":[]}`, "scopes", "required"},
		{"an unknown scope", `{"name":"x","scopes":["files:delete"]}`, "scopes", "invalid"},
		{"a scope that is no text", `{"name":"x","scopes":[1]}`, "scopes[0]", "invalid"},
		{"an end in the past", `{"name":"x","expires_at":1}`, "expires_at", "out_of_range"},
		{"an end past the calendar", `{"name":"x","expires_at":253402300800}`, "expires_at", "out_of_range"},
		{"a lifetime of 0", `{"name":"x","max_link_lifetime":0}`, "max_link_lifetime", "out_of_range"},
		{"a lifetime of -1", `{"name":"x","max_link_lifetime":-1}`, "max_link_lifetime", "out_of_range"},
		{"a lifetime of text", `{"name":"x","max_link_lifetime":"1h"}`, "max_link_lifetime", "invalid"},
		{"a lifetime of 1.5", `{"name":"x","max_link_lifetime":1.5}`, "max_link_lifetime", "invalid"},
		{"a lifetime no int64 holds", `{"name":"x","max_link_lifetime":9223372036854775808}`, "max_link_lifetime",
			"out_of_range"},
		{"a mode", `{"name":"x","livemode":true}`, "livemode", "unknown"},
		{"a secret", `{"name":"x","secret":"sk_test_x"}`, "secret", "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := c.state(t)
			p := c.problem(t, c.ask(t, "POST", "/v1/keys", test.body).want(t, 400), sluice.CodeValidation)
			if p.Param != test.param || p.Errors[0].Code != test.field {
				t.Errorf("%+v", p)
			}
			c.unchanged(t, before, 0)
		})
	}
	k := c.makeKey(t, `{"name":"target"}`)
	for _, body := range []string{`{"name":""}`, `{"scopes":[]}`, `{"scopes":["x"]}`, `{"expires_at":1}`,
		`{"max_link_lifetime":0}`, `{"max_link_lifetime":"x"}`, `{"version":"x"}`, ``} {
		c.problem(t, c.ask(t, "PATCH", "/v1/keys/"+k.ID, body).want(t, 400), sluice.CodeValidation)
	}
	for _, body := range []string{`{"overlap_seconds":-1}`, `{"overlap_seconds":604801}`,
		`{"overlap_seconds":9223372036854775807}`, `{"overlap_seconds":"1"}`, `{"overlap":1}`} {
		c.problem(t, c.ask(t, "POST", "/v1/keys/"+k.ID+"/rotate", body).want(t, 400), sluice.CodeValidation)
	}
	const only = "a key can change only keys with no more rights than its own"
	for name, test := range map[string]struct{ method, path, body, says string }{
		"a scope":           {"POST", "/v1/keys", `{"name":"x","scopes":["files:write"]}`, "a key grants only what it has"},
		"a longer lifetime": {"POST", "/v1/keys", `{"name":"x","max_link_lifetime":3601}`, "its own links live at most"},
		"links without end": {"POST", "/v1/keys", `{"name":"x","max_link_lifetime":"none"}`, "its own links live at most"},
		"more time": {"POST", "/v1/keys", fmt.Sprintf(`{"name":"x","expires_at":%d}`, now.Unix()+7200),
			"the calling key itself expires at"},
		"another's change": {"PATCH", "/v1/keys/" + k.ID, `{"name":"mine"}`, only},
		"another's demotion": {"PATCH", "/v1/keys/" + k.ID,
			fmt.Sprintf(`{"scopes":["files:read","keys:admin"],"expires_at":%d,"max_link_lifetime":3600}`, now.Unix()+3600),
			only},
		"another's secret": {"POST", "/v1/keys/" + k.ID + "/rotate", ``, only},
	} {
		t.Run("a key may only grant what it has: "+name, func(t *testing.T) {
			before := c.state(t)
			p := c.problem(t, c.as(narrow).ask(t, test.method, test.path, test.body).want(t, 403), sluice.CodeForbidden)
			if !strings.Contains(p.Detail, test.says) {
				t.Errorf("it says %q, want %q", p.Detail, test.says)
			}
			c.unchanged(t, before, 0)
		})
	}
	t.Run("a key may revoke one that has more", func(t *testing.T) {
		leaked := c.makeKey(t, `{"name":"leaked"}`)
		c.as(narrow).ask(t, "DELETE", "/v1/keys/"+leaked.ID, "").want(t, 200)
	})
	t.Run("a key may change and rotate one that it could have made", func(t *testing.T) {
		child := c.as(narrow).makeKey(t, `{"name":"child"}`)
		c.as(narrow).ask(t, "PATCH", "/v1/keys/"+child.ID, `{"scopes":["files:read"]}`).want(t, 200)
		c.as(narrow).ask(t, "POST", "/v1/keys/"+child.ID+"/rotate", ``).want(t, 200)
	})
	t.Run("what is left out is the asking key's own", func(t *testing.T) {
		made := c.as(narrow).makeKey(t, `{"name":"child"}`)
		if !slices.Equal(made.Scopes, []string{"files:read", "keys:admin"}) ||
			*made.ExpiresAt != now.Add(time.Hour).Unix() || *made.MaxLinkLifetime != 3600 {
			t.Errorf("%+v", made)
		}
	})
	t.Run("none: a key that may mint links without end", func(t *testing.T) {
		_, endless := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{Name: "endless", MaxLinkLifetime: sluice.Forever})
		made := c.as(endless).makeKey(t, `{"name":"child"}`)
		if made.MaxLinkLifetime == nil || *made.MaxLinkLifetime != api.Endless {
			t.Fatalf("%+v", made)
		}
		f := c.upload(t, "a.txt", "text/plain", "hello")
		l := c.as(*made.Secret).mint(t, f.ID, `{"expires_in_seconds":"none"}`)
		if l.ExpiresAt != nil || l.Expired {
			t.Errorf("%+v", l)
		}
		long := c.as(*made.Secret).mint(t, f.ID, `{"expires_in_seconds":31536000}`)
		got := read[api.Link](t, c.as(*made.Secret).ask(t, "PATCH", "/v1/file_links/"+long.ID, `{"expires_at":null}`).want(t,
			200))
		if got.ExpiresAt != nil {
			t.Errorf("%+v", got)
		}
		c.problem(t, c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":"none"}`).want(t, 400),
			sluice.CodeValidation)
		c.problem(t, c.ask(t, "PATCH", "/v1/file_links/"+c.mint(t, f.ID, "").ID, `{"expires_at":null}`).want(t, 400),
			sluice.CodeValidation)
	})
}
