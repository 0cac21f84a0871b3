// Package report makes reports of the log and checks them. A report is one HTML file for people: a summary, and each
// entry as a sentence. It can be read, printed and kept without Sluice. It contains the leaves of its entries, their
// proofs to one signed checkpoint, the disclosures, and a verifier in JavaScript that checks it in a browser.
//
// What binds a report together is an entry of the log. Before a report is sent, the server commits an entry of
// sluice.AuditReported with a digest of everything that the report shows, and makes a checkpoint that covers that
// entry. So a report consists of two kinds of parts:
//
//   - The fixed parts are known before that entry: style, script, summary, rows, and the key with which the log began.
//     Its digest covers them.
//   - The late parts are made after it: the blocks of JSON and the facts of the cover. They are checked by the
//     signature of the log, and by being written anew.
//
// The digest is salted, and the salt is only in the report: who has the log but no report cannot find out what a report
// said by guessing, even of values that were erased since.
//
// The fixed parts are written in the form in which browsers serialize HTML (HTML Standard, section 13.3), so that a
// script sees the same text as a program that reads the file. For that, no text stands in an attribute.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/brand"
	"sluice/internal/httpd/look"
	"sluice/internal/verifier"
	"sluice/ledger"
)

const (
	// Format is the number of the structure of a report. A version of Sluice checks the formats that it knows.
	Format = 1
	// Wording is the number of the words of a report. The words of another number are compared with what the server
	// recorded, but not with the entries.
	Wording = 1
)

// ContentType is the media type of a report.
const ContentType = "text/html; charset=utf-8"

//go:embed report.css
var css string

//go:embed report.mjs
var script string

// style and program are the contents of the style and script elements.
var (
	style   = look.Sheet(brand.Accent{}) + css
	program = string(verifier.Source) + script
)

// An Entry is an entry of a report, as it is stored.
type Entry struct {
	Seq int64
	audit.SealedEntry
}

// A Log is what a report says of its log.
type Log struct {
	FirstKey   string   // verifier key
	Rotations  []string // proofs of its changes since, C2SP tlog-proof
	Checkpoint string   // signed, C2SP tlog-checkpoint
}

// row is an entry with what a report shows of it.
type row struct {
	seq         int64
	leaf        []byte
	disclosures []ledger.Disclosure
	entry       sluice.Entry
}

// A Report is a report before it is written.
type Report struct {
	rows   []row // in the order of seq
	salt   [32]byte
	digest string
}

// New makes a report of entries, which are in the order of their seq. Disclosures that open no commitment are left out.
// firstKey is the verifier key with which the log began.
func New(entries []Entry, firstKey string, random io.Reader) (*Report, error) {
	r := &Report{}
	for _, e := range entries {
		row, err := rowOf(e)
		if err != nil {
			return nil, err
		}
		r.rows = append(r.rows, row)
	}
	joinDeliveries(r.rows)
	if _, err := io.ReadFull(random, r.salt[:]); err != nil {
		return nil, err
	}
	sum := newDigest(r.salt[:], style, program, firstKey)
	w := &writer{out: io.Discard, fixed: sum}
	r.main(w, nil)
	r.digest = hex.EncodeToString(sum.Sum(nil))
	return r, w.err
}

func rowOf(e Entry) (row, error) {
	disclosures, err := e.Disclosed(e.Seq)
	if err != nil {
		return row{}, err
	}
	disclosures = slices.DeleteFunc(disclosures, func(d ledger.Disclosure) bool { return !d.Opens(e.Leaf) })
	return openRow(e.Seq, e.Leaf, disclosures)
}

// openRow decodes the entry of a row.
func openRow(seq int64, leaf []byte, disclosures []ledger.Disclosure) (row, error) {
	sealed := audit.SealedEntry{Leaf: leaf, Disclosures: disclosuresJSON(disclosures)}
	opened, err := sealed.Open(seq)
	return row{seq, leaf, disclosures, opened}, err
}

// SHA256 returns the digest of what the report shows, as its entry records it.
func (r *Report) SHA256() string { return r.digest }

// newDigest begins the digest of what a report shows. The main element follows.
func newDigest(salt []byte, style, program, firstKey string) hash.Hash {
	sum := sha256.New()
	sum.Write(salt)
	_, _ = io.WriteString(sum, style+"\x00"+program+"\x00"+firstKey+"\x00")
	return sum
}

// late is what is known of a report after its entry is in the log.
type late struct {
	log    Log
	head   ledger.Checkpoint
	key    string // the newest
	made   row
	salt   []byte
	proofs func(seq int64) ([]ledger.Hash, error)
}

// Write writes the report. made is its entry. prove returns the proofs of up to 100 entries in the tree of the
// checkpoint.
func (r *Report) Write(w io.Writer, log Log, made Entry, prove func(seqs []int64) ([][]ledger.Hash, error)) error {
	log.Checkpoint = ownSignatures(log.Checkpoint)
	keys, err := log.verifier()
	if err != nil {
		return err
	}
	l := late{log: log, key: keys.Key(), salt: r.salt[:]}
	if l.head, err = keys.Open([]byte(log.Checkpoint)); err != nil {
		return err
	}
	if l.made, err = rowOf(made); err != nil {
		return err
	}
	l.made.disclosures = slices.DeleteFunc(l.made.disclosures, func(d ledger.Disclosure) bool { return !onCover(d.Field) })
	l.proofs = r.inChunks(made.Seq, prove)
	out := &writer{out: w}
	out.page(style, program, func() { r.main(out, &l) })
	return out.err
}

