// Package replay follows a log by its own rules. A log that verifies says what its operator signed. Whether an entry
// could have been written by a server that keeps the rules is another question: a link that was redeemed after it was
// revoked, a file whose digest changed, a key that did what it had no scope for. A Replay reads the entries in order,
// remembers what they say of each link, file and key, and reports the entries that contradict it.
//
// A finding is reported only where the entries alone decide it. What they do not record is not judged: passwords,
// addresses, the purposes of the server, and what an entry of an older version of Sluice left out.
package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
)

// Rule names the rule that an entry contradicts.
type Rule string

// The rules.
const (
	Form      Rule = "form"      // the entry is of another log, or says that it was both allowed and refused
	Unknown   Rule = "unknown"   // it uses an object that no entry created
	Twice     Rule = "twice"     // it creates or ends an object a second time
	Actor     Rule = "actor"     // its actor had no right to the action
	Revoked   Rule = "revoked"   // its link was revoked
	Expired   Rule = "expired"   // its link had expired
	Deleted   Rule = "deleted"   // its file was deleted
	KeyEnded  Rule = "key"       // the key that minted its link was revoked, had expired or was narrowed
	Downloads Rule = "downloads" // its link was used up
	Changed   Rule = "changed"   // it shows a value that no earlier entry set
	Held      Rule = "held"      // it deletes a file that is held
	Delivery  Rule = "delivery"  // it records a delivery that does not fit its redemption
)

// Finding is one contradiction.
type Finding struct {
	Seq     int64  `json:"seq"`
	ID      string `json:"id"` // of the entry
	Rule    Rule   `json:"rule"`
	Problem string `json:"problem"`
}

// String returns the finding in one line.
func (f Finding) String() string { return fmt.Sprintf("entry %d (%s): %s", f.Seq, f.ID, f.Problem) }

// MaxFindings is how many findings a Replay keeps. It counts all of them.
const MaxFindings = 100

// ErrTooLong is the error for an entry beyond the longest log that can be replayed, 2^32-2 entries.
var ErrTooLong = errors.New("the log is too long to be replayed")

const maxEntries = 1<<32 - 2

// A Replay follows one log. It needs about 80 bytes for each link, file, key and session of the log, 40 more for a link
// with a download limit, and four bytes for each entry.
type Replay struct {
	seed maphash.Seed
	e    leafParts // of the entry that is being added
	seq  int64
	at   int64 // its time

	account  []byte // of the log
	livemode []byte
	existing int64 // when account.created was written; 0 if it was not
	latest   int64 // the latest time of an entry
	signing  map[string]int64

	links objects[linkState]
	files objects[fileState]
	keys  objects[keyState]
	// The sessions of the console, and for each person who signed in those that have not ended by an entry.
	sessions objects[sessionState]
	people   map[uint64][]int
	limit    chunked[limitState]

	redeemed chunked[uint32] // for each entry: flags, and the position of the link plus one, of a redemption
	awaited  awaited

	mintedWith int64 // seq of the newest file.created: links that follow it at once were minted with the file

	findings []Finding
	found    int64
	hex      []byte               // of the newest sum
	row      func(problem string) // is told what a row contradicts; nil while an entry is added
}

// New returns a Replay that has read no entry.
func New() *Replay {
	return &Replay{seed: maphash.MakeSeed(), signing: map[string]int64{}, people: map[uint64][]int{}, mintedWith: -1}
}

// Findings returns the first MaxFindings findings, in the order of the log.
func (r *Replay) Findings() []Finding { return r.findings }

// Found returns the number of all findings.
func (r *Replay) Found() int64 { return r.found }

// Size returns the number of entries that were added.
func (r *Replay) Size() int64 { return int64(r.redeemed.n) }

// report adds a finding about the current entry. What it names is in the form of the leaf, where control characters are
// escaped, and is cut to a length.
func (r *Replay) report(rule Rule, format string, args ...any) {
	if r.row != nil {
		r.row(fmt.Sprintf(format, args...))
		return
	}
	r.found++
	if len(r.findings) < MaxFindings {
		r.findings = append(r.findings, Finding{r.seq, text(r.e.id), rule, fmt.Sprintf(format, args...)})
	}
}

// Add follows the next entry of the log. The leaf is canonical JSON, as ledger.Verify checks; Add does not keep it. The
// only error is ErrTooLong.
func (r *Replay) Add(leaf []byte) error {
	if r.redeemed.n >= maxEntries {
		return ErrTooLong
	}
	r.seq = int64(r.redeemed.add())
	e := &r.e
	if !e.parse(leaf) {
		r.report(Form, "it is no entry")
		return nil
	}
	r.at = moment(e.at)
	r.checkForm()
	if string(e.outcome) == "refused" {
		r.refused()
	} else {
		r.allowed()
	}
	if r.at != never {
		r.latest = max(r.latest, r.at)
	}
	return nil
}

