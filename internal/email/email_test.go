package email_test

import (
	"strings"
	"testing"

	"sluice/internal/email"
)

func TestCanonical(t *testing.T) {
	for given, want := range map[string]string{
		"ann@bank.example":                     "ann@bank.example",
		"Ann.O'Hara+tag@BANK.Example":          "ann.o'hara+tag@bank.example",
		"a@bücher.example":                     "a@xn--bcher-kva.example",
		"a@BÜCHER.example":                     "a@xn--bcher-kva.example",
		"a@bu\u0308cher.example":               "a@xn--bcher-kva.example", // not normalized
		"a@xn--bcher-kva.example":              "a@xn--bcher-kva.example",
		"a@faß.example":                        "a@xn--fa-hia.example", // IDNA 2008
		"a@bank。example":                       "a@bank.example",       // an ideographic full stop
		"root@intranet":                        "root@intranet",
		strings.Repeat("a", 64) + "@b.example": strings.Repeat("a", 64) + "@b.example",
	} {
		if got, err := email.Canonical(given); got != want || err != nil {
			t.Errorf("%q becomes %q, %v, want %q", given, got, err, want)
		}
	}
	for _, refused := range []string{
		"", "@", "ann", "ann@", "@bank.example", "a@b@bank.example", "a b@bank.example", " a@bank.example",
		"a@bank.example ", "a@bank.example\n", "a\r\nBcc: eve@evil.example@bank.example", "a@bank.example\r\nBcc: x",
		`"a"@bank.example`, "Ann <ann@bank.example>", "<ann@bank.example>", "a@[192.0.2.1]", "a@bank..example",
		"a@.bank.example", "a@-bank.example", "a@bank_x.example", "a@bank.example,eve@evil.example",
		"a@bank.example;eve@evil.example", "a..b@bank.example", ".a@bank.example", "a.@bank.example", "ü@bank.example",
		"a\x00@bank.example", "a@bank\x00.example", "a\u202e@bank.example", "a@ba\u202enk.example", "*@bank.example",
		"a@*.example", "a(comment)@bank.example", "a\\@bank.example", "a@xn--a.example", "a@bank.example/",
		strings.Repeat("a", 65) + "@b.example", "a@" + strings.Repeat("b", 64) + ".example",
		"a@" + strings.Repeat("bbbbbbb.", 40) + "example", strings.Repeat("a@", 1<<20),
	} {
		if got, err := email.Canonical(refused); err == nil {
			t.Errorf("%.80q is accepted as %.80q", refused, got)
		}
	}
}

func TestCanonicalPattern(t *testing.T) {
	for given, want := range map[string]string{
		"*@Bücher.example": "*@xn--bcher-kva.example", "Ann@bank.example": "ann@bank.example",
	} {
		if got, err := email.CanonicalPattern(given); got != want || err != nil {
			t.Errorf("%q becomes %q, %v, want %q", given, got, err, want)
		}
	}
	for _, refused := range []string{
		"*", "*@", "@bank.example", "bank.example", "*@*", "*@*.bank.example", "a*@bank.example@", "*@bank.example\n",
		"*@a@bank.example", "**@bank.example@", "*@" + strings.Repeat("b", 1<<20),
	} {
		if got, err := email.CanonicalPattern(refused); err == nil {
			t.Errorf("%.80q is accepted as %.80q", refused, got)
		}
	}
}

func TestHide(t *testing.T) {
	for given, want := range map[string]string{
		"ann@bank.example": "a••@bank.example", "a@bank.example": "a••@bank.example", "": "••@",
	} {
		if got := email.Hide(given); got != want {
			t.Errorf("%q is shown as %q, want %q", given, got, want)
		}
	}
}

// FuzzCanonical checks that a canonical address is canonical, and safe in the header of a mail.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"Ann@bücher.example", "a@b\r\n", `"a"@b`, "*@b.example", "a@xn--a.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		got, err := email.Canonical(given)
		if err != nil {
			return
		}
		again, err := email.Canonical(got)
		if again != got || err != nil {
			t.Errorf("%q becomes %q, and that %q, %v", given, got, again, err)
		}
		for _, c := range got {
			if c <= ' ' || c >= 127 || strings.ContainsRune("<>()[],;:\"\\", c) {
				t.Errorf("%q becomes %q, which holds %q", given, got, c)
			}
		}
	})
}
