package replay

import (
	"fmt"
	"iter"
	"time"
)

// The methods in this file compare the rows of a database with what the log says of them. Each returns what a row
// contradicts, in sentences about "it", the row. Leaf is a leaf that records the object as the row has it.

// LinkRow is the row of a link. Names that the log has as commitments are not compared.
type LinkRow struct {
	Leaf             []byte
	FileID, KeyID    string
	Created, Revoked time.Time
	Ended            string
	Downloads        int64
}

// FileRow is the row of a file. Its leaf lacks the names that the log has as commitments.
type FileRow struct {
	Leaf             []byte
	Created, Deleted time.Time
}

// KeyRow is the row of a key.
type KeyRow struct {
	Leaf                         []byte
	Created, Revoked, OldExpires time.Time
}

// GrantRow is the row of an open grant.
type GrantRow struct {
	LinkID  string
	Expires time.Time
	Left    int64
}

// aboutRow collects what compare reports about a row.
func (r *Replay) aboutRow(leaf []byte, compare func()) (problems []string) {
	r.row = func(problem string) { problems = append(problems, problem) }
	defer func() { r.row = nil }()
	r.e.parse(leaf)
	compare()
	return problems
}

// quoted returns an id as a JSON string. Ids contain nothing that JSON escapes.
func quoted(id string) []byte { return []byte(`"` + id + `"`) }

// micros returns a time as in a leaf. The zero time is never.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMicro()
}

func (r *Replay) compareCreated(row time.Time, log int64) {
	if at := micros(row); at != log {
		r.report(Changed, "it says that it was created at %s, and the log says %s", stamp(at), stamp(log))
	}
}

// CompareLink compares the row of a link.
func (r *Replay) CompareLink(row LinkRow) []string {
	return r.aboutRow(row.Leaf, func() {
		i := r.links.find(idOf(r.seed, r.e.link.id, "link_"))
		if i < 0 {
			r.report(Unknown, "no entry created it")
			return
		}
		l := r.links.at(i)
		if l.flags |= seen; l.flags&adopted != 0 {
			return // the log contradicts itself, and was reported
		}
		if l.file >= 0 {
			r.e.hide(r.files.at(int(l.file)).flags & hides)
		}
		if l.file >= 0 && *r.files.ids.at(int(l.file)) != idOf(r.seed, quoted(row.FileID), "file_") {
			r.report(Changed, "it leads to %s, and was minted for another file", row.FileID)
		}
		r.compareKeyID(l, row.KeyID)
		r.comparePart(i, &r.e.link)
		r.compareCreated(row.Created, l.created)
		r.compareEnd(l, row)
		r.compareDownloads(l, row.Downloads)
	})
}

func (r *Replay) compareKeyID(l *linkState, id string) {
	switch {
	case l.flags&operators != 0 && id != "":
		r.report(Changed, "it says that the key %s minted it, and an operator did", id)
	case l.key >= 0 && *r.keys.ids.at(int(l.key)) != idOf(r.seed, quoted(id), "key_"):
		r.report(Changed, "it says that the key %q minted it, and another one did", id)
	}
}

// compareEnd compares whether and why a link has ended. The links of a key or a file that has ended are marked later,
// or never if they had expired: they are refused without it.
func (r *Replay) compareEnd(l *linkState, row LinkRow) {
	ended := func(o uint32) bool { return o&(revoked|adopted) != 0 }
	switch is := l.flags&revoked != 0; {
	case row.Revoked.IsZero() != (row.Ended == ""):
		r.report(Changed, "it has a time when it ended and no reason, or a reason and no time")
	case is && row.Ended != "revoked":
		r.report(Changed, "it is not revoked, and entry %d revoked it", l.last)
	case !is && row.Ended == "revoked",
		row.Ended == "file_deleted" && l.file >= 0 && !ended(r.files.at(int(l.file)).flags),
		row.Ended == "key_revoked" && (l.key < 0 || !ended(r.keys.at(int(l.key)).flags)):
		r.report(Changed, "it has ended (%s), and no entry ended it", row.Ended)
	case row.Ended != "" && row.Ended != "revoked" && row.Ended != "file_deleted" && row.Ended != "key_revoked":
		r.report(Changed, "it has ended for a reason that does not exist, %q", row.Ended)
	}
}

// compareDownloads compares the counter of downloads with the fewest and the most that the log allows.
func (r *Replay) compareDownloads(l *linkState, downloads int64) {
	if l.flags&complete == 0 {
		return
	}
	fewest, most := int64(l.downloads), int64(l.sends)
	if l.flags&counted != 0 {
		fewest = r.limit.at(int(l.downloads)).downloads()
	}
	if downloads < fewest || downloads > most {
		r.report(Changed, "it counts %d downloads, and the log has %d to %d", downloads, fewest, most)
	}
}

