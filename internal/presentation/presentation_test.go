package presentation

import (
	"mime"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAttachment(t *testing.T) {
	long := strings.Repeat("ü", 300)
	for name, want := range map[string]string{
		"report.pdf":                `attachment; filename="report.pdf"; filename*=UTF-8''report.pdf`,
		"say \"hi\".txt":            `attachment; filename="say _hi_.txt"; filename*=UTF-8''say%20%22hi%22.txt`,
		"a\r\nSet-Cookie: x=1.txt":  `attachment; filename="aSet-Cookie_ x=1.txt"; filename*=UTF-8''aSet-Cookie_%20x%3D1.txt`,
		"发票.pdf":                    `attachment; filename="__.pdf"; filename*=UTF-8''%E5%8F%91%E7%A5%A8.pdf`,
		"annual\u202efdp.exe":       `attachment; filename="annualfdp.exe"; filename*=UTF-8''annualfdp.exe`,
		"../../etc/passwd":          `attachment; filename="_.._etc_passwd"; filename*=UTF-8''_.._etc_passwd`,
		`C:\autoexec.bat`:           `attachment; filename="C__autoexec.bat"; filename*=UTF-8''C__autoexec.bat`,
		"100%25.txt":                `attachment; filename="100_25.txt"; filename*=UTF-8''100%2525.txt`,
		"%2ebashrc":                 `attachment; filename="_2ebashrc"; filename*=UTF-8''_2ebashrc`,
		"a%2F%5C%0a%20b":            `attachment; filename="a_2F_5C_0a_20b"; filename*=UTF-8''a_2F_5C_0a%2520b`,
		".htaccess":                 `attachment; filename="htaccess"; filename*=UTF-8''htaccess`,
		"a.exe. .":                  `attachment; filename="a.exe"; filename*=UTF-8''a.exe`,
		"a\u2028b\u0085c\x00d\x7fe": `attachment; filename="abcde"; filename*=UTF-8''abcde`,
		"a;b=c'd.txt":               `attachment; filename="a;b=c'd.txt"; filename*=UTF-8''a%3Bb%3Dc%27d.txt`,
		"\xff\xfe":                  `attachment; filename="file"; filename*=UTF-8''file`,
		"":                          `attachment; filename="file"; filename*=UTF-8''file`,
		"...":                       `attachment; filename="file"; filename*=UTF-8''file`,
		long + ".pdf":               `attachment; filename="` + strings.Repeat("_", 118) + `.pdf"; filename*=UTF-8''` + strings.Repeat("%C3%BC", 118) + `.pdf`,
		long:                        `attachment; filename="` + strings.Repeat("_", 120) + `"; filename*=UTF-8''` + strings.Repeat("%C3%BC", 120),
	} {
		if got := attachment(name); got != want {
			t.Errorf("%q:\n got %s\nwant %s", name, got, want)
		}
	}
}

func FuzzAttachment(f *testing.F) {
	for _, name := range []string{"", "report.pdf", "发票 \"最终\"\r\n.pdf", "a\u202eb", "..", `a\b/c`, "%41", "\xff", strings.Repeat("x.", 200), "a\u0301.pdf", "👩‍👧.png"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := attachment(name)
		for i := range len(got) {
			if got[i] < ' ' || got[i] > '~' {
				t.Fatalf("%q: byte %#x in %q", name, got[i], got)
			}
		}
		kind, params, err := mime.ParseMediaType(got)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q: %v, %s %q from %q", name, err, kind, params, got)
		}
		shown := params["filename"]
		if shown != shownName(name) || shown != shownName(shown) || shown == "" || len(shown) > maxShownName ||
			!utf8.ValidString(shown) {
			t.Fatalf("%q: shown as %q", name, shown)
		}
		if decoded, err := url.PathUnescape(shown); err == nil && strings.ContainsAny(decoded, "/\\\r\n\x00") {
			t.Fatalf("%q: decoded once more, it becomes %q", name, decoded)
		}
		if strings.ContainsAny(shown, "/\\:*?<>|\r\n\x00\u202e\u2066\u2028\ufeff") || strings.HasPrefix(shown, ".") {
			t.Fatalf("%q: shown as %q", name, shown)
		}
	})
}

func FuzzMediaType(f *testing.F) {
	f.Add("text/plain; charset=utf-8")
	f.Add("a/b\r\nX: y")
	f.Fuzz(func(t *testing.T, stored string) {
		got := mediaType(stored)
		for i := range len(got) {
			if got[i] < ' ' || got[i] > '~' {
				t.Fatalf("%q: byte %#x in %q", stored, got[i], got)
			}
		}
		if got == "" || len(got) > 127 {
			t.Fatalf("%q: %q", stored, got)
		}
	})
}