// checkForm checks what holds for entries of every action.
func (r *Replay) checkForm() {
	e := &r.e
	if r.account == nil {
		r.account, r.livemode = append([]byte(nil), e.account...), append([]byte(nil), e.livemode...)
	}
	if string(e.account) != string(r.account) || string(e.livemode) != string(r.livemode) {
		r.report(Form, "it is of another account or mode than the first entry of this log")
	}
	refuses := string(e.action) == "link.refused" || string(e.action) == "access.denied"
	switch string(e.outcome) {
	case "allowed":
		if e.refusal != nil || refuses {
			r.report(Form, "it says that %s was allowed, and that it was refused", e.action)
		}
	case "refused":
		if e.refusal == nil || !refuses && r.knows() {
			r.report(Form, "it says that %s was refused, and not by which rule", e.action)
		}
	}
}

// knows reports whether the action is one that this version writes.
func (r *Replay) knows() bool {
	_, known := needs[string(r.e.action)]
	return known
}

func (r *Replay) allowed() {
	r.checkActor()
	switch string(r.e.action) {
	case "account.created":
		if r.existing != 0 {
			r.report(Twice, "it creates the account of this log a second time")
		}
		r.existing = r.at
	case "signing_key.added":
		r.signing[text(r.e.key.id)] = r.at
	case "key.created":
		r.keyCreated()
	case "key.updated", "key.rotated":
		r.keyUpdated()
	case "key.revoked":
		r.keyRevoked()
	case "session.created":
		r.sessionCreated()
	case "session.ended":
		r.sessionEnded()
	case "file.created":
		r.fileCreated()
	case "file.updated", "file.held", "file.released":
		r.fileUpdated()
	case "file.deleted", "file.retained_out":
		r.fileDeleted()
	case "file.read":
		r.fileRead()
	case "file.damaged":
		if i := r.file(); i >= 0 {
			r.compareContent(i)
		}
	case "link.created":
		r.linkCreated()
	case "link.updated":
		r.linkUpdated()
	case "link.revoked":
		r.linkRevoked()
	case "link.redeemed":
		r.linkRedeemed()
	case "link.delivered":
		r.delivered()
	case "audit.redacted":
		if n := number(r.e.subjectSeq); n >= r.seq {
			r.report(Unknown, "it redacts entry %d, which was not written yet", n)
		}
	case "audit.erased":
		if n := number(r.e.subjectSeq); n < 0 || n >= r.seq {
			r.report(Unknown, "it ends an erasure that no earlier entry began")
		}
	default:
		if !r.knows() {
			*r.redeemed.at(int(r.seq)) = foreign
		}
	}
}

// refused follows an entry that refused something. It changed nothing. Its reason may be a minute older than the
// entry, because refusals are counted before they are written, but an end is for good.
func (r *Replay) refused() {
	if string(r.e.action) != "link.refused" || string(r.e.refusal) == "altered" { // which shows what was altered
		return
	}
	i := r.link()
	if i < 0 {
		return
	}
	l := r.links.at(i)
	r.compareLink(i)
	r.compareMinter(i)
	r.compareFileOf(i)
	switch refusal := string(r.e.refusal); {
	case refusal == "revoked" && l.flags&(revoked|adopted) == 0,
		refusal == "file_deleted" && l.file >= 0 && r.files.at(int(l.file)).flags&(revoked|adopted) == 0,
		refusal == "key_revoked" && l.key >= 0 && r.keys.at(int(l.key)).flags&(revoked|adopted) == 0:
		r.report(Changed, "it refuses %s as %s, which no earlier entry says", name(r.e.link.id), refusal)
	}
}

// digest returns a hash of values, by their position. It differs between runs, so nobody can choose two values that
// have the same one.
func (r *Replay) digest(values ...[]byte) uint32 {
	var sum uint64
	for i, v := range values {
		if v != nil {
			sum += bits.RotateLeft64(maphash.Bytes(r.seed, v), 21*(i+1)) * 0x9e3779b97f4a7c15
		}
	}
	return uint32(sum >> 32)
}

// sum returns the SHA-256 of a value in canonical JSON, as an entry gives it for a value that is too large. It is valid
// until the next call.
func (r *Replay) sum(value, sum []byte) []byte {
	if sum != nil || value == nil {
		return sum
	}
	digest := sha256.Sum256(value)
	r.hex = append(hex.AppendEncode(append(r.hex[:0], '"'), digest[:]), '"')
	return r.hex
}

// The flags of objects.
const (
	revoked   uint32 = 1 << iota // or deleted
	adopted                      // no entry created it; it was reported
	recorded                     // entries record its limits, rights or details
	asks                         // it has a password
	held                         // it is held
	counted                      // downloads is the position of a limitState
	operators                    // an operator minted it
	dated                        // entries record the end of its retention
	complete                     // every entry records its limits or rights, from its creation on
	seen                         // it has a row
)
