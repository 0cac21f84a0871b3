package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice"
	"sluice/ledger"
)

// MaxSize is the largest report that Check reads, in bytes.
const MaxSize = 512 << 20

// A Fault says what is wrong with a report. The names of the checks are those of the page and of package verifier.
type Fault struct {
	Check string // see the constants
	Seq   int64  // of the entry at fault, or -1
	Err   error
}

// The checks of a report, in their order.
const (
	CheckPage       = "page"       // the file is a report, and has nothing else
	CheckData       = "data"       // the data in it have the form in which reports are written
	CheckKey        = "key"        // the key is well formed, and the expected one
	CheckRotation   = "rotation"   // the changes of the key are proved
	CheckSignature  = "signature"  // the key signed the checkpoint
	CheckLeaf       = "leaf"       // a leaf is a canonical JSON object
	CheckProof      = "proof"      // a proof is well formed
	CheckInclusion  = "inclusion"  // the log has the leaf under this number
	CheckCommitment = "commitment" // a personal value is the committed one
	CheckReport     = "report"     // the log records what this report shows
	CheckCover      = "cover"      // the cover says what the log and the entry of the report say
	CheckList       = "list"       // the entries are in order, and in the row of their number
	CheckText       = "text"       // a text is the one that was recorded, and says what the entry says
	CheckStyle      = "style"      // the style sheet is the one that was recorded
	CheckScript     = "script"     // the script is the one that was recorded
)

// Error returns the fault in one line.
func (f *Fault) Error() string {
	if f.Seq >= 0 {
		return fmt.Sprintf("entry %d: %v", f.Seq, f.Err)
	}
	return f.Err.Error()
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

func fault(check, format string, args ...any) *Fault {
	return &Fault{check, -1, fmt.Errorf(format, args...)}
}

func (f *Fault) of(seq int64) *Fault {
	f.Seq = seq
	return f
}

// Checked is a report without a fault.
type Checked struct {
	Log     Log
	Head    ledger.Checkpoint
	Key     string       // the newest verifier key of the log
	Made    sluice.Entry // the entry that records the report
	Entries int64
	Worded  bool // whether the texts were compared with the entries, too: this version knows their wording
	made    proven
	proven  []proven
}

// proven is an entry of a report as the file has it.
type proven struct {
	row
	proof []ledger.Hash
	shown string
}

// Check checks a report. A report that differs from what the server wrote, in any byte, is a *Fault. With a verifier
// key, which may be any key that the log ever had, the log must be the one of this key; otherwise the report shows
// whose key it is.
func Check(data []byte, vkey string) (*Checked, error) {
	if len(data) > MaxSize {
		return nil, fault(CheckPage, "the file is larger than %d MiB", MaxSize>>20)
	}
	f, err := split(string(data))
	if err != nil {
		return nil, err
	}
	c := &Checked{}
	if err := c.openLog(f.blocks[0], vkey); err != nil {
		return nil, err
	}
	made, salt, err := c.openMade(f.blocks[1])
	if err != nil {
		return nil, err
	}
	l := &late{log: c.Log, head: c.Head, key: c.Key, made: made.row, salt: salt}
	c.made = made
	c.Made, c.Entries = made.entry, int64(len(f.blocks)-2)
	if err := c.openRows(f); err != nil {
		return nil, err
	}
	if err := c.checkShown(f, l); err != nil {
		return nil, err
	}
	if f.cover != coverOf(l) {
		return nil, fault(CheckCover, "the cover says something else than the log")
	}
	if f.blocks[0] != block(c.Log.append(nil)) || f.blocks[1] != block(madeBlock(made, salt)) {
		return nil, fault(CheckData, "the data were not written like this")
	}
	var again bytes.Buffer
	w := &writer{out: &again}
	w.page(f.style, f.program, func() { w.late(f.main) })
	if !bytes.Equal(again.Bytes(), data) {
		return nil, fault(CheckPage, "the frame of the page was changed")
	}
	return c, nil
}

// file is a report in parts.
type file struct {
	style, program, main string
	fixed                []string // of main: before the cover, before the first block, …, after the last block
	cover                string
	blocks               []string
	wording              int
}

// split splits a report into its parts.
func split(data string) (*file, error) {
	f := &file{}
	notReport := fault(CheckPage, "this is not a report of Sluice, or its frame was changed")
	before, rest, ok := strings.Cut(data, pageTitle)
	if !ok || !strings.HasPrefix(before, pageStart) {
		return nil, notReport
	}
	if f.style, rest, ok = strings.Cut(rest, pageMain); !ok {
		return nil, notReport
	}
	rest, ok = strings.CutSuffix(rest, pageEnd)
	at := strings.Index(rest, mainEnd+pageModule)
	if !ok || at < 0 {
		return nil, notReport
	}
	f.main, f.program = rest[:at+len(mainEnd)], rest[at+len(mainEnd+pageModule):]
	var format int
	if n, err := fmt.Sscanf(f.main, mainStart, &format, &f.wording); n < 2 || err != nil {
		return nil, notReport
	}
	if format != Format {
		return nil, fault(CheckPage, "the report has format %d, and this version of Sluice knows format %d", format, Format)
	}
	rest = f.main
	next := func(start, end string) (part string, ok bool) {
		at := strings.Index(rest, start)
		if at < 0 {
			return "", false
		}
		at += len(start)
		n := strings.Index(rest[at:], end)
		if n < 0 {
			return "", false
		}
		f.fixed = append(f.fixed, rest[:at])
		part, rest = rest[at:at+n], rest[at+n:]
		return part, true
	}
	if f.cover, ok = next(coverStart, coverEnd); !ok {
		return nil, notReport
	}
	for {
		part, ok := next(blockStart, blockEnd)
		if !ok {
			break
		}
		f.blocks = append(f.blocks, part)
	}
	if f.fixed = append(f.fixed, rest); len(f.blocks) < 2 {
		return nil, notReport
	}
	return f, nil
}

// decode decodes a block of data.
func decode(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault(CheckData, "the data are malformed: %w", err)
	}
	if d.More() {
		return fault(CheckData, "the data go on after their end")
	}
	return nil
}

