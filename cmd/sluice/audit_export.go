package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/api"
	"sluice/client"
	"sluice/internal/follow/anchor"
	"sluice/ledger"
)

type auditExport struct {
	serverFlags
	entryFlags
	Dir    string `arg:"" help:"Folder to write to. An older export of the same log is updated."`
	Format string `help:"${enum}. tree is the verifiable log; ndjson and csv are lists of entries and accept filters." enum:"tree,ndjson,csv" default:"tree"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

func (a *auditExport) Run(ctx context.Context, out *output) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	filter, err := a.filter(time.Now())
	if err != nil {
		return err
	}
	if a.Format != "tree" {
		return a.exportEntries(ctx, c, filter, out)
	}
	if a.entryFlags != (entryFlags{}) {
		return usageError{errors.New("a tree holds the whole log; use --format ndjson or csv with filters")}
	}
	done, err := exportTree(ctx, c, a.Dir, newProgress(out.stderr))
	if err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, map[string]any{
			"dir": a.Dir, "origin": done.Checkpoint.Origin, "size": done.Checkpoint.Size, "new": done.added,
			"disclosures": done.Disclosures,
		})
	}
	_, err = fmt.Fprintf(out.stdout, "%s: %d entries of %s, %d of them new, and %d disclosures; verified\n",
		printable(a.Dir), done.Checkpoint.Size, printable(done.Checkpoint.Origin), done.added, done.Disclosures)
	return err
}

// exportEntries writes the entries that match the filter to one file in the
// folder.
func (a *auditExport) exportEntries(ctx context.Context, c *client.Client, filter api.EntryFilter, out *output) error {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return err
	}
	body, err := c.ExportEntries(ctx, filter, a.Format)
	if err != nil {
		return err
	}
	defer body.Close()
	name := filepath.Join(a.Dir, "entries."+a.Format)
	if err := streamFile(name, body); err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, map[string]any{"file": name})
	}
	_, err = fmt.Fprintln(out.stdout, printable(name))
	return err
}

// exported is the result of an export.
type exported struct {
	ledger.Report
	added int64 // entries that were not in the folder before
}

// exportTree writes the log of a server to a folder that anyone can verify.
//
// An older export in the folder is updated. It is verified first, and the
// server must prove that its log extends it. The new files are verified before
// the new checkpoint replaces the old one. If the process is killed, the folder
// holds either export complete.
func exportTree(ctx context.Context, c *client.Client, dir string, p *progress) (done exported, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return done, err
	}
	f, err := openLogFolder(dir)
	if err != nil {
		return done, err
	}
	defer f.root.Close()
	defer p.end()
	e := exporter{ctx: ctx, c: c, folder: f, progress: p}
	for _, step := range []func() error{
		e.checkOlder, e.begin, e.compare, e.keepKeys, e.fetchTiles, e.fetchDisclosures, e.check, e.commit, e.tidy,
	} {
		if err := step(); err != nil {
			return done, err
		}
	}
	return exported{e.report, e.report.Checkpoint.Size - e.older.Size}, nil
}

// exporter is one run of exportTree.
type exporter struct {
	ctx      context.Context
	c        *client.Client
	folder   *logFolder
	progress *progress

	signed []byte            // the server's checkpoint
	newest ledger.Checkpoint // signed, parsed
	keys   *ledger.Verifier
	vkey   string            // key to write to the folder; "" if the folder has one
	passed []byte            // rotations to write to the folder
	older  ledger.Checkpoint // the folder's checkpoint; size 0 if it has none
	update bool              // whether the folder has a checkpoint
	added  []string          // tiles written by this run
	report ledger.Report
}

// checkOlder verifies the export in the folder. It never repairs one: an
// altered file may be evidence.
func (e *exporter) checkOlder() (err error) {
	if e.update, err = e.folder.isExport(); err != nil || !e.update {
		return err
	}
	e.progress.show("verifying the copy", 0, 0)
	_, err = (&auditVerify{}).verifyExport(e.ctx, e.folder, "")
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		return fmt.Errorf("the copy in %s is not valid: %s fault: %w; keep it unchanged, and export into another folder",
			e.folder.root.Name(), fault.Kind, err)
	}
	return err
}

// begin reads the server's checkpoint and the keys to verify it with. The keys
// come from the folder if it has any.
func (e *exporter) begin() (err error) {
	// Read the checkpoint first, so that the rotations cover it.
	if e.signed, err = e.c.Checkpoint(e.ctx); err != nil {
		return err
	}
	vkey, err := e.folder.key()
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		vkey, err = e.c.LedgerKey(e.ctx)
	}
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	rotations, err := e.c.Rotations(e.ctx)
	if err != nil {
		return err
	}
	var texts [][]byte
	for _, r := range rotations {
		texts = append(texts, []byte(r.Proof))
		e.passed = anchor.AppendText(e.passed, []byte(r.Proof))
	}
	claim, err := claimed(e.signed)
	if err == nil {
		e.keys, err = verifierOf(vkey, texts, claim.Size)
	}
	if err == nil {
		e.newest, err = e.keys.Open(e.signed)
	}
	switch {
	case err != nil && fresh && len(rotations) > 0:
		return fmt.Errorf("%w; the log may have no checkpoint under its new key yet: try again when it has more entries", err)
	case err != nil && !fresh:
		return fmt.Errorf("the server's log is not the log in this folder: %w", err)
	}
	if fresh {
		e.vkey = vkey
	}
	return err
}

// keepKeys writes the rotations, and the key if the folder has none.
func (e *exporter) keepKeys() error {
	if e.vkey != "" {
		if err := e.folder.put(keyName, []byte(e.vkey+"\n")); err != nil {
			return err
		}
	}
	return e.folder.put(rotationsName, e.passed)
}

// isExport reports whether the folder holds an export with a checkpoint. It
// refuses a folder with any file that is not part of an export.
func (f *logFolder) isExport() (bool, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return false, err
	}
	ours := []string{checkpointName, keyName, rotationsName, disclosuresName, tilesName}
	found := false
	for _, entry := range entries {
		found = found || entry.Name() == checkpointName
		if !slices.Contains(ours, strings.TrimSuffix(entry.Name(), newSuffix)) {
			return false, usageError{fmt.Errorf("%s holds %s, which is not part of an exported log; choose another folder",
				f.root.Name(), entry.Name())}
		}
	}
	return found, nil
}

// compare requires a proof from the server that its log extends the folder's.
func (e *exporter) compare() error {
	if !e.update {
		return nil
	}
	signed, err := e.folder.Checkpoint(e.ctx)
	if err == nil {
		e.older, err = e.keys.Open(signed)
	}
	if err != nil {
		return fmt.Errorf("the checkpoint in the folder: %w", err)
	}
	rewritten := &ledger.Fault{Kind: ledger.FaultHistory, Path: checkpointName, Seq: -1, Last: -1}
	switch {
	case e.older.Size > e.newest.Size:
		rewritten.Err = fmt.Errorf("the server's log has %d entries and the folder's %d: it was truncated",
			e.newest.Size, e.older.Size)
		return rewritten
	case e.older.Size == 0 || e.older == e.newest:
		return nil
	case e.older.Size == e.newest.Size:
		rewritten.Err = fmt.Errorf("the server's log of %d entries differs from the folder's: it was rewritten",
			e.newest.Size)
		return rewritten
	}
	proof, err := e.c.ProveConsistency(e.ctx, e.older.Size, e.newest.Size)
	if err != nil {
		return err
	}
	proven, err := e.keys.Consistency(proof, e.older)
	if err == nil && proven != e.newest {
		err = errors.New("the proof is for another checkpoint")
	}
	if err != nil {
		rewritten.Err = fmt.Errorf("the server does not prove that its log extends the folder's %d entries: %w",
			e.older.Size, err)
		return rewritten
	}
	return nil
}

// fetchTiles fetches the tiles that the folder lacks. Tiles never change, and
// put writes a file whole, so an existing file is complete.
func (e *exporter) fetchTiles() error {
	var wanted []ledger.Tile
	for t := range ledger.Tiles(0, e.newest.Size) {
		if _, err := e.folder.root.Stat(t.Path()); err != nil {
			wanted = append(wanted, t)
		}
	}
	folders := map[string]bool{}
	for i, t := range wanted {
		e.progress.show("tiles", i, len(wanted))
		data, err := e.c.Tile(e.ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Path(), err)
		}
		e.added = append(e.added, t.Path())
		if err := e.folder.put(t.Path(), data); err != nil {
			return err
		}
		for dir := path.Dir(t.Path()); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	e.progress.show("tiles", len(wanted), len(wanted))
	for dir := range folders {
		if err := e.folder.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// fetchDisclosures fetches all disclosures again: some may have been erased
// since the last export.
func (e *exporter) fetchDisclosures() error {
	if e.newest.Size == 0 {
		return e.folder.create(disclosuresName, func(io.Writer) error { return nil })
	}
	body, err := e.c.Disclosures(e.ctx, e.newest.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	e.progress.show("disclosures", 0, 0)
	return e.folder.create(disclosuresName, func(w io.Writer) error {
		_, err := io.Copy(w, body)
		return err
	})
}

// check verifies the new log before it is committed. If it is not valid, check
// removes the tiles of this run, so that the next run fetches them again.
func (e *exporter) check() (err error) {
	e.progress.show("checking", 0, 0)
	staged := &logFolder{e.folder.root, disclosuresName + newSuffix}
	older := []ledger.Checkpoint{}
	if e.update {
		older = append(older, e.older)
	}
	e.report, err = ledger.Verify(e.ctx, fixedLog{staged, e.signed}, e.keys, older...)
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		for _, name := range e.added {
			err = errors.Join(err, e.folder.root.Remove(name))
		}
	}
	return err
}

// commit gives the checkpoint and the disclosures their final names. The order
// keeps every state valid: a first checkpoint never stands without disclosures,
// and an older checkpoint never beside disclosures of entries that it does not
// cover.
func (e *exporter) commit() error {
	write := func(w io.Writer) error { _, err := w.Write(e.signed); return err }
	if err := e.folder.create(checkpointName, write); err != nil {
		return err
	}
	names := []string{disclosuresName, checkpointName}
	if e.update {
		slices.Reverse(names)
	}
	for _, name := range names {
		if err := e.folder.rename(name); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the partial tiles of smaller trees and the unfinished files of
// killed runs.
func (e *exporter) tidy() error {
	edge := map[string]bool{}
	for t := range ledger.Tiles(0, e.newest.Size) {
		if t.Width < ledger.TileWidth {
			edge[t.Path()] = true
		}
	}
	if e.newest.Size == 0 {
		return nil
	}
	var emptied []string
	err := fs.WalkDir(e.folder.root.FS(), tilesName, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := ledger.ParseTilePath(name)
		if strings.HasSuffix(name, newSuffix) || err == nil && t.Width < ledger.TileWidth && !edge[name] {
			emptied = append(emptied, path.Dir(name))
			return e.folder.root.Remove(name)
		}
		return nil
	})
	for _, dir := range emptied {
		if path.Ext(dir) == ".p" {
			_ = e.folder.root.Remove(dir) // fails unless the folder is empty
		}
	}
	return err
}

// progress shows the progress of a command on a terminal. It prints nothing
// elsewhere.
type progress struct {
	w     io.Writer // nil if stderr is not a terminal
	shown time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{w: w}
}

// show prints what is being done. With a total above zero, it prints how much
// is done.
func (p *progress) show(what string, done, of int) {
	if p.w == nil || done != of && time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	if of > 0 {
		what = fmt.Sprintf("%s %d of %d", what, done, of)
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", what)
}

func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
