package httpd_test

import (
	"strings"
	"testing"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

// TestIsolation calls every route with keys of another account and of the other mode. No answer shows anything of the
// first account.
func TestIsolation(t *testing.T) {
	c := newClient(t)
	_, foreign := c.NewKey(t, sluice.LedgerID{Account: c.NewAccount(t, "another").ID, Mode: sluice.Test})
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	for _, rt := range server.Routes() {
		if rt.Scope == httpd.Public {
			continue
		}
		for name, secret := range map[string]string{"a key of another account": foreign, "a key of the other mode": live} {
			t.Run(rt.Operation+": "+name, func(t *testing.T) {
				o := c.objects(t)
				a := c.as(secret).call(t, rt, o)
				if strings.Contains(rt.Path, "{id}") && rt.Operation != "listLinksOfFile" {
					c.problem(t, a.want(t, 404), sluice.CodeNotFound)
				}
				shown := string(a.body)
				if a.status == 404 || rt.Operation == "createLinks" {
					// as they were asked for
					shown = strings.NewReplacer(o.file, "", o.link, "", o.entry, "", o.key, "").Replace(shown)
				}
				for _, theirs := range []string{o.file, o.link, o.entry, o.key, c.Key.ID, "a.txt"} {
					if strings.Contains(shown, theirs) {
						t.Errorf("status %d shows %s: %s", a.status, theirs, a.body)
					}
				}
			})
		}
	}
}
