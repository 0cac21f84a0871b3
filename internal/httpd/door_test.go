package httpd_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/sluicetest"
)

// odd is a door that shows what the server does for one.
func odd() compat.Adapter {
	return compat.Adapter{
		Vendor: "odd", Version: "Odd-Version",
		Head: func(h http.Header, r *http.Request, id string) { h.Set("Odd-Id", id) },
		Fail: func(w http.ResponseWriter, _ *http.Request, f compat.Failure) {
			compat.WriteJSON(w, 444, map[string]any{"code": f.Err.Code, "routed": f.Routed, "id": f.ID})
		},
		Routes: []compat.Route{
			{Method: "GET", Path: "/things/{id}", Serve: func(c compat.Call) error {
				return c.Answer(200, c.Request().PathValue("id")+" "+c.Request().URL.Path)
			}},
			{Method: "DELETE", Path: "/things/{id}", Serve: func(c compat.Call) error { return c.Answer(204, nil) }},
			{Method: "GET", Path: "/panic", Serve: func(compat.Call) error { panic("odd") }},
			{Method: "GET", Path: "/unwritable", Serve: func(c compat.Call) error { return c.Answer(200, func() {}) }},
			{Method: "POST", Path: "/big", Serve: func(c compat.Call) error {
				_, err := c.Body(4)
				return err
			}},
		},
	}
}

func TestDoor(t *testing.T) {
	s := sluicetest.NewServer(t, func(o *httpd.Options) { o.Doors = []compat.Adapter{odd()} })
	ask := func(method, path, body string, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.Secret)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(b.String(), "\r\n\r\n")
		return resp, text
	}
	for request, want := range map[string]string{
		"GET /compat/odd/things/a%2Fb": `"a/b /things/a/b"`,
		"GET /compat/odd/things/x":     `"x /things/x"`,
		"DELETE /compat/odd/things/x":  "",
	} {
		method, path, _ := strings.Cut(request, " ")
		if resp, text := ask(method, path, ""); strings.TrimSpace(text) != want || resp.StatusCode >= 300 || resp.Header.Get("Odd-Id") != resp.Header.Get("X-Request-Id") {
			t.Errorf("%s: %d %q", request, resp.StatusCode, text)
		}
	}
	if _, text := ask("GET", "/things/x", "", "Odd-Version", "1"); !strings.Contains(text, `"x /things/x"`) {
		t.Errorf("by header: %q", text)
	}
	for request, want := range map[string]struct {
		code   sluice.Code
		routed bool
	}{
		"GET /compat/odd":             {sluice.CodeNotFound, false},
		"GET /compat/odd/":            {sluice.CodeNotFound, false},
		"GET /compat/odd//things/x":   {sluice.CodeNotFound, false},
		"POST /compat/odd/things/x":   {sluice.CodeMethodNotAllowed, false},
		"GET /compat/odd/panic":       {sluice.CodeInternal, true},
		"GET /compat/odd/unwritable":  {sluice.CodeInternal, true},
		"POST /compat/odd/big":        {sluice.CodeTooLarge, true},
		"GET /compat/odd/things/x?no": {sluice.CodeUnauthenticated, true},
	} {
		method, path, _ := strings.Cut(request, " ")
		header := []string{}
		if strings.HasSuffix(path, "?no") {
			header = []string{"Authorization", "Basic eDp5"}
		}
		resp, text := ask(method, path, "12345", header...)
		var got struct {
			Code   sluice.Code
			Routed bool
			ID     string
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v in %q", request, err, text)
		}
		if resp.StatusCode != 444 || got.Code != want.code || got.Routed != want.routed || got.ID != resp.Header.Get("X-Request-Id") {
			t.Errorf("%s: %d %+v, want %+v", request, resp.StatusCode, got, want)
		}
		if allow := resp.Header.Get("Allow"); (want.code == sluice.CodeMethodNotAllowed) != (allow == "DELETE, GET, HEAD") {
			t.Errorf("%s: Allow %q", request, allow)
		}
	}
}
