package gate_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/gate"
)

// TestPlan plans the responses to requests for a file of ten bytes.
func TestPlan(t *testing.T) {
	own, other := sluice.Digest{1}, sluice.Digest{2}
	created := time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)
	second, earlier := created.Truncate(time.Second), created.Add(-time.Second)
	file := sluice.File{Size: 10, SHA256: own, Created: created}
	empty := sluice.File{SHA256: own, Created: created}

	is, isNot := &gate.FileVersions{
		SHA256s: []sluice.Digest{other, own},
	}, &gate.FileVersions{
		SHA256s: []sluice.Digest{other},
	}
	any, none := &gate.FileVersions{Any: true}, &gate.FileVersions{}
	ranges := func(specs ...gate.RangeSpec) gate.Want { return gate.Want{Method: "GET", Ranges: specs} }
	first := gate.RangeSpec{First: 0, Last: 3}
	ifRange := func(v gate.FileVersion) gate.Want {
		return gate.Want{Ranges: []gate.RangeSpec{first}, IfRange: &v}
	}

	whole := gate.Plan{Status: 200, Parts: []gate.ByteRange{{From: 0, Length: 10}}, Bytes: 10}
	head := gate.Plan{Status: 200, Parts: whole.Parts, Bodiless: true}
	part := gate.Plan{Status: 206, Parts: []gate.ByteRange{{From: 0, Length: 4}}, Ranged: true, Bytes: 4}
	later := func(parts ...gate.ByteRange) gate.Plan {
		p := gate.Plan{Status: 206, Parts: parts, Ranged: true, Continuation: true}
		for _, r := range parts {
			p.Bytes += r.Length
		}
		return p
	}
	bodiless := func(status int) gate.Plan { return gate.Plan{Status: status, Bodiless: true} }
	malformed := gate.Plan{Status: 416, Ranged: true, Bodiless: true}
	beyond := gate.Plan{Status: 416, Ranged: true, Beyond: true, Bodiless: true}

	for _, c := range []struct {
		name string
		want gate.Want
		file sluice.File
		plan gate.Plan
	}{
		{"plain GET", gate.Want{}, file, whole},
		{"HEAD", gate.Want{Method: "HEAD"}, file, head},
		{"POST", gate.Want{Method: "POST"}, file, whole},
		{"an empty file", gate.Want{}, empty, gate.Plan{Status: 200, Parts: []gate.ByteRange{{}}}},
		{"HEAD of an empty file", gate.Want{Method: "HEAD"}, empty, gate.Plan{Status: 200, Parts: []gate.ByteRange{{}}, Bodiless: true}},

		{"the first bytes", ranges(first), file, part},
		{"the last bytes", ranges(gate.RangeSpec{Suffix: true, Last: 4}), file, later(gate.ByteRange{From: 6, Length: 4})},
		{"more last bytes than there are", ranges(gate.RangeSpec{Suffix: true, Last: 99}), file,
			gate.Plan{Status: 206, Parts: whole.Parts, Ranged: true, Bytes: 10}},
		{"beyond the end", ranges(gate.RangeSpec{First: 9, Last: 99}), file, later(gate.ByteRange{From: 9, Length: 1})},
		{"several", ranges(gate.RangeSpec{First: 4, Last: 5}, gate.RangeSpec{First: 8, Last: 8}), file,
			later(gate.ByteRange{From: 4, Length: 2}, gate.ByteRange{From: 8, Length: 1})},
		{"several with the first byte", ranges(gate.RangeSpec{First: 8, Last: 8}, first), file,
			gate.Plan{Status: 206, Parts: []gate.ByteRange{{From: 8, Length: 1}, {From: 0, Length: 4}}, Ranged: true, Bytes: 5}},
		{"a range with bytes and one without", ranges(gate.RangeSpec{First: 10, Last: 11}, first), file, part},
		{"ranges longer than the file", ranges(first, gate.RangeSpec{First: 2, Last: 9}), file, whole},
		{"range beyond the end", ranges(gate.RangeSpec{First: 10, Last: 10}), file, beyond},
		{"suffix of no bytes", ranges(gate.RangeSpec{Suffix: true}), file, beyond},
		{"a malformed range", gate.Want{BadRange: true}, file, malformed},
		{"a range of an empty file", ranges(first), empty, gate.Plan{Status: 200, Parts: []gate.ByteRange{{}}}},
		{"a malformed range of an empty file", gate.Want{BadRange: true}, empty, gate.Plan{Status: 200, Parts: []gate.ByteRange{{}}}},
		{"HEAD with a range", gate.Want{Method: "HEAD", Ranges: []gate.RangeSpec{first}}, file, head},
		{"POST with a malformed range", gate.Want{Method: "POST", BadRange: true}, file, whole},

		{"a range of this version", ifRange(gate.FileVersion{SHA256: &own}), file, part},
		{"a range of another version", ifRange(gate.FileVersion{SHA256: &other}), file, whole},
		{"a range of this modification time", ifRange(gate.FileVersion{Modified: &second}), file, part},
		{"a range of another modification time", ifRange(gate.FileVersion{Modified: &earlier}), file, whole},
		{"a range of no version", ifRange(gate.FileVersion{}), file, whole},
		{"a malformed range of another version", gate.Want{BadRange: true, IfRange: &gate.FileVersion{}}, file, whole},

		{"if match", gate.Want{IfMatch: is}, file, whole},
		{"if match any", gate.Want{IfMatch: any}, file, whole},
		{"if match another", gate.Want{IfMatch: isNot}, file, bodiless(412)},
		{"if match, malformed", gate.Want{IfMatch: none}, file, bodiless(412)},
		{"if unmodified since then", gate.Want{IfUnmodifiedSince: &second}, file, whole},
		{"if unmodified since earlier", gate.Want{IfUnmodifiedSince: &earlier}, file, bodiless(412)},
		{"if match takes precedence over if unmodified since", gate.Want{IfMatch: is, IfUnmodifiedSince: &earlier}, file, whole},
		{"if none match", gate.Want{IfNoneMatch: is}, file, bodiless(304)},
		{"if none match any", gate.Want{IfNoneMatch: any}, file, bodiless(304)},
		{"if none match, HEAD", gate.Want{Method: "HEAD", IfNoneMatch: is}, file, bodiless(304)},
		{"if none match, POST", gate.Want{Method: "POST", IfNoneMatch: is}, file, bodiless(412)},
		{"if none match another", gate.Want{IfNoneMatch: isNot}, file, whole},
		{"if none match, malformed", gate.Want{IfNoneMatch: none}, file, whole},
		{"if modified since then", gate.Want{IfModifiedSince: &second}, file, bodiless(304)},
		{"if modified since earlier", gate.Want{IfModifiedSince: &earlier}, file, whole},
		{"if modified since then, POST", gate.Want{Method: "POST", IfModifiedSince: &second}, file, whole},
		{"if none match takes precedence over if modified since", gate.Want{IfNoneMatch: isNot, IfModifiedSince: &second}, file, whole},
		{"if match takes precedence over if none match", gate.Want{IfMatch: isNot, IfNoneMatch: is}, file, bodiless(412)},
		{"a precondition takes precedence over a range", gate.Want{IfNoneMatch: is, Ranges: []gate.RangeSpec{first}}, file, bodiless(304)},
	} {
		if diff := cmp.Diff(c.plan, c.want.Plan(c.file)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestBearerIsData checks that a Bearer contains plain values only: no code of the caller runs during a decision.
func TestBearerIsData(t *testing.T) {
	seen := map[reflect.Type]bool{reflect.TypeFor[time.Time](): true} // a clock's time zone is data too
	var check func(path string, of reflect.Type)
	check = func(path string, of reflect.Type) {
		if seen[of] || of.PkgPath() == "net/netip" {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Func, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
			t.Errorf("%s is a %s", path, of)
		case reflect.Pointer, reflect.Slice, reflect.Array:
			check(path, of.Elem())
		case reflect.Struct:
			for i := range of.NumField() {
				check(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		}
	}
	check("Bearer", reflect.TypeFor[gate.Bearer]())
}
