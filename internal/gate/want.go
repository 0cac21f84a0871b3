package gate

import (
	"slices"
	"time"

	"sluice"
)

// The statuses of HTTP (RFC 9110 section 15) that an answer with a file may have.
const (
	statusOK                  = 200
	statusPartialContent      = 206
	statusSeeOther            = 303
	statusNotModified         = 304
	statusPreconditionFailed  = 412
	statusRangeNotSatisfiable = 416
)

// Want is what a request asks for of a file: its method, preconditions and ranges (RFC 9110 sections 13 and 14), read
// but not compared with any file yet. The zero value asks for the whole file.
type Want struct {
	Method string // GET when ""

	// The preconditions. What the request does not have is nil, and so is a moment that is not valid.
	IfMatch, IfNoneMatch               *FileVersions
	IfUnmodifiedSince, IfModifiedSince *time.Time

	// Ranges are the parts that are asked for, in the order of the request; none asks for the whole file. BadRange
	// says that one of the ranges is malformed: then there are no Ranges. Both count for GET alone.
	Ranges   []RangeSpec
	BadRange bool
	// IfRange is the version of the file that the ranges are of; of any other the whole file is sent. Nil for any version.
	IfRange *FileVersion
}

// FileVersions names versions of a file by their digests, as a list of entity tags does.
type FileVersions struct {
	Any     bool // whatever the version is
	SHA256s []sluice.Digest
}

// FileVersion names one version of a file by its digest or by the moment it was made, in whole seconds. One that has
// neither names no version.
type FileVersion struct {
	SHA256   *sluice.Digest
	Modified *time.Time
}

// RangeSpec names bytes of a file whose size is not known yet.
type RangeSpec struct {
	First, Last int64 // both are included; Last may lie beyond the end
	Suffix      bool  // the last bytes of the file are meant, as many as Last says
}

// ByteRange is a range of the bytes of a file.
type ByteRange struct{ From, Length int64 }

// Plan is what the answer to a request carries of a file.
type Plan struct {
	Status int // of HTTP
	// Parts are the ranges of the file that are selected: all of it with status 200, what was asked for with 206.
	// With any other status there are none.
	Parts  []ByteRange
	Ranged bool // ranges were asked for, and the answer follows them
	// Beyond says, with status 416, that the ranges lie beyond the end of the file, rather than that one is malformed.
	Beyond bool
	// Bodiless says that no content follows, as with HEAD.
	Bodiless bool
	Bytes    int64 // of the file, in the content
	Later    bool  // the first byte of the file is in none of the ranges
}

// Plan decides what the answer carries of a file. It depends on nothing else.
func (w Want) Plan(f sluice.File) Plan {
	p := w.selection(f)
	p.Bodiless = w.Method == "HEAD" || len(p.Parts) == 0
	if !p.Bodiless {
		for _, r := range p.Parts {
			p.Bytes += r.Length
		}
		p.Later = p.Ranged && !slices.ContainsFunc(p.Parts, func(r ByteRange) bool { return r.From == 0 })
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
		if left < 0 { // no client needs a byte twice
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

// precondition gives 412 or 304 when the request is not to be carried out, in the order of RFC 9110 section 13.2.2,
// else 0. Only GET and HEAD get 304.
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

// Modified is the moment from which a file has its bytes, in whole seconds: they never change.
func Modified(f sluice.File) time.Time { return f.Created.Truncate(time.Second) }

// of gives the bytes of a file of some size that lie in a range; of length 0 when there are none.
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

// redirected is the plan of an answer that leads on to where the bytes are. Who sends them looks at preconditions and
// ranges, so the whole file may leave.
func redirected(f sluice.File) Plan { return Plan{Status: statusSeeOther, Bytes: f.Size} }

func (p Plan) mode() sluice.DeliveryMode {
	if p.Status == statusSeeOther {
		return sluice.DeliveredByRedirect
	}
	return sluice.DeliveredByProxy
}

// spends reports whether an answer gives what a download is counted for.
func (p Plan) spends() bool { return p.Bytes > 0 || p.Status == statusOK && !p.Bodiless }

// cost is what an answer takes from a grant, in bytes. An empty file costs one,
// or it could be had without end.
func (p Plan) cost() int64 {
	if p.spends() {
		return max(1, p.Bytes)
	}
	return 0
}
