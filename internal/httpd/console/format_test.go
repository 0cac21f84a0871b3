package console

import (
	"slices"
	"testing"
	"time"

	"sluice"
)

// TestParagraphs checks that a text keeps its lines, and nothing else that is invisible.
func TestParagraphs(t *testing.T) {
	if got := paragraphs("a\r\n\u202eb"); got != "a\n[U+202E]b" {
		t.Errorf("two lines are shown as %q", got)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", -59 * time.Second: "just now", -time.Minute: "1 minute ago", -119 * time.Minute: "119 minutes ago",
		-2 * time.Hour: "2 hours ago", 47 * time.Hour: "in 47 hours", 48 * time.Hour: "in 2 days",
		90 * 24 * time.Hour: "in 3 months", -800 * 24 * time.Hour: "2 years ago",
	} {
		if got := ago(now.Add(d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestPresets checks that a form offers no lifetime that the rules forbid.
func TestPresets(t *testing.T) {
	day := 24 * time.Hour
	for longest, want := range map[time.Duration]struct {
		values []string
		usual  string
	}{
		30 * time.Minute: {[]string{"1800"}, "1800"},
		time.Hour:        {[]string{"3600"}, "3600"},
		day:              {[]string{"3600", "86400"}, "86400"},
		14 * day:         {[]string{"3600", "86400", "604800", "1209600"}, "604800"},
		30*day - 1:       {[]string{"3600", "86400", "604800", "2591999"}, "604800"},
		0:                {nil, ""},
		sluice.Forever: {
			[]string{"3600", "86400", "604800", "2592000", "7776000", "31536000", "never"}, "604800",
		},
	} {
		list := presets(longest)
		var values []string
		for _, p := range list {
			values = append(values, p.Value)
		}
		if !slices.Equal(values, want.values) || usual(list) != want.usual {
			t.Errorf("%v: %q, usually %q; want %q, %q", longest, values, usual(list), want.values, want.usual)
		}
	}
}
