package sluice

import (
	"testing"
	"time"
)

// Each rule refuses by itself, also where the store has ended the link for the
// same cause already.
func TestRefuse(t *testing.T) {
	now := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		link Link
		file File
		key  Key
		want Refusal
	}{
		{"good", Link{Expires: now.Add(time.Microsecond)}, File{}, Key{}, ""},
		{"without end", Link{}, File{}, Key{}, ""},
		{"expired", Link{Expires: now}, File{}, Key{}, Expired},
		{"ended", Link{Revoked: now, Ended: Revoked, Expires: now}, File{}, Key{}, Revoked},
		{"file deleted", Link{}, File{Deleted: now}, Key{}, FileDeleted},
		{"key revoked", Link{}, File{}, Key{Revoked: now}, KeyRevoked},
	} {
		if got := refuse(c.link, c.file, c.key, now); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}