func (c *Checked) openLog(text, vkey string) error {
	var in struct {
		Key        string   `json:"vkey"`
		Rotations  []string `json:"rotations"`
		Checkpoint string   `json:"checkpoint"`
	}
	if err := decode(text, &in); err != nil {
		return err
	}
	c.Log = Log{in.Key, in.Rotations, in.Checkpoint}
	if _, err := ledger.NewVerifier(in.Key); err != nil {
		return fault(CheckKey, "%w", err)
	}
	keys, err := c.Log.verifier()
	if err != nil {
		return fault(CheckRotation, "%w", err)
	}
	for _, r := range in.Rotations {
		if strings.Count(r, "\n— ") != 1 {
			return fault(CheckRotation, "a change of the key has other signatures than that of the log")
		}
	}
	if keys, err = c.trusted(keys, vkey); err != nil {
		return err
	}
	if c.Head, err = keys.Open([]byte(in.Checkpoint)); err != nil {
		return fault(CheckSignature, "%w", err)
	}
	c.Key = keys.Key()
	newest, err := Log{FirstKey: c.Key}.verifier()
	if err == nil {
		_, err = newest.Open([]byte(in.Checkpoint))
	}
	if err != nil || strings.Count(in.Checkpoint, "\n— ") != 1 {
		return fault(CheckSignature, "the checkpoint has other signatures than that of the newest key")
	}
	return nil
}

// trusted returns a verifier that begins with a key of the log, if one is given.
func (c *Checked) trusted(keys *ledger.Verifier, vkey string) (*ledger.Verifier, error) {
	if vkey == "" || vkey == c.Log.FirstKey {
		return keys, nil
	}
	for i, text := range c.Log.Rotations { // they are proved
		p, err := ledger.ParseProof([]byte(text))
		if err != nil {
			return nil, fault(CheckRotation, "%w", err)
		}
		if key, _ := ledger.RotatedKey(p.Extra); key != vkey {
			continue
		}
		since, err := Log{FirstKey: vkey, Rotations: c.Log.Rotations[i+1:]}.verifier()
		if err != nil {
			return nil, fault(CheckRotation, "%w", err)
		}
		return since, nil
	}
	return nil, fault(CheckKey, "the report is of a log with the key %s, not with the expected one", keys.Key())
}

// blockJSON is a block of an entry.
type blockJSON struct {
	Seq         int64    `json:"seq"`
	Leaf        string   `json:"leaf"`
	Proof       []string `json:"proof"`
	Disclosures map[string]struct {
		Salt  string `json:"salt"`
		Value string `json:"value"`
	} `json:"disclosures"`
	Shown string `json:"shown"`
	Salt  string `json:"salt"`
}

