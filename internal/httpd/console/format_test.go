package console

import (
	"slices"
	"testing"
	"time"

	"sluice"
)

// TestVisible checks that a text of someone else cannot look like another one.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"Bericht Ü.pdf": "Bericht Ü.pdf", "rechnung\u202efdp.exe": "rechnung[U+202E]fdp.exe",
		"a\u200bb\u2066c": "a[U+200B]b[U+2066]c", "line\nbreak\x00": "line[U+000A]break[U+0000]",
		"\xff": "[U+FFFD]", "👩\u200d🚀": "👩\u200d🚀",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
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

// TestSentences checks that every action and every refusal is told in words.
func TestSentences(t *testing.T) {
	for _, a := range sluice.AllActions() {
		if _, ok := deeds[a]; !ok && a != sluice.LinkRefused && a != sluice.AccessDenied {
			t.Errorf("no words tell of %s", a)
		}
	}
	e := sluice.Entry{
		Action: sluice.LinkRefused, Outcome: sluice.Refused, Refusal: sluice.Exhausted, Repeats: 2,
		Actor: sluice.Actor{Type: sluice.ActorBearer}, File: &sluice.FilePart{Filename: "a\u202eb.pdf"},
		Request: &sluice.Request{ClientIP: "192.0.2.1"},
	}
	s := sentenceOf(e)
	if s.String() != "Someone with the link was refused a[U+202E]b.pdf" || s.Tone != "bad" || !slices.Equal(s.More,
		[]string{"Because its downloads were used up", "2 refusals alike before it", "From 192.0.2.1"}) {
		t.Errorf("%q %q %q", s, s.Tone, s.More)
	}
	e = sluice.Entry{
		Action: sluice.LinkRedeemed, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorBearer},
		Recipient: &sluice.RecipientPart{Email: "ada@bank.example"}, File: &sluice.FilePart{ID: "file_1"},
		Delivery: &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Sent: &sluice.Sent{Bytes: 1000}},
	}
	if s := sentenceOf(e); s.String() != "ada@bank.example downloaded file_1" ||
		!slices.Equal(s.More, []string{"It stopped after 1.0 kB"}) {
		t.Errorf("%q %q", s, s.More)
	}
	if s := sentenceOf(sluice.Entry{Action: "file.sung", Outcome: sluice.Allowed}); s.Did != "did file.sung" {
		t.Errorf("an unknown action: %q", s)
	}
}
