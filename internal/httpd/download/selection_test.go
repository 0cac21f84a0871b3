package download

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
)

// chosen is the content of the parts that a plan selects.
func chosen(s gate.Plan, content []byte) (parts []string) {
	for _, p := range s.Parts {
		parts = append(parts, string(content[p.From:p.From+p.Length]))
	}
	return parts
}

// wanted is wantOf for a request.
func wanted(r *http.Request) gate.Want {
	h := httpd.HeadOf(r)
	return wantOf(&h)
}

// served is what http.ServeContent answers for the same request and content.
func served(t *testing.T, r *http.Request, f sluice.File, content []byte) (status int, parts []string) {
	t.Helper()
	w := httptest.NewRecorder()
	w.Header()["Etag"] = []string{fileTag(f)}
	w.Header()["Content-Type"] = []string{"a/b"}
	http.ServeContent(w, r, "", gate.Modified(f), bytes.NewReader(content))
	kind, params, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	switch {
	case w.Code != http.StatusOK && w.Code != http.StatusPartialContent:
		return w.Code, nil
	case kind != "multipart/byteranges":
		return w.Code, []string{w.Body.String()}
	}
	body := multipart.NewReader(w.Body, params["boundary"])
	for {
		p, err := body.NextPart()
		if err == io.EOF {
			return w.Code, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(b))
	}
}

// FuzzSelection checks that a selection lies within its file, and compares it with http.ServeContent where the two
// should agree.
func FuzzSelection(f *testing.F) {
	const content = "0123456789"
	file := sluice.File{Size: int64(len(content)), Created: time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)}
	tag, at := fileTag(file), "Wed, 04 Mar 2026 05:06:07 GMT"
	for _, seed := range [][6]string{
		{"bytes=0-3"}, {"bytes=3-"}, {"bytes=-2"}, {"bytes=-0"}, {"bytes=10-"}, {"bytes=5-2"}, {"bytes=0-0,4-5,-1"},
		{"bytes=0-9,0-9"}, {"bytes=,, 1-2 ,"}, {"bytes= 1 - 2"},
		{"bytes=0-99999999999999999999999"}, {"bytes=99999999999999999999999-"}, {"bytes=--1"}, {"bytes=+1-2"}, {"bytes="},
		{"BYTES=1-2"}, {"items=1-2"}, {"bytes=0-0,10-20"},
		{"bytes=9223372036854775807-"}, {"bytes=-9223372036854775808"}, {"bytes=0-9223372036854775807,1-1"},
		{"bytes=0-3", tag}, {"bytes=0-3", `"other"`}, {"bytes=0-3", "W/" + tag}, {"bytes=0-3", at},
		{"bytes=0-3", "Wed, 04 Mar 2026 05:06:06 GMT"}, {"bytes=0-3", "x"},
		{"", "", tag}, {"", "", `"other", ` + tag}, {"", "", "*"}, {"bytes=99-", "", "", `"other"`},
		{"", "", "", "W/" + tag}, {"", "", "", "*"},
		{"", "", "W/" + tag}, {"", "", "", "", at}, {"", "", "", "", "", at}, {"", "", `"x"`, "", at},
		{"", "", "", tag, "", "Wed, 04 Mar 2026 05:06:06 GMT"},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			f.Add(method, seed[0], seed[1], seed[2], seed[3], seed[4], seed[5])
		}
	}
	f.Fuzz(func(t *testing.T, method, ranges, ifRange, ifNoneMatch, ifMatch, ifModifiedSince, ifUnmodifiedSince string) {
		if method != "GET" && method != "HEAD" && method != "POST" {
			return
		}
		r := httptest.NewRequest(method, "/", nil)
		for name, value := range map[string]string{
			"Range": ranges, "If-Range": ifRange, "If-None-Match": ifNoneMatch, "If-Match": ifMatch,
			"If-Modified-Since": ifModifiedSince, "If-Unmodified-Since": ifUnmodifiedSince,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		s := wanted(r).Plan(file)
		for _, part := range s.Parts {
			if part.From < 0 || part.Length <= 0 || part.From+part.Length > file.Size || part.Length > file.Size {
				t.Fatalf("%q: the part %+v", ranges, part)
			}
		}
		switch s.Status {
		case http.StatusOK:
			if len(s.Parts) != 1 || s.Parts[0].Length != file.Size || s.Ranged {
				t.Fatalf("%+v", s)
			}
		case http.StatusPartialContent:
			if len(s.Parts) == 0 || len(s.Parts) > maxRanges || s.Bytes > file.Size || !s.Ranged || method != "GET" {
				t.Fatalf("%+v", s)
			}
		case http.StatusRequestedRangeNotSatisfiable, http.StatusPreconditionFailed, http.StatusNotModified:
			if len(s.Parts) != 0 || s.Status == http.StatusNotModified && method == "POST" {
				t.Fatalf("%+v", s)
			}
		default:
			t.Fatalf("status %d", s.Status)
		}
		if s.Bytes < 0 || s.Bytes > file.Size || s.Bodiless && s.Bytes != 0 || method == "HEAD" && !s.Bodiless {
			t.Fatalf("%+v", s)
		}
		// An empty file gets no ranges.
		if none := wanted(r).Plan(sluice.File{Created: file.Created}); none.Status == http.StatusPartialContent ||
			none.Bytes != 0 {
			t.Fatalf("of an empty file %+v", none)
		}

		if !agrees(method, ranges, ifRange, ifNoneMatch, ifMatch) {
			return
		}
		status, parts := served(t, r, file, []byte(content))
		if method == "HEAD" && status == http.StatusPartialContent { // Range is defined for GET
			status = http.StatusOK
		}
		if status != s.Status {
			t.Fatalf("%s %v: status %d, http.ServeContent gives %d", method, r.Header, s.Status, status)
		}
		if got := chosen(s, []byte(content)); method == "GET" && strings.Join(got, "|") != strings.Join(parts, "|") {
			t.Fatalf("%s %v: %q, http.ServeContent gives %q", method, r.Header, got, parts)
		}
	})
}