// open checks an entry against the log.
func (c *Checked) open(in blockJSON) (p proven, err error) {
	leaf := []byte(in.Leaf)
	if !ledger.IsCanonical(leaf) || leaf[0] != '{' {
		return p, fault(CheckLeaf, "the leaf is not canonical JSON").of(in.Seq)
	}
	p.shown = in.Shown
	for _, text := range in.Proof {
		h, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(h) != ledger.HashSize || strings.ContainsAny(text, "\r\n") {
			return p, fault(CheckProof, "the proof is malformed").of(in.Seq)
		}
		p.proof = append(p.proof, ledger.Hash(h))
	}
	if err := ledger.CheckInclusion(p.proof, in.Seq, c.Head.Size, c.Head.Root, ledger.LeafHash(leaf)); err != nil {
		return p, fault(CheckInclusion, "it is not what the log has under this number: %w", err).of(in.Seq)
	}
	var disclosures []ledger.Disclosure
	for field, d := range in.Disclosures {
		salt, err := hex.DecodeString(d.Salt)
		disclosed := ledger.Disclosure{Seq: in.Seq, Field: field, Value: d.Value}
		if err != nil || len(salt) != len(disclosed.Salt) {
			return p, fault(CheckCommitment, "the salt of %s is malformed", field).of(in.Seq)
		}
		if disclosed.Salt = ledger.Salt(salt); !disclosed.Opens(leaf) {
			return p, fault(CheckCommitment, "%s is not what the entry commits to", field).of(in.Seq)
		}
		disclosures = append(disclosures, disclosed)
	}
	slices.SortFunc(disclosures, func(a, b ledger.Disclosure) int { return strings.Compare(a.Field, b.Field) })
	if p.row, err = openRow(in.Seq, leaf, disclosures); err != nil {
		return p, fault(CheckLeaf, "%w", err).of(in.Seq)
	}
	return p, nil
}

// openMade opens the entry that records the report.
func (c *Checked) openMade(text string) (made proven, salt []byte, err error) {
	var in blockJSON
	if err := decode(text, &in); err != nil {
		return made, nil, err
	}
	if made, err = c.open(in); err != nil {
		return made, nil, err
	}
	salt, err = base64.StdEncoding.Strict().DecodeString(in.Salt)
	if e := made.entry; err != nil || e.Action != sluice.AuditReported || e.Report == nil {
		return made, nil, fault(CheckReport, "it does not record a report").of(made.seq)
	}
	for _, d := range made.disclosures {
		if !onCover(d.Field) {
			return made, nil, fault(CheckData, "the value of %s does not belong to a report", d.Field).of(made.seq)
		}
	}
	for _, field := range made.entry.Redacted {
		if onCover(field) {
			return made, nil, fault(CheckData, "the value of %s is missing", field).of(made.seq)
		}
	}
	return made, salt, nil
}

func madeBlock(made proven, salt []byte) []byte {
	data := append(appendProven([]byte{'{'}, made.row, made.proof), `,"salt":"`...)
	return append(base64.StdEncoding.AppendEncode(data, salt), `"}`...)
}

// openRows checks the entries in the rows.
func (c *Checked) openRows(f *file) error {
	before := int64(-1)
	for i, text := range f.blocks[2:] {
		var in blockJSON
		if err := decode(text, &in); err != nil {
			return err
		}
		p, err := c.open(in)
		if err != nil {
			return err
		}
		fixed := f.fixed[i+3]
		at := strings.LastIndex(fixed, "\n<tr>")
		if at < 0 {
			return fault(CheckList, "its row is missing").of(p.seq)
		}
		if strings.Contains(fixed, "<tbody>") {
			before = -1
		}
		shown := fixed[at+1:]
		if !strings.HasPrefix(shown, firstCell(p.seq)) || p.seq <= before {
			return fault(CheckList, "it is not in the row of its number, or not in order").of(p.seq)
		}
		before = p.seq
		if sum := sha256.Sum256([]byte(shown + rowEnd)); base64Of(sum[:]) != p.shown {
			return fault(CheckText, "its text was changed").of(p.seq)
		}
		if !strings.HasSuffix(shown, ` data-values="`+valuesOf(p.disclosures)+`">`+blockStart) {
			return fault(CheckData, "its personal values are not all that it had").of(p.seq)
		}
		data := append(appendProven([]byte{'{'}, p.row, p.proof), `,"shown":"`...)
		if text != block(append(ledger.AppendString(data[:len(data)-1], p.shown), '}')) {
			return fault(CheckData, "its data were not written like this").of(p.seq)
		}
		c.proven = append(c.proven, p)
	}
	return nil
}

