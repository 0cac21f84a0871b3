package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// Erasures has the rules of erasing personal fields from all entries that have something in common, such as a person.
//
// The first commit records who asked for what, and stores the erasure. Run then erases in short commits, from the
// oldest entry to the newest. The last commit finds no further entry, and records what was erased. So nothing that the
// log had before that entry is left, also of entries that were added meanwhile. Each commit stores how far the erasure
// has come: after a crash it goes on from there, and two servers at once do no harm.
type Erasures struct {
	*core
	links *Links
}

// NewErasure asks for an erasure: by exactly one of the values, whose forms are those of EntryFilter.
type NewErasure struct {
	Recipient string // canonical address
	ClientIP  string
	FileID    string
	LinkID    string
	KeyID     string
	Fields    []sluice.PersonalField // nil: ErasedBy.DefaultFields
}

const (
	// erasedAtOnce is how many entries one commit of an erasure looks at. Other changes wait for it.
	erasedAtOnce = 128
	// MaxPendingErasures is how many erasures may wait to end, in all ledgers.
	MaxPendingErasures = 100
)

// by returns what the entries of the erasure have in common, and the value.
func (n NewErasure) by() (by sluice.ErasedBy, value string, err error) {
	var v sluice.Invalid
	for _, given := range []struct {
		by    sluice.ErasedBy
		value string
	}{
		{sluice.ErasedByRecipient, n.Recipient}, {sluice.ErasedByClientIP, n.ClientIP},
		{sluice.ErasedByFile, n.FileID}, {sluice.ErasedByLink, n.LinkID}, {sluice.ErasedByKey, n.KeyID},
	} {
		switch {
		case given.value == "":
		case by != "":
			v.Add(string(given.by), "invalid", "%s and %s exclude each other: ask for one erasure by each", by, given.by)
		default:
			by, value = given.by, given.value
		}
	}
	if by == "" {
		v.Add(string(sluice.ErasedByRecipient), "required",
			"give one of recipient, client_ip, file_id, link_id and key_id: others cannot be found without reading the "+
				"whole log")
	}
	return by, value, v.Err()
}

// fields returns the fields to erase, sorted.
func (n NewErasure) fields(by sluice.ErasedBy) ([]sluice.PersonalField, error) {
	if n.Fields == nil {
		return by.DefaultFields(), nil
	}
	var v sluice.Invalid
	ValidateFields(&v, n.Fields)
	return slices.Compact(slices.Sorted(slices.Values(n.Fields))), v.Err()
}

// ValidateFields checks a list of personal fields.
func ValidateFields(v *sluice.Invalid, fields []sluice.PersonalField) {
	known := sluice.PersonalFields()
	if len(fields) == 0 || len(fields) > len(known) {
		v.Add("fields", "invalid", "fields has 1 to %d elements", len(known))
		return
	}
	for _, field := range fields {
		if !slices.Contains(known, field) {
			names := make([]string, len(known))
			for i, name := range known {
				names[i] = string(name)
			}
			v.Add("fields", "invalid", "%q is no personal field; they are %s", audit.Clip(string(field), 40),
				strings.Join(names, ", "))
			return
		}
	}
}

