package service_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/service"
)

// TestPlan holds what an answer carries of a file of ten bytes to what the request asks for.
func TestPlan(t *testing.T) {
	own, other := sluice.Digest{1}, sluice.Digest{2}
	created := time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)
	second, earlier := created.Truncate(time.Second), created.Add(-time.Second)
	file := sluice.File{Size: 10, SHA256: own, Created: created}
	empty := sluice.File{SHA256: own, Created: created}

	is, isNot := &service.FileVersions{SHA256s: []sluice.Digest{other, own}}, &service.FileVersions{SHA256s: []sluice.Digest{other}}
	any, none := &service.FileVersions{Any: true}, &service.FileVersions{}
	ranges := func(specs ...service.RangeSpec) service.Want { return service.Want{Method: "GET", Ranges: specs} }
	first := service.RangeSpec{First: 0, Last: 3}
	ifRange := func(v service.FileVersion) service.Want {
		return service.Want{Ranges: []service.RangeSpec{first}, IfRange: &v}
	}

	whole := service.Plan{Status: 200, Parts: []service.ByteRange{{From: 0, Length: 10}}, Bytes: 10}
	head := service.Plan{Status: 200, Parts: whole.Parts, Bodiless: true}
	part := service.Plan{Status: 206, Parts: []service.ByteRange{{From: 0, Length: 4}}, Ranged: true, Bytes: 4}
	later := func(parts ...service.ByteRange) service.Plan {
		p := service.Plan{Status: 206, Parts: parts, Ranged: true, Later: true}
		for _, r := range parts {
			p.Bytes += r.Length
		}
		return p
	}
	bodiless := func(status int) service.Plan { return service.Plan{Status: status, Bodiless: true} }
	malformed := service.Plan{Status: 416, Ranged: true, Bodiless: true}
	beyond := service.Plan{Status: 416, Ranged: true, Beyond: true, Bodiless: true}

	for _, c := range []struct {
		name string
		want service.Want
		file sluice.File
		plan service.Plan
	}{
		{"nothing in particular", service.Want{}, file, whole},
		{"the head", service.Want{Method: "HEAD"}, file, head},
		{"a form that was answered", service.Want{Method: "POST"}, file, whole},
		{"an empty file", service.Want{}, empty, service.Plan{Status: 200, Parts: []service.ByteRange{{}}}},
		{"the head of an empty file", service.Want{Method: "HEAD"}, empty, service.Plan{Status: 200, Parts: []service.ByteRange{{}}, Bodiless: true}},

		{"the first bytes", ranges(first), file, part},
		{"the last bytes", ranges(service.RangeSpec{Suffix: true, Last: 4}), file, later(service.ByteRange{From: 6, Length: 4})},
		{"more last bytes than there are", ranges(service.RangeSpec{Suffix: true, Last: 99}), file,
			service.Plan{Status: 206, Parts: whole.Parts, Ranged: true, Bytes: 10}},
		{"beyond the end", ranges(service.RangeSpec{First: 9, Last: 99}), file, later(service.ByteRange{From: 9, Length: 1})},
		{"several", ranges(service.RangeSpec{First: 4, Last: 5}, service.RangeSpec{First: 8, Last: 8}), file,
			later(service.ByteRange{From: 4, Length: 2}, service.ByteRange{From: 8, Length: 1})},
		{"several with the first byte", ranges(service.RangeSpec{First: 8, Last: 8}, first), file,
			service.Plan{Status: 206, Parts: []service.ByteRange{{From: 8, Length: 1}, {From: 0, Length: 4}}, Ranged: true, Bytes: 5}},
		{"one that has bytes and one that has none", ranges(service.RangeSpec{First: 10, Last: 11}, first), file, part},
		{"more than the file in all", ranges(first, service.RangeSpec{First: 2, Last: 9}), file, whole},
		{"no byte", ranges(service.RangeSpec{First: 10, Last: 10}), file, beyond},
		{"no last byte", ranges(service.RangeSpec{Suffix: true}), file, beyond},
		{"a malformed range", service.Want{BadRange: true}, file, malformed},
		{"a range of an empty file", ranges(first), empty, service.Plan{Status: 200, Parts: []service.ByteRange{{}}}},
		{"a malformed range of an empty file", service.Want{BadRange: true}, empty, service.Plan{Status: 200, Parts: []service.ByteRange{{}}}},
		{"a range of the head", service.Want{Method: "HEAD", Ranges: []service.RangeSpec{first}}, file, head},
		{"a malformed range with a form", service.Want{Method: "POST", BadRange: true}, file, whole},

		{"a range of this version", ifRange(service.FileVersion{SHA256: &own}), file, part},
		{"a range of another version", ifRange(service.FileVersion{SHA256: &other}), file, whole},
		{"a range of this moment", ifRange(service.FileVersion{Modified: &second}), file, part},
		{"a range of another moment", ifRange(service.FileVersion{Modified: &earlier}), file, whole},
		{"a range of no version", ifRange(service.FileVersion{}), file, whole},
		{"a malformed range of another version", service.Want{BadRange: true, IfRange: &service.FileVersion{}}, file, whole},

		{"if match", service.Want{IfMatch: is}, file, whole},
		{"if match any", service.Want{IfMatch: any}, file, whole},
		{"if match another", service.Want{IfMatch: isNot}, file, bodiless(412)},
		{"if match what is malformed", service.Want{IfMatch: none}, file, bodiless(412)},
		{"if unmodified since then", service.Want{IfUnmodifiedSince: &second}, file, whole},
		{"if unmodified since earlier", service.Want{IfUnmodifiedSince: &earlier}, file, bodiless(412)},
		{"if match goes before if unmodified since", service.Want{IfMatch: is, IfUnmodifiedSince: &earlier}, file, whole},
		{"if none match", service.Want{IfNoneMatch: is}, file, bodiless(304)},
		{"if none match any", service.Want{IfNoneMatch: any}, file, bodiless(304)},
		{"if none match, of the head", service.Want{Method: "HEAD", IfNoneMatch: is}, file, bodiless(304)},
		{"if none match, with a form", service.Want{Method: "POST", IfNoneMatch: is}, file, bodiless(412)},
		{"if none match another", service.Want{IfNoneMatch: isNot}, file, whole},
		{"if none match what is malformed", service.Want{IfNoneMatch: none}, file, whole},
		{"if modified since then", service.Want{IfModifiedSince: &second}, file, bodiless(304)},
		{"if modified since earlier", service.Want{IfModifiedSince: &earlier}, file, whole},
		{"if modified since then, with a form", service.Want{Method: "POST", IfModifiedSince: &second}, file, whole},
		{"if none match goes before if modified since", service.Want{IfNoneMatch: isNot, IfModifiedSince: &second}, file, whole},
		{"if match goes before if none match", service.Want{IfMatch: isNot, IfNoneMatch: is}, file, bodiless(412)},
		{"a precondition goes before a range", service.Want{IfNoneMatch: is, Ranges: []service.RangeSpec{first}}, file, bodiless(304)},
	} {
		if diff := cmp.Diff(c.plan, c.want.Plan(c.file)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestBearerIsData holds what is handed to the gate to plain values: nothing of it runs while a decision is made.
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
	check("Bearer", reflect.TypeFor[service.Bearer]())
}