// CompareFile compares the row of a file.
func (r *Replay) CompareFile(row FileRow) []string {
	return r.aboutRow(row.Leaf, func() {
		i := r.files.find(idOf(r.seed, r.e.file.id, "file_"))
		if i < 0 {
			r.report(Unknown, "no entry created it")
			return
		}
		f := r.files.at(i)
		if f.flags |= seen; f.flags&adopted != 0 {
			return
		}
		r.compareFile(i, &r.e.file)
		r.compareCreated(row.Created, f.created)
		switch is := f.flags&revoked != 0; {
		case is && row.Deleted.IsZero():
			r.report(Changed, "it is not deleted, and entry %d deleted it", f.last)
		case !is && !row.Deleted.IsZero():
			r.report(Changed, "it is deleted, and no entry deleted it")
		}
	})
}

// CompareKey compares the row of a key.
func (r *Replay) CompareKey(row KeyRow) []string {
	return r.aboutRow(row.Leaf, func() {
		i := r.keys.find(idOf(r.seed, r.e.key.id, "key_"))
		if i < 0 {
			r.report(Unknown, "no entry created it")
			return
		}
		k := r.keys.at(i)
		if k.flags |= seen; k.flags&adopted != 0 {
			return
		}
		r.compareKey(k, r.keyOf(&r.e.key))
		r.compareCreated(row.Created, k.created)
		switch is := k.flags&revoked != 0; {
		case is && row.Revoked.IsZero():
			r.report(Changed, "it is not revoked, and entry %d revoked it", k.last)
		case !is && !row.Revoked.IsZero():
			r.report(Changed, "it is revoked, and no entry revoked it")
		}
		if old := micros(row.OldExpires); k.flags&complete != 0 && old != k.old {
			r.report(Changed, "it says that its previous secret expires at %s, and the log says %s", stamp(old), stamp(k.old))
		}
	})
}

// CompareGrant compares the row of an open grant with what it may allow at most.
func (r *Replay) CompareGrant(row GrantRow) []string {
	return r.aboutRow(nil, func() {
		i := r.links.find(idOf(r.seed, quoted(row.LinkID), "link_"))
		if i < 0 {
			r.report(Unknown, "no entry created its link")
			return
		}
		l := r.links.at(i)
		switch {
		case l.flags&adopted != 0:
		case l.flags&complete != 0 && l.sends == 0:
			r.report(Changed, "its link was never downloaded")
		case l.flags&complete != 0 && l.flags&counted == 0:
			r.report(Changed, "its link never had a download limit")
		}
		if at := micros(row.Expires); at > r.latest+grantLasts {
			r.report(Changed, "it expires at %s, more than ten minutes after the newest entry", stamp(at))
		}
		if l.file < 0 {
			return
		}
		if size := r.files.at(int(l.file)).size; row.Left < 0 || row.Left/2 > max(1, size) {
			r.report(Changed, "%d bytes are left of it, and its file has %d", row.Left, size)
		}
	})
}

// CompareEnding compares the row that says that a key or a file has ended and that its links are to be marked.
func (r *Replay) CompareEnding(kind, id string) []string {
	return r.aboutRow(nil, func() {
		var ended bool
		switch kind {
		case "key":
			i := r.keys.find(idOf(r.seed, quoted(id), "key_"))
			ended = i >= 0 && r.keys.at(i).flags&(revoked|adopted) != 0
		case "file":
			i := r.files.find(idOf(r.seed, quoted(id), "file_"))
			ended = i >= 0 && r.files.at(i).flags&(revoked|adopted) != 0
		}
		if !ended {
			r.report(Changed, "it says that the %s %s has ended, and no entry ended it", kind, id)
		}
	})
}

// AccountCreated returns when account.created was written. The log of the test mode has no such entry.
func (r *Replay) AccountCreated() (at time.Time, ok bool) { return timeOf(r.existing), r.existing != 0 }

// SigningKeys returns the signing keys that entries added, and when.
func (r *Replay) SigningKeys() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		for id, at := range r.signing {
			if !yield(id, timeOf(at)) {
				return
			}
		}
	}
}

// WithoutRow yields the objects that entries created and that no row was compared for: the name of their table, and
// their id. The id of an object whose id Sluice did not make is not kept.
func (r *Replay) WithoutRow() iter.Seq2[string, string] {
	return func(yield func(table, id string) bool) {
		for i := range r.keys.records.n {
			if r.keys.at(i).flags&(seen|adopted) == 0 && !yield("key", r.keys.ids.at(i).text("key_")) {
				return
			}
		}
		for i := range r.files.records.n {
			if r.files.at(i).flags&(seen|adopted) == 0 && !yield("file", r.files.ids.at(i).text("file_")) {
				return
			}
		}
		for i := range r.links.records.n {
			if r.links.at(i).flags&(seen|adopted) == 0 && !yield("link", r.links.ids.at(i).text("link_")) {
				return
			}
		}
	}
}

// text returns the id with a prefix.
func (id objectID) text(prefix string) string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	var out [ulidLength]byte
	high, low := id.halves()
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return fmt.Sprintf("%s%s", prefix, out[:])
}