// Begin begins an erasure, and records it. A file, link or key that does not exist is CodeNotFound. It needs
// keys:admin.
func (s *Erasures) Begin(ctx context.Context, c Caller, n NewErasure) (sluice.Erasure, error) {
	by, value, err := n.by()
	if err != nil {
		return sluice.Erasure{}, err
	}
	fields, err := n.fields(by)
	if err != nil {
		return sluice.Erasure{}, err
	}
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (sluice.Erasure, error) {
		p := PendingErasure{Erasure: sluice.Erasure{
			ID: s.ids.New(sluice.PrefixErasure, now), Ledger: c.Ledger, By: by, Fields: fields, Created: now, Updated: now,
		}}
		if err := checkErasable(tx, c.Ledger, by, value); err != nil {
			return sluice.Erasure{}, err
		}
		if by != sluice.ErasedByRecipient && by != sluice.ErasedByClientIP {
			p.Object = value
		}
		if p.Term, err = tx.ErasureTerm(by, value); err != nil {
			return sluice.Erasure{}, err
		}
		pending, err := tx.PendingErasures(MaxPendingErasures)
		if err != nil {
			return sluice.Erasure{}, err
		}
		if len(pending) == MaxPendingErasures {
			return sluice.Erasure{}, sluice.Errorf(sluice.CodeConflict,
				"%d erasures have not ended yet; ask again when one has", MaxPendingErasures)
		}
		e := s.entry(c, sluice.AuditErasureBegun, now)
		e.Erasure = &sluice.ErasurePart{ID: p.ID, By: by, Object: p.Object, Fields: fields}
		p.Begun = e.ID
		return p.Erasure, tx.CreateErasure(p, e)
	})
}

// checkErasable fails with CodeNotFound if there is no such object.
func checkErasable(r Reader, l sluice.LedgerID, by sluice.ErasedBy, id string) (err error) {
	switch by {
	case sluice.ErasedByFile:
		_, err = r.File(l, id)
		err = found(err, "file", id)
	case sluice.ErasedByLink:
		_, err = r.Link(l, id)
		err = found(err, "link", id)
	case sluice.ErasedByKey:
		_, err = r.Key(l, id)
		err = found(err, "key", id)
	}
	return err
}

// Get returns an erasure. It needs keys:admin.
func (s *Erasures) Get(ctx context.Context, c Caller, id string) (e sluice.Erasure, err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		p, err := r.Erasure(c.Ledger, id)
		e = p.Erasure
		return found(err, "erasure", id)
	})
	return e, err
}

// Run goes on with all erasures that have not ended, a step of each in turn, until they have ended. It returns the
// number of entries from which something was erased. An erasure that fails does not stop the others.
func (s *Erasures) Run(ctx context.Context) (erased int, err error) {
	failed := map[string]error{}
	// known has, by erasure and link, the seq before which the entries about the people of the link are done.
	known := map[string]map[string]int64{}
	for {
		var pending []PendingErasure
		if err := s.store.View(ctx, func(r Reader) (err error) {
			pending, err = r.PendingErasures(MaxPendingErasures)
			return err
		}); err != nil {
			return erased, err
		}
		pending = slices.DeleteFunc(pending, func(p PendingErasure) bool { return failed[p.ID] != nil })
		if len(pending) == 0 {
			return erased, errors.Join(slices.Collect(maps.Values(failed))...)
		}
		for _, p := range pending {
			if known[p.ID] == nil {
				known[p.ID] = map[string]int64{}
			}
			n, err := s.step(ctx, p.Ledger, p.ID, known[p.ID])
			if ctx.Err() != nil {
				return erased, err
			}
			if erased += n; err != nil {
				failed[p.ID] = err
			}
		}
	}
}

// step makes one commit of an erasure. It returns the number of entries from which it erased something. It keeps in
// known which links it has visited.
func (s *Erasures) step(
	ctx context.Context, l sluice.LedgerID, id string, known map[string]int64,
) (erased int, err error) {
	by := system(l, "erasure")
	var visited map[string]int64
	err = s.changeBySystem(ctx, by, func(tx Tx, now time.Time) error {
		erased, visited = 0, map[string]int64{}
		p, err := tx.Erasure(l, id)
		if err != nil || !p.Ended.IsZero() {
			return err
		}
		entries, next, more, err := tx.FindErasable(l, p.By, p.Term, p.Next, erasedAtOnce)
		if err != nil {
			return err
		}
		step := &erasureStep{
			rowEraser: newRowEraser(s.core, s.links, tx, l, now), pending: p, entries: map[int64][]string{},
			known: known, visited: visited,
		}
		for _, e := range entries {
			if err := step.add(e.Seq, e.Sealed); err != nil {
				return err
			}
		}
		erased = len(step.entries)
		if more {
			return tx.EraseStep(step.changes(next))
		}
		e := s.entry(by, sluice.AuditErased, now)
		if err := step.end(&e); err != nil {
			return err
		}
		return errors.Join(tx.EraseStep(step.changes(next)), tx.Record(e))
	})
	if err == nil {
		maps.Copy(known, visited)
	}
	return erased, err
}

