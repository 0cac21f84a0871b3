package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
)

// TestLinkOfAnExpiredKey is refused in words, to programs and to people, and
// by a label of its own in the metrics.
func TestLinkOfAnExpiredKey(t *testing.T) {
	c := newClient(t)
	key, secret := c.NewKey(t, c.Ledger(sluice.Test))
	l := c.as(secret).mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, "")
	soon := c.Clock.Now().Add(time.Second)
	if _, err := c.UpdateKey(context.Background(), sluice.Operator(c.Ledger(sluice.Test)), key.ID, nil, sluice.KeyChange{Expires: &soon}); err != nil {
		t.Fatal(err)
	}
	c.get(t, l.URL).want(t, 200)
	c.Clock.Advance(time.Second)
	if p := read[api.Problem](t, c.get(t, l.URL).want(t, 410)); p.Reason != "key_expired" || !strings.Contains(p.Detail, "expired") {
		t.Errorf("%+v", p)
	}
	page := c.get(t, l.URL, "Accept", accepted).want(t, 410)
	if !strings.Contains(string(page.body), "may no longer share the file") {
		t.Errorf("%s", page.body)
	}
}