// agrees reports whether http.ServeContent should answer the same. It reads malformed lists in part, accepts empty
// ranges, refuses other units, and allows any number of ranges with any method.
func agrees(method, ranges, ifRange, ifNoneMatch, ifMatch string) bool {
	for _, list := range []string{ifNoneMatch, ifMatch} {
		if _, ok := httpd.ParseTags(list); list != "" && !ok || strings.Contains(list, "*") {
			return false
		}
	}
	if strings.TrimSpace(ifRange) != ifRange {
		return false
	}
	if tags, _ := httpd.ParseTags(ifRange); strings.HasPrefix(ifRange, `"`) && !slices.Equal(tags, []string{ifRange}) {
		return false
	}
	set, ok := strings.CutPrefix(ranges, "bytes=")
	if ranges == "" {
		return true
	}
	if !ok || method != "GET" || strings.Count(set, ",") >= maxRanges || strings.Trim(set, ", \t") == "" {
		return false
	}
	for spec := range strings.SplitSeq(set, ",") {
		first, last, _ := strings.Cut(strings.TrimSpace(spec), "-")
		if first == "" && strings.Trim(last, "0 \t") == "" || len(first) > 18 || len(last) > 18 ||
			strings.Contains(spec, "+") {
			return false
		}
	}
	return true
}

// FuzzBearer sends arbitrary forms and headers to a link. The result is a password to check, no password, or a client
// error.
func FuzzBearer(f *testing.F) {
	for _, seed := range [][5]string{
		{"POST", "application/x-www-form-urlencoded", "password=pass%3A+w%C3%B6rd", "", ""},
		{"POST", "application/x-www-form-urlencoded", "password=a&password=b", "", ""},
		{"POST", "application/x-www-form-urlencoded; charset=utf-8", "password=%zz", "", ""},
		{"POST", "application/x-www-form-urlencoded", "a;b", "", ""},
		{"POST", "multipart/form-data; boundary=x", "--x\r\n", "", ""},
		{"POST", "\x00/;;", "password=a", "", ""},
		{"POST", "", strings.Repeat("x", maxAnswer+1), "", ""},
		{"POST", "application/x-www-form-urlencoded", strings.Repeat("password=x&", maxAnswer/11) + "password=y", "", ""},
		{"GET", "", "", "Basic OnBhc3M=", ""}, {"GET", "", "", "Basic !!", "sluice_grant=x"},
		{"GET", "", "", "Bearer x", `sluice_grant="x; y"; a=b`},
		{"HEAD", "application/x-www-form-urlencoded", "password=a", "", "sluice_grant=" + strings.Repeat("x", 65)},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], "a=1;b=%zz")
	}
	f.Fuzz(func(t *testing.T, method, mediaType, body, authorization, cookie, query string) {
		if method != "GET" && method != "HEAD" && method != "POST" {
			return
		}
		r := httptest.NewRequest(method, "/l/x", strings.NewReader(body))
		r.URL = &url.URL{Path: "/l/x", RawQuery: query}
		for name, value := range map[string]string{"Content-Type": mediaType, "Authorization": authorization,
			"Cookie": cookie} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		h := httpd.HeadOf(r)
		b, _, err := readBearer(httptest.NewRecorder(), r, &h)
		switch code := sluice.CodeOf(err); {
		case code == sluice.CodeTooLarge && len(body) > maxAnswer,
			(code == sluice.CodeValidation || code == sluice.CodeUnsupportedType) && method == "POST":
			return
		case err != nil:
			t.Fatal(err)
		}
		if (method == "POST") != b.Answered && b.Password == "" || len(b.Cookie) > maxSecret || len(b.Visit) > maxVisit {
			t.Fatalf("%+v", b)
		}
		form := method == "POST" && len(body) <= maxAnswer
		if _, password, _ := r.BasicAuth(); b.Password != "" && b.Password != password && !form {
			t.Fatalf("the password %q came from nowhere", b.Password)
		}
		values, err := url.ParseQuery(body)
		kind, _, kindErr := mime.ParseMediaType(mediaType)
		if want := values.Get("password"); form && err == nil && kindErr == nil &&
			kind == "application/x-www-form-urlencoded" && want != "" && b.Password != want {
			t.Fatalf("the password %q of the form %q was read as %q", want, body, b.Password)
		}
	})
}
