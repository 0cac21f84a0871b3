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
	Dir    string `arg:"" help:"Folder to write to. An older export of the same log is brought up to date."`
	Format string `help:"${enum}: tree is the log as it is checked; the others are for people, and take filters." enum:"tree,ndjson,csv" default:"tree"`
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
		return usageError{errors.New("a tree is of the whole log; filters go with --format ndjson or csv")}
	}
	done, err := exportTree(ctx, c, a.Dir, newProgress(out.stderr))
	if err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, map[string]any{
			"dir": a.Dir, "origin": done.Checkpoint.Origin, "size": done.Checkpoint.Size, "new": done.added, "disclosures": done.Disclosures,
		})
	}
	_, err = fmt.Fprintf(out.stdout, "%s: %d entries of %s, %d of them new, and %d disclosures; checked\n",
		printable(a.Dir), done.Checkpoint.Size, printable(done.Checkpoint.Origin), done.added, done.Disclosures)
	return err
}

// exportEntries writes the entries for people into one file of the folder.
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

// exported is what an export has come to.
type exported struct {
	ledger.Report
	added int64 // entries that the folder did not have
}

// exportTree writes the log of a server into a folder as anyone can check it.
// In a folder that holds an older export it adds what is new, once that export
// was seen to hold and the server has proved that the log has only grown since.
// What it writes is checked before the new checkpoint takes the place of the old:
// a folder holds one of the two with all that belongs to it, whenever this is killed.
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
	newest ledger.Checkpoint // what it says
	keys   *ledger.Verifier
	vkey   string            // that the folder is to have, "" where it has one
	passed []byte            // the rotations that it is to have
	older  ledger.Checkpoint // of the folder, or of no entries
	update bool              // whether there is an older one
	added  []string          // tiles that this run has written
	report ledger.Report
}

// checkOlder checks the export that the folder holds. A part that was changed is
// not replaced: it may be what shows who changed it.
func (e *exporter) checkOlder() (err error) {
	if e.update, err = e.folder.isExport(); err != nil || !e.update {
		return err
	}
	e.progress.show("checking the copy", 0, 0)
	_, err = (&auditVerify{}).verifyExport(e.ctx, e.folder, "")
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		return fmt.Errorf("the copy in %s does not hold: %s fault: %w; keep it as it is, and export into another folder",
			e.folder.root.Name(), fault.Kind, err)
	}
	return err
}

// begin reads the server's checkpoint, and the keys to check it with: those of
// the folder, where it has one.
func (e *exporter) begin() (err error) {
	// The rotations are read last: they reach as far as the checkpoint at least.
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
		return fmt.Errorf("%w; it was handed over to a new key and may have no checkpoint under it yet: try again when it has more entries", err)
	case err != nil && !fresh:
		return fmt.Errorf("the server's log is not the one in this folder: %w", err)
	}
	if fresh {
		e.vkey = vkey
	}
	return err
}

// keepKeys writes the key, where the folder has none, and the rotations.
func (e *exporter) keepKeys() error {
	if e.vkey != "" {
		if err := e.folder.put(keyName, []byte(e.vkey+"\n")); err != nil {
			return err
		}
	}
	return e.folder.put(rotationsName, e.passed)
}

// isExport says whether the folder holds an export with a checkpoint. One that
// holds anything else than a begun export is refused.
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
			return false, usageError{fmt.Errorf("%s holds %s, which is no part of an exported log; choose another folder", f.root.Name(), entry.Name())}
		}
	}
	return found, nil
}

// compare has the server prove that the folder's log has only grown.
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
		rewritten.Err = fmt.Errorf("the server's log has %d entries and the folder's %d: it was cut short", e.newest.Size, e.older.Size)
		return rewritten
	case e.older.Size == 0 || e.older == e.newest:
		return nil
	case e.older.Size == e.newest.Size:
		rewritten.Err = fmt.Errorf("the server's log of %d entries is not the folder's: it was rewritten", e.newest.Size)
		return rewritten
	}
	proof, err := e.c.ProveConsistency(e.ctx, e.older.Size, e.newest.Size)
	if err != nil {
		return err
	}
	proven, err := e.keys.Consistency(proof, e.older)
	if err == nil && proven != e.newest {
		err = errors.New("the proof is of another checkpoint")
	}
	if err != nil {
		rewritten.Err = fmt.Errorf("the server does not prove that its log goes on from the folder's %d entries: %w", e.older.Size, err)
		return rewritten
	}
	return nil
}

// fetchTiles fetches what the folder does not have. A file that is there was
// written whole, and no tile ever changes.
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

// fetchDisclosures fetches all of them again: since the last time some may
// have been erased.
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

// check verifies the log as it will be. Where it does not hold, the tiles of
// this run go, so that the next one fetches them again.
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

// commit gives the checkpoint and the disclosures their names. An older
// checkpoint must not stand beside disclosures of entries that it does not
// cover, nor the first one beside none.
func (e *exporter) commit() error {
	if err := e.folder.create(checkpointName, func(w io.Writer) error { _, err := w.Write(e.signed); return err }); err != nil {
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

// tidy removes the partial tiles of smaller trees, and what a kill has left
// half-written.
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
			_ = e.folder.root.Remove(dir) // where nothing is left in it
		}
	}
	return err
}

// progress shows on a terminal how far something has come, and nowhere else.
type progress struct {
	w     io.Writer // nil for nowhere
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

// show tells of what is done, and how much of how much where that is known.
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
