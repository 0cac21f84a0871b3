package download

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
)

// FuzzByteRanges requests arbitrary ranges of files: the selection lies within the file, and is never larger than it.
func FuzzByteRanges(f *testing.F) {
	for _, header := range []string{
		"bytes=0-", "bytes=-5", "bytes=5-2", "bytes=0-0,-1", "bytes= 0 - 1 ,, 3-", "bytes=-0", "bytes=9223372036854775807-",
		"bytes=0-99999999999999999999",
		"bytes=18446744073709551615-18446744073709551616", "bytes=+1-2", "bytes=--1", "bytes", "BYTES=1-1", "lines=1-2",
		"bytes=0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1",
	} {
		f.Add(header, "", int64(10))
		f.Add(header, "Wed, 04 Mar 2026 05:06:07 GMT", int64(1)<<62)
	}
	f.Add("bytes=0-0", "", int64(0))
	created := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	f.Fuzz(func(t *testing.T, header, ifRange string, size int64) {
		if size < 0 {
			return
		}
		file := sluice.File{Size: size, Created: created}
		r := &http.Request{Method: "GET", Header: http.Header{"Range": {header}, "If-Range": {ifRange}}}
		s := wanted(r).Plan(file)
		switch s.Status {
		case http.StatusOK:
			if len(s.Parts) != 1 || s.Parts[0] != (gate.ByteRange{From: 0, Length: size}) || s.Ranged {
				t.Fatalf("%q of %d: %+v", header, size, s)
			}
		case http.StatusPartialContent:
			if len(s.Parts) == 0 || len(s.Parts) > maxRanges || !s.Ranged {
				t.Fatalf("%q of %d: %+v", header, size, s)
			}
		case http.StatusRequestedRangeNotSatisfiable:
			if len(s.Parts) != 0 {
				t.Fatalf("%q of %d: %+v", header, size, s)
			}
		default:
			t.Fatalf("%q of %d: %+v", header, size, s)
		}
		left := size
		for _, p := range s.Parts {
			if p.From < 0 || p.Length < 0 || p.Length > left || p.From > size-p.Length || p.Length == 0 && s.Ranged {
				t.Fatalf("%q of %d: %+v", header, size, s)
			}
			left -= p.Length
		}
		if s.Ranged && !strings.Contains(strings.ToLower(header), "bytes=") {
			t.Fatalf("%q of %d: %+v", header, size, s)
		}
		if s.Bytes != size-left {
			t.Fatalf("%q of %d: %+v", header, size, s)
		}
	})
}
