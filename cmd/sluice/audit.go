package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sluice/api"
	"sluice/client"
	"sluice/ledger"
)

type auditCommand struct {
	Ls     auditLs     `cmd:"" help:"Show the newest audit entries, newest first."`
	Tail   auditTail   `cmd:"" help:"Show the newest audit entries and go on with those that follow."`
	Export auditExport `cmd:"" help:"Write the log to a folder that anyone can check, or its entries as NDJSON or CSV."`
	Verify auditVerify `cmd:"" help:"Check an exported log, the log of a server, or the proof of one entry."`
	Proof  auditProof  `cmd:"" help:"Write the proof that an entry is in the log, with the entry in it."`
	Redact auditRedact `cmd:"" help:"Erase the personal fields of an entry for good."`
}

// serverFlags say which server to ask, and with which key.
type serverFlags struct {
	URL string `help:"The server; the one on this machine when left out." default:"http://127.0.0.1:8080" name:"url" placeholder:"URL"`
	Key string `help:"API key; better given as $$SLUICE_KEY, which other users of the machine do not see." placeholder:"SECRET"`
}

func (s *serverFlags) client() (*client.Client, error) {
	if s.Key == "" {
		return nil, usageError{errors.New("an API key is needed: set SLUICE_KEY, or give --key")}
	}
	c, err := client.New(s.URL, s.Key)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// printable makes a text safe for a terminal, whoever wrote it: what is not
// visible, such as an escape sequence or a change of direction, is shown by its
// escape in Go, and so is the backslash.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		_, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\\' || !strconv.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printJSON writes v as one line of JSON in which every character is visible:
// the same document, safe for a terminal.
func printJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	var out []byte
	for _, r := range strings.TrimSuffix(line.String(), "\n") {
		switch {
		case strconv.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	_, err := w.Write(append(out, '\n'))
	return err
}

type auditProof struct {
	serverFlags
	ID     string `arg:"" name:"entry-id" help:"The entry's id."`
	Output string `help:"File to write to, in place of standard output." short:"o" placeholder:"FILE"`
}

func (a *auditProof) Run(ctx context.Context, out *output) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	text, err := proveWithLeaf(ctx, c, a.ID)
	if err != nil {
		return err
	}
	if a.Output == "" {
		_, err = out.stdout.Write(text)
		return err
	}
	return replaceFile(a.Output, text)
}

// proveWithLeaf gives the proof of an entry with the entry as its extra data,
// so that it says by itself what it proves.
func proveWithLeaf(ctx context.Context, c *client.Client, id string) ([]byte, error) {
	text, err := c.ProveEntry(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := ledger.ParseProof(text)
	if err != nil {
		return nil, err
	}
	checkpoint, err := claimed(p.Checkpoint)
	if err != nil {
		return nil, err
	}
	leaf, err := leafAt(ctx, c, p.Index, checkpoint.Size)
	if err != nil {
		return nil, err
	}
	if got := readLeaf(leaf); got.ID != id {
		return nil, fmt.Errorf("the server proves entry %s in the place of %s", got.ID, id)
	}
	p.Extra = leaf
	return p.Format(), nil
}

// claimed is what a checkpoint says, whoever signed it.
func claimed(signed []byte) (ledger.Checkpoint, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return ledger.ParseCheckpoint(text + "\n")
}

// leafAt reads an entry's leaf out of its bundle in a tree of size entries.
func leafAt(ctx context.Context, c *client.Client, seq, size int64) ([]byte, error) {
	if seq < 0 || seq >= size {
		return nil, fmt.Errorf("%w: entry %d of %d", ledger.ErrProof, seq, size)
	}
	first := seq - seq%ledger.TileWidth
	t := ledger.Tile{Level: ledger.EntriesLevel, Index: seq / ledger.TileWidth, Width: int(min(size-first, ledger.TileWidth))}
	data, err := c.Tile(ctx, t)
	if err != nil {
		return nil, err
	}
	leaves, err := ledger.ParseBundle(data, t.Width)
	if err != nil {
		return nil, err
	}
	return leaves[seq-first], nil
}

// leaf is what is told of an entry that was proved.
type leaf struct {
	ID     string `json:"id"`
	Time   string `json:"time"`
	Action string `json:"action"`

	Whole json.RawMessage `json:"leaf,omitempty"` // all that the entry says
}

func readLeaf(data []byte) (l leaf) {
	if json.Unmarshal(data, &l) == nil { // what is no entry has no id
		l.Whole = data
	}
	return l
}

type auditRedact struct {
	serverFlags
	ID   string `arg:"" name:"entry-id" help:"The entry's id."`
	JSON bool   `help:"Print JSON." name:"json"`
}

func (a *auditRedact) Run(ctx context.Context, out *output) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var done api.Redaction
	if done, err = c.RedactEntry(ctx, a.ID); err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, done)
	}
	_, err = fmt.Fprintf(out.stdout, "erased %s of %s; entry %s tells of it\n",
		printable(strings.Join(done.Fields, ", ")), printable(done.EntryID), printable(done.ID))
	return err
}

// lines prints texts, a line each, safe for a terminal.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) add(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintln(l.w, printable(fmt.Sprintf(format, args...)))
	}
}
