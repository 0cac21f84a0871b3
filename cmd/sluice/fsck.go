package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/internal/store"
)

// fsckPlace is an installation whose logs are compared with the heads beside its secrets.
type fsckPlace struct {
	place
	Heads string `help:"File of the newest signed heads; that of the secrets with .heads at its end when left out." placeholder:"FILE"`
}

type fsckCommand struct {
	fsckPlace
	Deep bool `help:"Read the bytes of all files and compare their digests. Without it, only their sizes are compared."`
	Fix  bool `help:"Compute damaged tiles and indexes anew from the entries of a log that verifies, and check again. It changes nothing else, and may run beside servers of this version." name:"repair"`
	JSON bool `help:"Print JSON: one object for each repair and finding, and one for the whole." name:"json"`
}

// fsckSummary is the last line of what is printed as JSON.
type fsckSummary struct {
	Repairs  int      `json:"repairs"`
	Findings int      `json:"findings"`
	Notes    []string `json:"notes,omitempty"`
	Pages    int64    `json:"pages"`
	Ledgers  int      `json:"ledgers"`
	Entries  int64    `json:"entries"`
	Rows     int64    `json:"index_rows"`
	Records  int64    `json:"rows"`
	Files    int64    `json:"files"`
	Tiles    int64    `json:"tiles"`
	Seconds  float64  `json:"seconds"`
}

func (f *fsckCommand) Run(ctx context.Context, out *output) error {
	began := time.Now()
	defer debug.SetGCPercent(debug.SetGCPercent(15)) // as for audit verify
	var r fsck.Report
	if err := f.check(ctx, out, &r); err != nil {
		return err
	}
	if err := f.print(out, r, time.Since(began)); err != nil {
		return err
	}
	if n := len(r.Findings); n > 0 {
		return errors.New(counted(n, "1 problem was found", "%d problems were found") +
			`; see "Is everything as it should be?" in docs/operating.md`)
	}
	return nil
}

// check checks the pages first. What a damaged database tells of the rest is not to be relied on, and to open it for
// writing might do harm.
func (f *fsckCommand) check(ctx context.Context, out *output, r *fsck.Report) error {
	if _, err := f.place.check(false); err != nil {
		return err
	}
	if err := f.place.prepare(false); err != nil {
		return err
	}
	if !f.place.shared() {
		pages, err := store.CheckSQLiteFile(ctx, filepath.Join(f.Data, databaseName))
		if err != nil {
			return fmt.Errorf("the pages of the database: %w", err)
		}
		if r.AddPages(pages); len(r.Findings) > 0 {
			r.Notes = append(r.Notes, "the logs were not checked, because the database is damaged")
			if f.Fix {
				r.Notes = append(r.Notes, r.Manual()...)
			}
			return nil
		}
	}
	i, err := f.open(ctx, out, r)
	if err != nil {
		return err
	}
	err = f.checkOpen(ctx, i, r)
	if err == nil && f.Fix && len(r.Findings) > 0 {
		err = f.repair(ctx, out, i, r)
	}
	return errors.Join(err, i.close())
}

// repair repairs what it can, and checks again if it has changed anything.
func (f *fsckCommand) repair(ctx context.Context, out *output, i *installation, r *fsck.Report) error {
	log := slog.New(slog.NewTextHandler(out.stderr, nil))
	failed := r.Repair(ctx, i.service, i.store)
	for _, done := range r.Repairs {
		log.Info("fsck repaired the database", "check", string(done.Check), "ledger", done.Ledger, "done", done.Done)
	}
	if len(r.Repairs) > 0 {
		again := fsck.Report{Repairs: r.Repairs}
		if !f.place.shared() {
			again.Pages = r.Pages
		}
		if err := f.checkOpen(ctx, i, &again); err != nil {
			return errors.Join(failed, err)
		}
		again.Notes = append(r.Notes, again.Notes...)
		*r = again
	}
	r.Notes = append(r.Notes, r.Manual()...)
	slices.Sort(r.Notes)
	r.Notes = slices.Compact(r.Notes)
	return failed
}

func (f *fsckCommand) open(ctx context.Context, out *output, r *fsck.Report) (*installation, error) {
	log := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c := service.Config{PublicURL: "http://localhost", Log: log}
	if !f.place.restoring { // a restore compares the heads itself: it may be of an older database than they are
		heads, err := f.heads(r)
		if err != nil {
			return nil, err
		}
		c.Heads = heads
	}
	return f.place.open(ctx, c, opening{})
}

func (f *fsckPlace) heads(r *fsck.Report) (*headsFile, error) {
	path := f.Heads
	if path == "" {
		path = f.place.secretsFile() + ".heads"
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, fmt.Sprintf(
			"there is no %s: the logs were not compared with the heads beside the secrets", path))
	}
	return openHeads(path)
}

func (f *fsckCommand) checkOpen(ctx context.Context, i *installation, r *fsck.Report) error {
	if f.place.shared() {
		pages, err := i.store.CheckPages(ctx)
		if err != nil {
			return fmt.Errorf("the pages of the database: %w", err)
		}
		r.AddPages(pages)
	}
	return errors.Join(
		r.CheckLedgers(ctx, i.service, i.store),
		r.CheckBytes(ctx, i.store, i.blobs, f.Deep),
	)
}

func (f *fsckCommand) print(out *output, r fsck.Report, took time.Duration) error {
	if f.JSON {
		encoder := json.NewEncoder(out.stdout)
		for _, done := range r.Repairs {
			if err := encoder.Encode(done); err != nil {
				return err
			}
		}
		for _, finding := range r.Findings {
			if err := encoder.Encode(finding); err != nil {
				return err
			}
		}
		return encoder.Encode(fsckSummary{len(r.Repairs), len(r.Findings), r.Notes, r.Pages, r.Ledgers, r.Entries, r.Rows,
			r.Records, r.Files, r.Tiles, float64(took.Milliseconds()) / 1000})
	}
	w := &lines{w: out.stdout}
	for _, done := range r.Repairs {
		w.add("%s", done.String())
	}
	for _, finding := range r.Findings {
		w.add("%s", finding.String())
	}
	for _, note := range r.Notes {
		w.add("note: %s", note)
	}
	w.add("%s, %s, %s, %s, %s, %s and %s were checked in %s: %s",
		counted(r.Pages, "1 page", "%d pages"), counted(r.Ledgers, "1 log", "%d logs"),
		counted(r.Entries, "1 entry", "%d entries"),
		counted(r.Records, "1 row", "%d rows"), counted(r.Files, "1 file", "%d files"),
		counted(r.Rows, "1 index row", "%d index rows"), counted(r.Tiles, "1 tile", "%d tiles"), took.Round(time.Millisecond),
		counted(len(r.Findings), "1 problem was found", "%d problems were found"))
	return w.err
}
