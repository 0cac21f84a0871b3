package console

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"sluice"
	"sluice/internal/sentence"
	"sluice/internal/service"
)

// entryPage is the page of an entry.
type entryPage struct {
	Entry       sluice.Entry
	Line        line
	Leaf        string // clipped
	Clipped     bool
	LeafSize    int64
	Disclosures []disclosure
	Evidence    service.Evidence
	Key         string // verifier key of the newest checkpoint; "" if there is none yet
	Witnesses   []string
	Story       string // the address of what else happened to the same object; "" if there is none
	Now         time.Time
}

// disclosure is a personal field of an entry, as far as it is still there.
type disclosure struct {
	Field, Value, Salt string
	Gone               string // why there is no value
}

// maxShownLeaf is how much of a leaf a page shows, in bytes. An entry of many deliveries has a leaf of 40 kB.
const maxShownLeaf = 8 << 10

func (v *visit) showEntry() error {
	e, err := v.svc.Entries.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	found, err := v.svc.Ledgers.Evidence(v.r.Context(), v.caller, e.ID)
	if err != nil {
		return err
	}
	p := entryPage{
		Entry: e, Line: v.lineOf(e), Evidence: found, Leaf: shownLeaf(found.Leaf), LeafSize: int64(len(found.Leaf)),
		Disclosures: disclosuresOf(e, found), Key: found.Checkpoint.Verifier,
		Witnesses: witnesses(found.Checkpoint.Note), Story: v.storyOf(e), Now: v.svc.Now(),
	}
	p.Clipped = len(found.Leaf) > maxShownLeaf
	return v.render("entry", p)
}

// shownLeaf is the beginning of a leaf as a page shows it. Characters that would be invisible, or change the order of
// the text around them, are written as JSON writes them in ASCII (RFC 8259 section 7), so it is the same JSON.
func shownLeaf(leaf []byte) string {
	if len(leaf) > maxShownLeaf {
		leaf = leaf[:maxShownLeaf]
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(string(leaf), "") {
		switch {
		case !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// disclosuresOf are the personal fields of an entry: those with a value, then those without.
func disclosuresOf(e sluice.Entry, found service.Evidence) (list []disclosure) {
	var values map[string]struct{ Salt, Value string }
	_ = json.Unmarshal(found.Disclosures, &values) // what is damaged is in e.Damaged
	for _, field := range slices.Sorted(maps.Keys(values)) {
		v := values[field]
		list = append(list, disclosure{Field: field, Value: sentence.Visible(v.Value), Salt: v.Salt})
	}
	for _, field := range e.Redacted {
		list = append(list, disclosure{Field: field, Gone: "erased"})
	}
	for i, d := range list {
		for _, field := range e.Damaged {
			if d.Field == field {
				list[i].Gone = "altered in the database: it does not match its commitment"
			}
		}
	}
	return list
}

// storyOf is the address of the entries about the same link or file.
func (v *visit) storyOf(e sluice.Entry) string {
	switch {
	case e.Link != nil:
		return v.path("/log?link_id=" + e.Link.ID)
	case e.File != nil:
		return v.path("/log?file_id=" + e.File.ID)
	case e.Key != nil:
		return v.path("/log?key_id=" + e.Key.ID)
	}
	return ""
}

// witnesses are the names of those who signed a checkpoint besides its log (C2SP signed-note).
func witnesses(note []byte) (names []string) {
	text, signatures, _ := strings.Cut(string(note), "\n\n")
	origin, _, _ := strings.Cut(text, "\n")
	for signature := range strings.Lines(signatures) {
		if rest, ok := strings.CutPrefix(signature, "— "); ok {
			if name, _, _ := strings.Cut(rest, " "); name != origin {
				names = append(names, sentence.Visible(name))
			}
		}
	}
	return names
}

// evidenceJSON is what verify.mjs checks: the arguments of verify in verifier.mjs.
type evidenceJSON struct {
	Entry struct {
		Leaf        string          `json:"leaf"`
		Index       int64           `json:"index"`
		Proof       []string        `json:"proof"`
		Disclosures json.RawMessage `json:"disclosures"`
	} `json:"entry"`
	Log struct {
		Key        string `json:"vkey"`
		Checkpoint string `json:"checkpoint"`
	} `json:"log"`
	// Rotations lead from older keys of the log to Key: the proof of each change, oldest first.
	Rotations []string `json:"rotations"`
	Covered   bool     `json:"covered"`
}

func (v *visit) showEvidence() error {
	found, err := v.svc.Ledgers.Evidence(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	var out evidenceJSON
	out.Covered, out.Rotations = found.Covered, []string{}
	out.Entry.Leaf, out.Entry.Index, out.Entry.Proof = string(found.Leaf), found.Seq, []string{}
	out.Entry.Disclosures = found.Disclosures
	if !json.Valid(found.Disclosures) {
		out.Entry.Disclosures = json.RawMessage("{}")
	}
	for _, h := range found.Hashes {
		out.Entry.Proof = append(out.Entry.Proof, base64.StdEncoding.EncodeToString(h[:]))
	}
	out.Log.Key, out.Log.Checkpoint = found.Checkpoint.Verifier, string(found.Checkpoint.Note)
	for _, r := range found.Rotations {
		out.Rotations = append(out.Rotations, string(r.Proof))
	}
	v.call.Answer(v.w, http.StatusOK, "application/json", out)
	return nil
}

func (v *visit) sendLeaf() error {
	found, err := v.svc.Ledgers.Evidence(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.send("application/json", "leaf.json", found.Leaf)
}

// sendProof answers with the file that sluice audit proof writes.
func (v *visit) sendProof() error {
	found, err := v.svc.Ledgers.Evidence(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if !found.Covered {
		return sluice.Errorf(sluice.CodeNotFound, "no checkpoint covers this entry yet; try again in a second")
	}
	return v.send("text/plain; charset=utf-8", "proof.txt", found.Proof().Format())
}

// send answers with a file to be saved.
func (v *visit) send(kind, name string, data []byte) error {
	v.call.Header.Set("Content-Type", kind)
	v.call.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(data) // the browser may be gone
	return nil
}
