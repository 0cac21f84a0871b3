package server

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sluice"
)

// FuzzAnswer reads forms of pages that ask, as strangers may send them.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "password=x", "password=%", "password=a&password=b", "password=a;b", "%00=%ff", strings.Repeat("a", maxAnswer+1), strings.Repeat("&", maxAnswer)} {
		f.Add(body, "application/x-www-form-urlencoded")
	}
	f.Add("password=x", "multipart/form-data; boundary=x")
	f.Add("password=x", "text/plain; a")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		send := func(body, contentType string) (url.Values, error) {
			r := httptest.NewRequest("POST", "/l/x?password=of+the+address&a;b&100%", strings.NewReader(body))
			r.Header["Content-Type"] = []string{contentType}
			return readAnswer(httptest.NewRecorder(), r)
		}
		answer, err := send(body, contentType)
		switch code := sluice.CodeOf(err); {
		case err == nil && (len(body) <= maxAnswer || answer == nil):
		case code == sluice.CodeTooLarge && len(body) > maxAnswer:
		case code == sluice.CodeValidation && answer == nil:
		default:
			t.Fatalf("%q as %q: %v, %v", body, contentType, answer, err)
		}
		if strings.HasPrefix(answer.Get("password"), "of the address") && !strings.Contains(body, "address") {
			t.Fatalf("%q: the password is that of the address", body)
		}
		if len(body) > sluice.MaxPasswordLen {
			return
		}
		answer, err = send(url.Values{"password": {body}}.Encode(), "Application/x-www-form-urlencoded;charset=UTF-8")
		if err != nil || answer.Get("password") != body {
			t.Fatalf("%q came as %q: %v", body, answer.Get("password"), err)
		}
	})
}
