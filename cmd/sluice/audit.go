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

	"sluice/client"
	"sluice/ledger"
)

type auditCommand struct {
	Ls     auditLs     `cmd:"" help:"Show the newest audit entries, newest first."`
	Tail   auditTail   `cmd:"" help:"Show the newest audit entries, then new ones as they are committed."`
	Export auditExport `cmd:"" help:"Write the log to a folder that anyone can verify, or its entries as NDJSON or CSV."`
	Report auditReport `cmd:"" help:"Write a report of entries for people: one HTML file that checks itself in a browser."`
	Verify auditVerify `cmd:"" help:"Verify an exported log, the log of a server, a report, or the proof of one entry."`
	Proof  auditProof  `cmd:"" help:"Write a proof that an entry is in the log. The proof contains the entry."`
	Redact auditRedact `cmd:"" help:"Erase the personal fields of an entry, or of all entries about a person, permanently."`
}

// serverFlags name the server to ask and the key to ask with.
type serverFlags struct {
	URL string `help:"URL of the server; ${default} by default." default:"http://127.0.0.1:8080" name:"url" placeholder:"URL"`
	Key string `help:"API key. Prefer $$SLUICE_KEY, which other users of the machine cannot see." placeholder:"SECRET"`
}

func (s *serverFlags) client() (*client.Client, error) {
	if s.Key == "" {
		return nil, usageError{errors.New("no API key: set SLUICE_KEY or give --key")}
	}
	c, err := client.New(s.URL, s.Key)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// printable makes untrusted text safe for a terminal. It replaces invisible
// characters, such as escape sequences and changes of text direction, and the
// backslash by their Go escapes.
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

// printJSON writes v as one line of JSON. Invisible characters are escaped, so
// the line is safe for a terminal.
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
	Output string `help:"Write to this file instead of standard output." short:"o" placeholder:"FILE"`
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

// proveWithLeaf returns the inclusion proof of an entry. The entry's leaf is
// the extra data of the proof, so the proof can be read on its own.
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
		return nil, fmt.Errorf("the server sent the proof of entry %s for entry %s", got.ID, id)
	}
	p.Extra = leaf
	return p.Format(), nil
}

// claimed parses a checkpoint without checking its signature.
func claimed(signed []byte) (ledger.Checkpoint, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return ledger.ParseCheckpoint(text + "\n")
}

// leafAt reads entry seq's leaf from its entry bundle, in a tree of size
// entries.
func leafAt(ctx context.Context, c *client.Client, seq, size int64) ([]byte, error) {
	if seq < 0 || seq >= size {
		return nil, fmt.Errorf("%w: entry %d of %d", ledger.ErrProof, seq, size)
	}
	first := seq - seq%ledger.TileWidth
	t := ledger.Tile{Level: ledger.EntriesLevel, Index: seq / ledger.TileWidth,
		Width: int(min(size-first, ledger.TileWidth))}
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

// leaf is the part of a proved entry that commands print.
type leaf struct {
	ID     string `json:"id"`
	Time   string `json:"time"`
	Action string `json:"action"`

	Whole json.RawMessage `json:"leaf,omitempty"` // the complete entry
}

func readLeaf(data []byte) (l leaf) {
	if json.Unmarshal(data, &l) == nil { // data that is not an entry has no id
		l.Whole = data
	}
	return l
}

// lines prints one line per text, each safe for a terminal.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) add(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintln(l.w, printable(fmt.Sprintf(format, args...)))
	}
}