// erasureStep gathers what one commit of an erasure changes.
type erasureStep struct {
	*rowEraser
	pending PendingErasure
	entries map[int64][]string // JSON Pointers by seq
	known   map[string]int64   // of the process, see Run
	visited map[string]int64   // what the commit adds to known
}

// add has an entry lose the fields of the erasure.
func (s *erasureStep) add(seq int64, sealed audit.SealedEntry) error {
	err := s.lose(seq, sealed, sealed.Pointers(s.pending.Fields))
	if err != nil || s.pending.By != sluice.ErasedByRecipient {
		return err
	}
	t, _ := sealed.IndexTerms()
	return s.linkOfPerson(t.LinkID)
}

// lose has an entry lose what some JSON Pointers lead to.
func (s *erasureStep) lose(seq int64, sealed audit.SealedEntry, pointers []string) error {
	pointers = slices.DeleteFunc(pointers, func(p string) bool { return slices.Contains(s.entries[seq], p) })
	if len(pointers) == 0 {
		return nil
	}
	s.entries[seq] = append(s.entries[seq], pointers...)
	slices.Sort(s.entries[seq])
	e, err := sealed.Open(seq)
	if err != nil {
		// The leaf is damaged, and will stay so.
		s.log.Error("an entry that is erased cannot be read: only the entry loses its fields, and no link or file does",
			"ledger", s.ledger.String(), "seq", seq, "error", err)
		return nil
	}
	return s.eraseEntry(e, pointers)
}

// linkOfPerson has a link that admits or tells the person of an erasure lose that, and the entries that record that it
// does or did. The index does not have the people that a link allows, but it has the link of an entry about one of
// them.
func (s *erasureStep) linkOfPerson(id string) error {
	if _, visited := s.visited[id]; visited || id == "" || !slices.ContainsFunc(s.pending.Fields, aboutPeople) {
		return nil
	}
	s.visited[id] = s.known[id]
	l, err := s.loadLink(id)
	if err == nil && l != nil {
		var fields []sluice.PersonalField
		if fields, err = s.fieldsOfPerson(l.Access.Get()); err == nil {
			err = s.link(id, fields)
		}
	}
	for _, action := range []sluice.Action{sluice.LinkCreated, sluice.LinkUpdated, sluice.LinkEnded} {
		if err == nil {
			err = s.recordsOf(id, action)
		}
	}
	return err
}

// aboutPeople reports whether a field says who a link is for or tells.
func aboutPeople(field sluice.PersonalField) bool {
	switch field {
	case sluice.FieldRecipient, sluice.FieldAllowedRecipients, sluice.FieldMessage, sluice.FieldNotify:
		return true
	}
	return false
}

// fieldsOfPerson returns the fields of the erasure by which a link names the person of the erasure.
func (s *erasureStep) fieldsOfPerson(a sluice.Access) (fields []sluice.PersonalField, err error) {
	named := func(address string) bool {
		term, failed := s.tx.ErasureTerm(s.pending.By, address)
		err = errors.Join(err, failed)
		return address != "" && term == s.pending.Term
	}
	for _, field := range s.pending.Fields {
		switch field {
		case sluice.FieldRecipient, sluice.FieldAllowedRecipients:
			if named(a.Recipient.Email) || slices.ContainsFunc(a.Allowed, named) {
				fields = append(fields, field)
			}
		case sluice.FieldNotify:
			if named(a.Notify.Email) {
				fields = append(fields, field)
			}
		}
	}
	return fields, err
}

