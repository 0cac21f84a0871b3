package fsck

import (
	"slices"
	"strings"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Names that the log has as commitments are not compared by the replay. They are compared with the disclosures of the
// newest entry that records them. Where a redaction has erased a name, the row must have lost it too.

// names is what the newest entry records of the names of a file or link, as hashes by field; 0 stands for nothing.
type names struct {
	hashes map[sluice.PersonalField]uint64
	erased map[sluice.PersonalField]bool // a redaction has erased it in this or an earlier entry
}

// addNames follows an entry that records a file or a link whose names are personal.
func (c *peopleCheck) addNames(e sluice.Entry) {
	f := e.File
	if f == nil || len(f.Personal) == 0 {
		return
	}
	if f.Details != nil {
		row := sluice.File{
			Filename: f.Filename, Title: f.Details.Title, Metadata: f.Metadata, Linked: f.Details.Linked,
			Personal: f.Personal,
		}
		c.files[f.ID] = c.files[f.ID].followed(c.namesOfFile(row), "/file/", e.Redacted)
	}
	if e.Link != nil && e.Link.Limits != nil {
		row := sluice.Link{Filename: e.Link.Limits.Filename, Reason: e.Link.Reason, Metadata: e.Link.Metadata}
		c.named[e.Link.ID] = c.named[e.Link.ID].followed(c.namesOfLink(row, f.Personal), "/link/", e.Redacted)
	}
}

// followed returns the names of the next entry.
func (n names) followed(hashes map[sluice.PersonalField]uint64, prefix string, redacted []string) names {
	next := names{hashes, map[sluice.PersonalField]bool{}}
	for field := range hashes {
		next.erased[field] = n.erased[field] || slices.Contains(redacted, prefix+string(field))
	}
	return next
}

func (c *peopleCheck) namesOfFile(f sluice.File) map[sluice.PersonalField]uint64 {
	all := map[sluice.PersonalField]uint64{
		sluice.FieldFilename: c.hash(f.Filename), sluice.FieldTitle: c.hash(f.Title),
		sluice.FieldMetadata: c.hash(metadataText(f.Metadata)), sluice.FieldLinkedResources: c.hash(resourcesText(f.Linked)),
	}
	return only(all, f.Personal)
}

func (c *peopleCheck) namesOfLink(l sluice.Link, personal []sluice.PersonalField) map[sluice.PersonalField]uint64 {
	all := map[sluice.PersonalField]uint64{
		sluice.FieldFilename: c.hash(l.Filename), sluice.FieldReason: c.hash(l.Reason),
		sluice.FieldMetadata: c.hash(metadataText(l.Metadata)),
	}
	return only(all, personal)
}

// only returns the hashes of the fields that are personal.
func only(all map[sluice.PersonalField]uint64, personal []sluice.PersonalField) map[sluice.PersonalField]uint64 {
	for field := range all {
		if !slices.Contains(personal, field) {
			delete(all, field)
		}
	}
	return all
}

func metadataText(m sluice.Metadata) string {
	if len(m) == 0 {
		return ""
	}
	return string(ledger.AppendStringMap(nil, m))
}

func resourcesText(list []sluice.Resource) string {
	var b strings.Builder
	for _, r := range list {
		b.WriteString(r.Type + "\x00" + r.ID + "\x00")
	}
	return b.String()
}

// differ returns the names of a row that differ from those of the log. none are the hashes of the names of a row that
// has lost all.
func (n names) differ(row, none map[sluice.PersonalField]uint64) (problems []string) {
	for _, field := range sluice.NameFields() {
		hash, personal := row[field]
		erased := n.erased[field] && hash == none[field]
		if personal && hash != n.hashes[field] && !erased {
			problems = append(problems, "its "+string(field)+" differs from what the log records")
		}
	}
	return problems
}

// compareFile returns which personal names of the row of a file contradict the log.
func (c *peopleCheck) compareFile(f sluice.File) []string {
	if len(f.Personal) == 0 {
		return nil
	}
	lost := sluice.File{Filename: sluice.ErasedFilename, Personal: f.Personal}
	return c.files[f.ID].differ(c.namesOfFile(f), c.namesOfFile(lost))
}

// compareLink returns which personal names of the row of a link contradict the log.
func (c *peopleCheck) compareLink(l sluice.Link) []string {
	n, named := c.named[l.ID]
	if !named {
		return nil
	}
	row := c.namesOfLink(l, sluice.NameFields())
	for field := range row {
		if _, personal := n.hashes[field]; !personal {
			delete(row, field)
		}
	}
	return n.differ(row, map[sluice.PersonalField]uint64{})
}

// withoutNames returns the part of a file without its personal names, which need not be sealed then.
func withoutNames(f sluice.File) *sluice.FilePart {
	for _, field := range f.Personal {
		switch field {
		case sluice.FieldFilename:
			f.Filename = ""
		case sluice.FieldTitle:
			f.Title = ""
		case sluice.FieldMetadata:
			f.Metadata = nil
		case sluice.FieldLinkedResources:
			f.Linked = nil
		}
	}
	return audit.FileDetails(f, nil)
}
