package audit

import (
	"slices"
	"strings"

	"sluice"
	"sluice/ledger"
)

// FieldOf returns the personal field that a JSON Pointer into a leaf leads to, "" if it leads to none that is known.
func FieldOf(pointer string) sluice.PersonalField {
	part, rest, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "before/"), "filter/") // of a change, and of a report
	member, _, _ := strings.Cut(rest, "/")
	field := sluice.PersonalField(member)
	switch part {
	case "actor", "recipient":
		field = sluice.PersonalField(part)
	case "file", "link", "report", "request":
	default:
		return ""
	}
	if _, known := slices.BinarySearch(personalFields, field); !known {
		return ""
	}
	return field
}

var personalFields = sluice.PersonalFields()

// Pointers returns the JSON Pointers of the disclosures of an entry that are of some fields, or of any field if the
// list is nil, in order.
func (s SealedEntry) Pointers(fields []sluice.PersonalField) (list []string) {
	for pointer := range ledger.Members(s.Disclosures) {
		if fields == nil || slices.Contains(fields, FieldOf(string(pointer))) {
			list = append(list, string(pointer))
		}
	}
	slices.Sort(list)
	return list
}

// WithoutDisclosures returns the disclosures of an entry but for some JSON Pointers. Disclosures that cannot be read
// are dropped.
func (s SealedEntry) WithoutDisclosures(pointers []string) []byte {
	w := object{buf: make([]byte, 0, len(s.Disclosures))}
	w.open("")
	for pointer, value := range ledger.Members(s.Disclosures) {
		if !slices.Contains(pointers, string(pointer)) {
			w.raw(string(pointer), string(value))
		}
	}
	w.close()
	return w.buf
}