// recordsOf has the entries of an action on a link that name the person of the erasure lose that. It leaves out those
// that an earlier commit has visited.
func (s *erasureStep) recordsOf(link string, action sluice.Action) error {
	page := sluice.Page{Limit: sluice.MaxPageSize}
	for {
		list, err := s.tx.SealedEntries(s.ledger, EntryFilter{LinkID: link, Action: action}, page)
		if err != nil {
			return err
		}
		after := page.After
		for _, e := range list.Data {
			if e.Seq < s.known[link] {
				return nil
			}
			s.visited[link] = max(s.visited[link], e.Seq+1)
			pointers, err := s.namesOf(e.Sealed)
			if err == nil {
				err = s.lose(e.Seq, e.Sealed, pointers)
			}
			if err != nil {
				return err
			}
			if t, _ := e.Sealed.IndexTerms(); t.ID != "" {
				page.After = t.ID
			}
		}
		if !list.More || page.After == after {
			return nil
		}
	}
}

// namesOf returns what an entry that records the people of a link loses: if the index finds it by the person, all
// fields of the erasure, and otherwise those about the people of the link, where they name the person.
func (s *erasureStep) namesOf(sealed audit.SealedEntry) (pointers []string, err error) {
	named := func(address string) bool {
		term, failed := s.tx.ErasureTerm(s.pending.By, address)
		err = errors.Join(err, failed)
		return address != "" && term == s.pending.Term
	}
	if named(sealed.PersonalTerms().Recipient) {
		return sealed.Pointers(s.pending.Fields), err
	}
	const now, before = "/link/", "/link/before/"
	admits, tells := map[string]bool{}, map[string]bool{} // by the part of the entry
	for pointer, list := range sealed.LinkPeople() {
		part, where := now, admits
		if strings.HasPrefix(pointer, before) {
			part = before
		}
		if audit.FieldOf(pointer) == sluice.FieldNotify {
			where = tells
		}
		where[part] = where[part] || slices.ContainsFunc(list, named)
	}
	// A change of a link that names the person loses both sides. One that no longer does loses what was before.
	return slices.DeleteFunc(sealed.Pointers(s.pending.Fields), func(pointer string) bool {
		if !strings.HasPrefix(pointer, now) || !aboutPeople(audit.FieldOf(pointer)) {
			return true
		}
		where := admits
		if audit.FieldOf(pointer) == sluice.FieldNotify {
			where = tells
		}
		return !where[now] && (!where[before] || !strings.HasPrefix(pointer, before))
	}), err
}

// end completes the entry that records the erasure.
func (s *erasureStep) end(e *sluice.Entry) error {
	p := &s.pending
	seq, _, err := s.tx.Sealed(s.ledger, p.Begun)
	if err != nil {
		return err
	}
	e.Subject = &sluice.EntryPart{ID: p.Begun, Seq: seq}
	links, files := s.changed()
	e.Erasure = &sluice.ErasurePart{ID: p.ID, By: p.By, Object: p.Object, Fields: p.Fields, Erased: &sluice.ErasedCounts{
		Entries: p.Entries + int64(len(s.entries)), Links: p.Links + int64(len(links)), Files: p.Files + int64(len(files)),
	}}
	p.Ended, p.Record, p.Term = s.now, e.ID, ""
	return nil
}

// changes returns what the commit changes, and counts it.
func (s *erasureStep) changes(next int64) ErasureStep {
	step := ErasureStep{Erasure: s.pending}
	step.Links, step.Files = s.changed()
	for _, seq := range slices.Sorted(maps.Keys(s.entries)) {
		step.Entries = append(step.Entries, ErasedEntry{Seq: seq, Pointers: s.entries[seq]})
	}
	p := &step.Erasure
	p.Next, p.Updated = next, s.now
	p.Entries += int64(len(step.Entries))
	p.Links += int64(len(step.Links))
	p.Files += int64(len(step.Files))
	return step
}