// checkShown compares the fixed parts of a report with what its entry records and, if this version knows the wording,
// with the entries.
func (c *Checked) checkShown(f *file, l *late) error {
	part := c.Made.Report
	if part.Entries != c.Entries {
		return fault(CheckList, "the report has %d entries, and the log records one of %d", c.Entries, part.Entries)
	}
	sum := newDigest(l.salt, f.style, f.program, c.Log.FirstKey)
	for _, fixed := range f.fixed {
		sum.Write([]byte(fixed))
	}
	recorded := hex.EncodeToString(sum.Sum(nil)) == part.SHA256
	c.Worded = f.wording == Wording
	if c.Worded {
		if err := c.checkWords(f); err != nil {
			return err
		}
	}
	switch {
	case recorded:
		return nil
	case c.Worded && f.style != style:
		return fault(CheckStyle, "the style sheet is not the one that was recorded")
	case c.Worded && f.program != program:
		return fault(CheckScript, "the script is not the one that was recorded")
	}
	return fault(CheckReport, "the log records a report that shows something else").of(l.made.seq)
}

// checkWords writes the fixed parts anew from the entries, and compares.
func (c *Checked) checkWords(f *file) error {
	again := &Report{}
	for _, p := range c.proven {
		again.rows = append(again.rows, p.row)
	}
	slices.SortFunc(again.rows, func(a, b row) int { return int(a.seq - b.seq) })
	for i := 1; i < len(again.rows); i++ {
		if again.rows[i].seq == again.rows[i-1].seq {
			return fault(CheckList, "it is in two rows").of(again.rows[i].seq)
		}
	}
	joinDeliveries(again.rows)
	var want strings.Builder
	again.main(&writer{out: &want}, nil)
	got := strings.Join(f.fixed, "")
	if got == want.String() {
		return nil
	}
	at := 0
	for at < len(got) && at < want.Len() && got[at] == want.String()[at] {
		at++
	}
	row := got[:at] // from the beginning of the last row before the difference
	row = row[max(0, strings.LastIndex(row, "\n"+rowNumber)):]
	for _, p := range c.proven {
		if strings.HasPrefix(row, "\n"+firstCell(p.seq)) && !strings.Contains(row, rowEnd) {
			return fault(CheckText, "its text is not what the entry says").of(p.seq)
		}
	}
	return fault(CheckText, "a text outside of the rows was changed")
}

// firstCell is the beginning of the row of an entry.
func firstCell(seq int64) string {
	cell, _, _ := strings.Cut(rowStart, "</td>")
	return fmt.Sprintf(cell, seq) + "</td>"
}

// Proofs calls visit with the leaf and the C2SP tlog-proof of each entry of the report, and then of the entry that
// records it. It ends at the first error.
func (c *Checked) Proofs(visit func(seq int64, leaf, proof []byte) error) error {
	for _, p := range append(slices.Clone(c.proven), c.made) {
		text := ledger.Proof{Index: p.seq, Hashes: p.proof, Checkpoint: []byte(c.Log.Checkpoint)}.Format()
		if err := visit(p.seq, p.leaf, text); err != nil {
			return err
		}
	}
	return nil
}

// Disclosures returns the number of personal values, each of which opens its commitment.
func (c *Checked) Disclosures() (n int64) {
	for _, p := range append(slices.Clone(c.proven), c.made) {
		n += int64(len(p.disclosures))
	}
	return n
}

// IsReport reports whether a file begins like a report, perhaps a damaged one: the first 128 bytes are enough.
func IsReport(start []byte) bool {
	return bytes.HasPrefix(start, []byte("<!DOCTYPE html>")) || bytes.Contains(start, []byte("<html lang="))
}

var errNoFault *Fault

// AsFault returns the fault in an error, or nil.
func AsFault(err error) *Fault {
	found := errNoFault
	errors.As(err, &found)
	return found
}
