package gate

import (
	"slices"
	"time"

	"sluice"
)

// The HTTP statuses (RFC 9110 section 15) of a response with a file.
const (
	statusOK                  = 200
	statusPartialContent      = 206
	statusSeeOther            = 303
	statusNotModified         = 304
	statusPreconditionFailed  = 412
	statusRangeNotSatisfiable = 416
)

// Want is the part of a file that a request asks for: its method, preconditions and ranges (RFC 9110 sections 13 and
// 14), parsed but not yet applied to a file. The zero value asks for the whole file.
type Want struct {
	Method string // "" means GET

	// The preconditions. Each is nil if the request does not have it or if its date is invalid.
	IfMatch, IfNoneMatch               *FileVersions
	IfUnmodifiedSince, IfModifiedSince *time.Time

	// Ranges are the requested ranges in the order of the request; if empty, the whole file is requested. BadRange
	// says that a range is malformed; then Ranges is empty. Both apply to GET only.
	Ranges   []RangeSpec
	BadRange bool
	// IfRange is the version that the ranges refer to, or nil for any version. If the file has another version, the
	// whole file is sent.
	IfRange *FileVersion
}

// FileVersions is a set of versions of a file, named by their digests like a list of entity tags.
type FileVersions struct {
	Any     bool // every version
	SHA256s []sluice.Digest
}

// FileVersion names one version of a file, by its digest or by its modification time in whole seconds. The zero value
// names no version.
type FileVersion struct {
	SHA256   *sluice.Digest
	Modified *time.Time
}

// RangeSpec is a range of bytes of a file of unknown size.
type RangeSpec struct {
	First, Last int64 // inclusive; Last may lie beyond the end of the file
	Suffix      bool  // the range is the last Last bytes of the file
}

// ByteRange is a range of the bytes of a file.
type ByteRange struct{ From, Length int64 }

// Plan describes the response to a request for a file.
type Plan struct {
	Status int // of the HTTP response
	// Parts are the selected ranges: the whole file with status 200, the requested ranges with 206, and none with any
	// other status.
	Parts  []ByteRange
	Ranged bool // the response is to a request for ranges
	// Beyond says, with status 416, that the ranges lie beyond the end of the file. If false, a range is malformed.
	Beyond bool
	// Bodiless says that the response has no content, as for HEAD.
	Bodiless     bool
	Bytes        int64 // bytes of the file in the content
	Continuation bool  // no range includes the first byte of the file
}

// Plan plans the response for a file. The result depends on w and f only.
func (w Want) Plan(f sluice.File) Plan {
	p := w.selection(f)
	p.Bodiless = w.Method == "HEAD" || len(p.Parts) == 0
	if !p.Bodiless {
		for _, r := range p.Parts {
			p.Bytes += r.Length
		}
		p.Continuation = p.Ranged && !slices.ContainsFunc(p.Parts, func(r ByteRange) bool { return r.From == 0 })
	}
	return p
}

func (w Want) selection(f sluice.File) Plan {
	if status := w.precondition(f); status != 0 {
		return Plan{Status: status}
	}
	if !w.ranged() || f.Size == 0 || w.IfRange != nil && !w.IfRange.is(f) {
		return wholeOf(f)
	}
	if w.BadRange {
		return Plan{Status: statusRangeNotSatisfiable, Ranged: true}
	}
	var parts []ByteRange
	left := f.Size
	for _, spec := range w.Ranges {
		if r := spec.of(f.Size); r.Length > 0 {
			parts = append(parts, r)
			left -= r.Length
		}
		if left < 0 { // the ranges overlap so much that the whole file is shorter
			return wholeOf(f)
		}
	}
	if len(parts) == 0 {
		return Plan{Status: statusRangeNotSatisfiable, Ranged: true, Beyond: true}
	}
	return Plan{Status: statusPartialContent, Parts: parts, Ranged: true}
}

func (w Want) ranged() bool {
	return (w.Method == "GET" || w.Method == "") && (len(w.Ranges) > 0 || w.BadRange)
}

func wholeOf(f sluice.File) Plan {
	return Plan{Status: statusOK, Parts: []ByteRange{{0, f.Size}}}
}

// precondition evaluates the preconditions in the order of RFC 9110 section 13.2.2. It returns 412 or 304 if one of
// them fails, otherwise 0. Only GET and HEAD get 304.
func (w Want) precondition(f sluice.File) int {
	reads := w.Method == "GET" || w.Method == "" || w.Method == "HEAD"
	switch {
	case w.IfMatch != nil:
		if !w.IfMatch.have(f) {
			return statusPreconditionFailed
		}
	case w.IfUnmodifiedSince != nil && Modified(f).After(*w.IfUnmodifiedSince):
		return statusPreconditionFailed
	}
	switch {
	case w.IfNoneMatch != nil:
		if w.IfNoneMatch.have(f) {
			if !reads {
				return statusPreconditionFailed
			}
			return statusNotModified
		}
	case w.IfModifiedSince != nil && reads && !Modified(f).After(*w.IfModifiedSince):
		return statusNotModified
	}
	return 0
}

func (v *FileVersions) have(f sluice.File) bool { return v.Any || slices.Contains(v.SHA256s, f.SHA256) }

func (v *FileVersion) is(f sluice.File) bool {
	return v.SHA256 != nil && *v.SHA256 == f.SHA256 || v.Modified != nil && v.Modified.Equal(Modified(f))
}

// Modified returns the modification time of a file's bytes in whole seconds: its creation, because they never change.
func Modified(f sluice.File) time.Time { return f.Created.Truncate(time.Second) }

// of returns the range in a file of the given size. Its length is 0 if it lies beyond the end.
func (s RangeSpec) of(size int64) ByteRange {
	if s.Suffix {
		n := min(s.Last, size)
		return ByteRange{size - n, n}
	}
	if s.First >= size {
		return ByteRange{}
	}
	return ByteRange{s.First, min(s.Last, size-1) - s.First + 1}
}

// redirected returns the plan of a redirect to the blob store. The blob store evaluates preconditions and ranges, so
// the whole file may leave.
func redirected(f sluice.File) Plan { return Plan{Status: statusSeeOther, Bytes: f.Size} }

func (p Plan) mode() sluice.DeliveryMode {
	if p.Status == statusSeeOther {
		return sluice.DeliveredByRedirect
	}
	return sluice.DeliveredByProxy
}

// consumes reports whether the response consumes a download: whether it has bytes, or is the content of an empty file.
func (p Plan) consumes() bool { return p.Bytes > 0 || p.Status == statusOK && !p.Bodiless }

// cost returns the number of bytes that the response takes from an open grant. An empty file costs one byte, so that
// its downloads are limited too.
func (p Plan) cost() int64 {
	if p.consumes() {
		return max(1, p.Bytes)
	}
	return 0
}
