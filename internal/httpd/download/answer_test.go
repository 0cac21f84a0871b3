package download

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// timed is an answer on a connection that records its read deadline.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *timed) SetReadDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

// TestAnswerEndsItsDeadline checks that reading a complete form clears the read deadline, which would end a long
// download.
func TestAnswerEndsItsDeadline(t *testing.T) {
	for body, stands := range map[string]bool{"password=x": false, "password=%": true} {
		w := &timed{httptest.NewRecorder(), time.Now()}
		r := httptest.NewRequest("POST", "/l/x", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, err := readAnswer(w, r); (err != nil) != stands || w.deadline.IsZero() == stands {
			t.Errorf("%s: %v, the deadline is %v", body, err, w.deadline)
		}
	}
}

// FuzzAnswer reads arbitrary forms.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "password=x", "password=%", "password=a&password=b", "password=a;b", "%00=%ff",
		strings.Repeat("a", maxAnswer+1), strings.Repeat("&", maxAnswer)} {
		f.Add(body, "application/x-www-form-urlencoded")
	}
	for _, body := range []string{"step=send&email=ann%40bank.example", "step=verify&code=1234+5678", "step=download&again=1",
		"step=download&terms=accepted", "step=other", "step=send&step=verify&email=%0d%0aTo:x"} {
		f.Add(body, "application/x-www-form-urlencoded")
	}
	f.Add("password=x", "multipart/form-data; boundary=x")
	f.Add("password=x", "text/plain; a")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		send := func(body, contentType string) (answer, error) {
			r := httptest.NewRequest("POST", "/l/x?password=of+the+address&a;b&100%", strings.NewReader(body))
			r.Header["Content-Type"] = []string{contentType}
			return readAnswer(httptest.NewRecorder(), r)
		}
		a, err := send(body, contentType)
		switch code := sluice.CodeOf(err); {
		case err == nil && (len(body) <= maxAnswer || a == (answer{})):
		case code == sluice.CodeTooLarge && len(body) > maxAnswer:
		case code == sluice.CodeValidation && a == (answer{}):
		case code == sluice.CodeUnsupportedType && a == (answer{}):
		default:
			t.Fatalf("%q as %q: %v, %v", body, contentType, a, err)
		}
		if strings.HasPrefix(a.password, "of the address") && !strings.Contains(body, "address") {
			t.Fatalf("%q: the password is that of the address", body)
		}
		if len(body) > service.MaxPasswordLen {
			return
		}
		a, err = send(url.Values{"password": {body}}.Encode(), "Application/x-www-form-urlencoded;charset=UTF-8")
		if err != nil || a.password != body {
			t.Fatalf("%q came as %q: %v", body, a.password, err)
		}
	})
}
