package gate_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// Guesses are counted across two services on one database, for a day. Other
// addresses, and clients that know the password, are not blocked.
func TestGuessesOfTwoStores(t *testing.T) { eachDatabase(t, testGuessesOfTwoStores) }

func testGuessesOfTwoStores(t *testing.T, f *fixture) {
	services := []*fixture{f, f.second()}
	lifetime := 24 * time.Hour // longer than the guesses below take
	_, token := f.mintAs(
		service.NewLink{FileID: f.upload("content").ID, Password: "correct horse", Lifetime: &lifetime},
	)
	try := func(s *fixture, from, password string) sluice.Code {
		return sluice.CodeOf(tryRedeem(s, token, gate.Bearer{Address: netip.MustParseAddr(from), Password: password}))
	}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if code := try(services[i%2], "192.0.2.1", "correct horse"); code != "" {
				t.Errorf("one of 60 concurrent right passwords: %s", code)
			}
		})
	}
	all.Wait()
	checked := func(from string) (n int) {
		for i := range 24 {
			if try(services[i%2], from, "wrong horse") == sluice.CodeForbidden {
				n++
			}
		}
		return n
	}
	if n := checked("192.0.2.1"); n != 10 {
		t.Errorf("two services checked %d concurrent guesses", n)
	}
	if n := checked("2001:db8::1") + checked("2001:db8::ffff:2"); n != 10 {
		t.Errorf("%d concurrent guesses from one network were checked", n)
	}
	if code := try(services[0], "192.0.2.2", "correct horse"); code != "" {
		t.Errorf("right password from another address: %s", code)
	}
	day := 0
	for range 40 {
		f.base.Clock.Advance(10 * time.Minute)
		if try(services[0], "192.0.2.1", "wrong horse") == sluice.CodeForbidden {
			day++
		}
	}
	if day != 20 { // the test's clock does not pass midnight
		t.Errorf("%d more guesses were checked on that day, want the remaining 20", day)
	}
}
