package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"sluice/internal/maintain/backup"
	"sluice/internal/service"
)

type backupCommand struct {
	Target string `arg:"" help:"Folder, or s3://BUCKET/PREFIX?region=…&endpoint=…, for the backups of this installation. Credentials are read as the AWS command line reads them." placeholder:"TARGET"`
	place
	Recipient      []string `help:"Encrypt the backup to this age recipient (age1…). Repeat it for several." placeholder:"RECIPIENT" sep:"none"`
	WithSecrets    bool     `help:"Put the secrets into a backup that is not encrypted. Whoever reads it can then compute links and sign logs." xor:"secrets-in-backup"`
	WithoutSecrets bool     `help:"Leave the secrets out of an encrypted backup." xor:"secrets-in-backup"`
	Keep           int      `help:"Keep the newest N snapshots and remove older ones; all are kept by default." placeholder:"N"`
	JSON           bool     `help:"Print JSON." name:"json"`
}

// Help returns the details that --help prints.
func (b *backupCommand) Help() string {
	return "Makes a snapshot of the database and of the bytes of all files, while servers run. What a snapshot has in " +
		"common with older ones is stored once. An encrypted backup holds the secrets, too; another one does not, " +
		"unless --with-secrets is given. With PostgreSQL the backup holds the bytes of the files only: copy the " +
		"database first, with pg_dump. A backup that was interrupted leaves no snapshot; run the same command again."
}

// backedUp is the result of a backup, in the form that --json prints.
type backedUp struct {
	Snapshot    string          `json:"snapshot"`
	Encrypted   bool            `json:"encrypted"`
	Database    bool            `json:"database"` // whether the backup holds it
	Secrets     bool            `json:"secrets"`  // whether the backup holds them
	Files       int64           `json:"files"`
	Bytes       int64           `json:"bytes"`
	CopiedFiles int64           `json:"copied_files"`
	CopiedBytes int64           `json:"copied_bytes"`
	DatabaseLen int64           `json:"database_bytes"`
	Logs        []backup.Ledger `json:"logs"`
	Damaged     []damagedFile   `json:"damaged"`
	Removed     []string        `json:"removed"` // older snapshots
	Pruned      int64           `json:"pruned_objects"`
	Seconds     float64         `json:"seconds"`
}

// damagedFile is a file whose bytes are not those that were uploaded.
type damagedFile struct {
	File    string `json:"file"`
	Problem string `json:"problem"`
}

func damagedFiles(list []backup.DamagedFile) []damagedFile {
	all := []damagedFile{}
	for _, f := range list {
		all = append(all, damagedFile{f.ID, f.Why})
	}
	return all
}

func (b *backupCommand) Run(ctx context.Context, out *output) error {
	began := time.Now()
	if b.Keep < 0 {
		return usageError{errors.New("--keep: want a number of snapshots, 1 or more")}
	}
	to, err := backup.ParseRecipients(b.Recipient)
	if err != nil {
		return usageError{fmt.Errorf("--recipient: %w", err)}
	}
	result, target, err := b.backup(ctx, to, out)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted; run the same command again to go on: %w", ctx.Err())
	}
	if err != nil {
		return about("backup to", b.Target, err)
	}
	done := backedUp{Snapshot: result.Snapshot, Encrypted: target.Encrypted(), Database: result.Database > 0,
		Secrets: result.Secrets, Files: result.Files, Bytes: result.Bytes, CopiedFiles: result.CopiedFiles,
		CopiedBytes: result.CopiedBytes, DatabaseLen: result.Database, Logs: result.Ledgers,
		Damaged: damagedFiles(result.Damaged), Removed: result.Removed, Pruned: result.Pruned,
		Seconds: float64(time.Since(began).Milliseconds()) / 1000}
	if err := b.print(out, done); err != nil {
		return err
	}
	if n := len(done.Damaged); n > 0 {
		return errors.New(counted(n, "1 file is damaged", "%d files are damaged") +
			` and not in the backup; see "When a stored file is damaged" in docs/operating.md`)
	}
	return nil
}

func (b *backupCommand) backup(
	ctx context.Context, to backup.Recipients, out *output,
) (result backup.Result, target *backup.Target, err error) {
	log := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	i, err := b.place.open(ctx, service.Config{PublicURL: "http://localhost", Log: log}, opening{})
	if err != nil {
		return result, nil, err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	var id string
	err = i.store.View(ctx, func(r service.Reader) (err error) {
		id, err = r.Installation()
		return err
	})
	if err != nil {
		return result, nil, err
	}
	place, err := openDepot(ctx, b.Target, true)
	if err != nil {
		return result, nil, err
	}
	defer place.Close()
	if target, err = backup.Claim(ctx, place, id, to); err != nil {
		return result, nil, err
	}
	source := backup.Source{Store: i.store, Blobs: i.blobs, Version: version()}
	if b.WithSecrets || target.Encrypted() && !b.WithoutSecrets {
		source.Secrets = func() ([]byte, error) { return os.ReadFile(b.place.secretsFile()) }
	}
	shown := newProgress(out.stderr)
	defer shown.end()
	result, err = target.Backup(ctx, source, b.Keep, shown.transferred)
	return result, target, err
}

// transferred shows the progress of a backup or a restore.
func (p *progress) transferred(what string, files, bytes int64) {
	p.show(fmt.Sprintf("%s: %d files, %d MB", what, files, bytes>>20), 0, -1)
}

func (b *backupCommand) print(out *output, d backedUp) error {
	if b.JSON {
		return printJSON(out.stdout, d)
	}
	w := &lines{w: out.stdout}
	w.add("snapshot %s: %s of %d bytes, of which %s of %d bytes were copied", d.Snapshot,
		counted(d.Files, "1 file", "%d files"), d.Bytes, counted(d.CopiedFiles, "1 file", "%d files"), d.CopiedBytes)
	for _, l := range d.Logs {
		w.add("log  %s  %d entries, signed up to %d", l.Ledger, l.Size, l.Signed)
	}
	for _, f := range d.Damaged {
		w.add("damaged  %s: %s", f.File, f.Problem)
	}
	for _, name := range d.Removed {
		w.add("removed  snapshot %s", name)
	}
	if !d.Database {
		w.add("The database is not in this backup: copy it with pg_dump or an archive of its WAL, before each backup.")
	}
	if !d.Secrets {
		w.add("The secrets are not in this backup: keep a copy of %s elsewhere. "+
			"Without it no link opens, and no log can be continued.", b.place.secretsFile())
	}
	return w.err
}
