package audit

import (
	"encoding/json"
	"slices"
	"strings"

	"sluice"
	"sluice/ledger"
)

// Names that people give to files and links, and what else they say of them, are in clear in a leaf. Where the purpose
// of the file says that they are personal, they are commitments like the addresses, and the part of the file lists
// them: a reader could not tell a commitment from a name in clear that looks like one.

// is reports whether a name is personal.
func (c *committer) is(field sluice.PersonalField) bool { return slices.Contains(c.personal, field) }

// name replaces a text by a commitment if it is personal.
func (c *committer) name(field sluice.PersonalField, pointer string, value *string) {
	if c.is(field) {
		c.commit(pointer, value)
	}
}

// large makes a commitment to a value in canonical JSON, "" for none, if it is personal.
func (c *committer) large(field sluice.PersonalField, pointer, value string) {
	if value == "" || !c.is(field) {
		return
	}
	if c.committed == nil {
		c.committed = map[string]string{}
	}
	c.committed[pointer] = c.replace(pointer, value)
}

func metadataText(m sluice.Metadata) string {
	if len(m) == 0 {
		return ""
	}
	return string(ledger.AppendStringMap(nil, m))
}

// file replaces the personal names of the file of an entry.
func (c *committer) file(e *sluice.Entry) {
	file := *e.File
	e.File = &file
	file.Before = eachPersonal(file.Before, namedOf("/file/before/", c.personal), c.replace)
	c.name(sluice.FieldFilename, "/file/filename", &file.Filename)
	if file.Details != nil && len(file.Details.Linked) > 0 {
		c.large(sluice.FieldLinkedResources, "/file/linked_resources", string(appendResources(nil, file.Details.Linked)))
	}
	c.large(sluice.FieldMetadata, "/file/metadata", metadataText(file.Metadata))
	if file.Details != nil {
		details := *file.Details
		file.Details = &details
		c.name(sluice.FieldTitle, "/file/title", &details.Title)
	}
}

// namedOf returns the personal members of a Before whose names are personal, in order.
func namedOf(prefix string, personal []sluice.PersonalField) (list []personalMember) {
	for _, field := range personal {
		list = append(list, personalMember{
			field: prefix + string(field), name: string(field),
			whole: field == sluice.FieldMetadata || field == sluice.FieldLinkedResources,
		})
	}
	return list
}

// namedOfLink returns the personal members of a link's Before, in order.
func namedOfLink(personal []sluice.PersonalField) []personalMember {
	if len(personal) == 0 {
		return personalOfLink
	}
	list := append(namedOf("/link/before/", personal), personalOfLink...)
	slices.SortFunc(list, func(a, b personalMember) int { return strings.Compare(a.name, b.name) })
	return list
}

// replaceWhole replaces a value in canonical JSON by the commitment to it, as a text, and such a text by the value.
func replaceWhole(value json.RawMessage, replace func(string) string) json.RawMessage {
	if value[0] != '"' {
		return ledger.AppendString(nil, replace(string(value)))
	}
	if opened := replace(ledger.Text(value)); json.Valid([]byte(opened)) {
		return json.RawMessage(opened)
	}
	return json.RawMessage(`""`)
}

// leafValue is a value in a leaf, or the commitment to it.
type leafValue[T any] struct {
	value      T
	commitment string
}

// UnmarshalJSON decodes a value, or a text as a commitment.
func (v *leafValue[T]) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &v.commitment)
	}
	return json.Unmarshal(data, &v.value)
}

func openMetadata(text string) (m sluice.Metadata) {
	if text == "" || json.Unmarshal([]byte(text), &m) != nil {
		return nil
	}
	return m
}

func openResources(text string) (list []sluice.Resource) {
	if text == "" || json.Unmarshal([]byte(text), &list) != nil {
		return nil
	}
	return list
}

// openFile opens the personal names of the file of an entry.
func openFile(
	f *sluice.FilePart, metadata, linked string, reveal func(field, commitment string) string,
) {
	is := func(field sluice.PersonalField) bool { return slices.Contains(f.Personal, field) }
	f.Before = eachPersonal(f.Before, namedOf("/file/before/", f.Personal), reveal)
	if is(sluice.FieldFilename) {
		f.Filename = reveal("/file/filename", f.Filename)
	}
	if f.Details != nil && is(sluice.FieldLinkedResources) {
		f.Details.Linked = openResources(reveal("/file/linked_resources", linked))
	}
	if is(sluice.FieldMetadata) {
		f.Metadata = openMetadata(reveal("/file/metadata", metadata))
	}
	if f.Details != nil && is(sluice.FieldTitle) {
		f.Details.Title = reveal("/file/title", f.Details.Title)
	}
}