// inChunks returns a function that gives the proof of one entry after the other, in the order of the page, and asks for
// many at once.
func (r *Report) inChunks(
	made int64, prove func(seqs []int64) ([][]ledger.Hash, error),
) func(seq int64) ([]ledger.Hash, error) {
	order := []int64{made}
	for _, s := range sections {
		for _, row := range r.rows {
			if s.has(row.entry) {
				order = append(order, row.seq)
			}
		}
	}
	const chunk = 100
	var proofs [][]ledger.Hash
	at := 0
	return func(seq int64) ([]ledger.Hash, error) {
		if at >= len(order) || order[at] != seq {
			return nil, fmt.Errorf("the report asks for the proof of entry %d out of order", seq)
		}
		if at%chunk == 0 {
			var err error
			if proofs, err = prove(order[at:min(at+chunk, len(order))]); err != nil {
				return nil, err
			}
		}
		proof := proofs[at%chunk]
		at++
		return proof, nil
	}
}

// onCover reports whether the cover shows a personal value of the entry of a report. The others are left out, and none
// of these may be missing: it cannot have been erased yet.
func onCover(field string) bool {
	return strings.HasPrefix(field, "/report/") || strings.HasPrefix(field, "/actor/")
}

// ownSignatures returns a checkpoint without the signatures of others than its log, such as cosignatures of witnesses.
// They could not be checked with the report alone.
func ownSignatures(checkpoint string) string {
	text, lines, found := strings.Cut(checkpoint, "\n\n")
	if !found {
		return checkpoint
	}
	origin, _, _ := strings.Cut(text, "\n")
	out := text + "\n\n"
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "— "+origin+" ") {
			out += line
		}
	}
	return out
}

func (l Log) verifier() (*ledger.Verifier, error) {
	rotations := make([][]byte, len(l.Rotations))
	for i, r := range l.Rotations {
		rotations[i] = []byte(r)
	}
	return ledger.NewVerifier(l.FirstKey, rotations...)
}

// joinDeliveries adds to each redemption how its download ended, where an entry of the report records it.
func joinDeliveries(rows []row) {
	bySeq, byRequest := map[int64]*sluice.Entry{}, map[string]*sluice.Entry{}
	for i := range rows {
		e := &rows[i].entry
		if e.Action == sluice.LinkRedeemed && e.Delivery != nil {
			bySeq[e.Seq] = e
			if e.Request != nil && e.Request.ID != "" {
				byRequest[e.Request.ID] = e
			}
		}
	}
	for _, row := range rows {
		e := row.entry
		if e.Action != sluice.LinkDelivered {
			continue
		}
		for _, d := range e.Deliveries {
			if redeemed := bySeq[d.Seq]; redeemed != nil && d.Seq < e.Seq {
				redeemed.Delivery.Sent, redeemed.Delivery.Returned, redeemed.Delivery.Entry = &d.Sent, d.Returned, e.ID
			}
		}
		// Older entries of deliveries name the request of the redemption.
		if d := e.Delivery; d != nil && d.Sent != nil && e.Request != nil {
			if redeemed := byRequest[e.Request.ID]; redeemed != nil && redeemed.Seq < e.Seq {
				redeemed.Delivery.Sent, redeemed.Delivery.Returned, redeemed.Delivery.Entry = d.Sent, d.Returned, e.ID
			}
		}
	}
}

// base64Of returns standard base64.
func base64Of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// moment returns a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// disclosuresJSON returns disclosures as audit.SealedEntry has them, in canonical form.
func disclosuresJSON(list []ledger.Disclosure) []byte {
	out := []byte{'{'}
	for i, d := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(ledger.AppendString(out, d.Field), `:{"salt":"`...)
		out = append(hex.AppendEncode(out, d.Salt[:]), `","value":`...)
		out = append(ledger.AppendString(out, d.Value), '}')
	}
	return append(out, '}')
}

// appendProven appends the members that prove an entry.
func appendProven(dst []byte, r row, proof []ledger.Hash) []byte {
	dst = append(dst, `"seq":`...)
	dst = strconv.AppendInt(dst, r.seq, 10)
	dst = append(dst, `,"leaf":`...)
	dst = ledger.AppendString(dst, string(r.leaf))
	dst = append(dst, `,"proof":[`...)
	for i, h := range proof {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(base64.StdEncoding.AppendEncode(dst, h[:]), '"')
	}
	dst = append(dst, `],"disclosures":`...)
	return append(dst, disclosuresJSON(r.disclosures)...)
}

// block returns JSON for a script element: no tag or comment of HTML can begin in it.
func block(data []byte) string {
	return string(bytes.ReplaceAll(data, []byte("<"), []byte(`\u003c`)))
}
