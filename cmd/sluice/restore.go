package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/maintain/backup"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
)

type restoreCommand struct {
	Source string `arg:"" help:"Folder, or s3://BUCKET/PREFIX?region=…&endpoint=…, with the backups." placeholder:"SOURCE"`
	place
	Snapshot    string `help:"Snapshot to restore; the newest by default." placeholder:"NAME"`
	Identity    string `help:"File with the age identity of one of the recipients of an encrypted backup." placeholder:"FILE"`
	Heads       string `help:"File of the newest signed heads of the lost server, which tell what was lost; a data folder gets a copy; by default the file beside --secrets, where there is one." placeholder:"FILE"`
	SkipDamaged bool   `help:"Restore the other files when some are damaged or missing in the backup. Downloads of those fail."`
	List        bool   `help:"List the snapshots, oldest first, and restore nothing."`
	JSON        bool   `help:"Print JSON." name:"json"`
}

// Help returns the details that --help prints.
func (r *restoreCommand) Help() string {
	return "Restores a snapshot into --data, an empty folder, and checks it as sluice fsck does. Damage ends the " +
		"restore. Findings of the rules, the rows and the index are those of the original: they are listed, and " +
		"the exit code is 0. --secrets names the secrets file to copy when the backup does not hold it. With " +
		"--database-url and --blob-url, restores the bytes of the files of that database into an empty bucket or " +
		"prefix; restore the database before, with PostgreSQL's tools. If a restore is interrupted, run the same " +
		"command again to resume it: no server starts before it has finished, and then only with " +
		"--accept-rollback."
}

// restoredCopy is the result of a restore, in the form that --json prints.
type restoredCopy struct {
	Snapshot string          `json:"snapshot"`
	Time     time.Time       `json:"time"`
	Files    int64           `json:"files"`
	Bytes    int64           `json:"bytes"`
	Logs     []backup.Ledger `json:"logs"`
	Damaged  []damagedFile   `json:"damaged"` // in the backup; the first hundred
	Missing  []damagedFile   `json:"missing"` // not in the backup; the first hundred
	Lost     []lostEntries   `json:"lost"`
	Findings []fsck.Finding  `json:"findings"` // of the original, which the copy has as well
	Notes    []string        `json:"notes"`
	Start    []string        `json:"start"` // the command line of the server
}

// lostEntries are entries of a log that were signed and are not in the backup.
type lostEntries struct {
	Log    string `json:"log"`
	Signed int64  `json:"signed"` // entries that the heads remember
	Has    int64  `json:"has"`    // signed entries in the database; not fewer than Signed when it has another log
}

// snapshotLine is a snapshot that --list prints.
type snapshotLine struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
}

func (r *restoreCommand) Run(ctx context.Context, out *output) error {
	err := r.run(ctx, out)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted; run the same command again to go on: %w", ctx.Err())
	}
	return about("restore from", r.Source, err)
}

func (r *restoreCommand) run(ctx context.Context, out *output) error {
	if _, err := r.place.check(false); err != nil {
		return err
	}
	var identities backup.Identities
	if r.Identity != "" {
		var err error
		if identities, err = backup.ReadIdentities(r.Identity); err != nil {
			return usageError{fmt.Errorf("--identity: %w", err)}
		}
	}
	from, err := openDepot(ctx, r.Source, false)
	if err != nil {
		return err
	}
	defer from.Close()
	target, err := backup.Open(ctx, from, identities, r.List)
	if err != nil {
		return err
	}
	if r.List {
		return r.list(ctx, target, out)
	}
	snapshot, err := target.Snapshot(ctx, r.Snapshot)
	if err != nil {
		return err
	}
	do := &restoring{command: r, snapshot: snapshot, out: out, shown: newProgress(out.stderr)}
	defer do.shown.end()
	if do.heads, err = r.heads(); err != nil {
		return err
	}
	if r.place.shared() {
		err = do.shared(ctx)
	} else {
		err = do.folder(ctx)
	}
	if err != nil {
		return err
	}
	do.shown.end()
	return do.print()
}

func (r *restoreCommand) list(ctx context.Context, target *backup.Target, out *output) error {
	names, err := target.Snapshots(ctx)
	if err != nil {
		return err
	}
	w := &lines{w: out.stdout}
	for _, name := range names {
		line := snapshotLine{name, backup.NameTime(name)}
		if !r.JSON {
			w.add("%s  %s", line.Snapshot, line.Time.Format(time.RFC3339))
		} else if err := printJSON(out.stdout, line); err != nil {
			return err
		}
	}
	return w.err
}

// restoring is a restore under way.
type restoring struct {
	command  *restoreCommand
	snapshot *backup.Snapshot
	out      *output
	shown    *progress
	result   restoredCopy
	mark     restoredMark
	heads    *headsFile // that the lost server remembered; nil without any
}

// folder restores into a data folder. The mark in the folder comes first. The database comes last, so that a version
// of Sluice that does not know the mark refuses the folder before, too.
func (d *restoring) folder(ctx context.Context) error {
	data := d.command.Data
	if d.snapshot.Database == nil {
		return usageError{errors.New("the snapshot holds the bytes of files only, because the database is PostgreSQL's: " +
			"restore the database with PostgreSQL's tools, and give --database-url and --blob-url")}
	}
	secrets, err := d.secrets(ctx)
	if err != nil {
		return err
	}
	complete, err := d.begin()
	if err != nil {
		return err
	}
	blobs, err := blob.OpenDisk(filepath.Join(data, blobsName))
	if err != nil {
		return err
	}
	defer blobs.Close()
	if complete {
		if err := d.unchanged(ctx); err != nil {
			return err
		}
	}
	if err := d.files(ctx, blobs, nil); err != nil {
		return d.explain(err)
	}
	if !complete {
		if err := replaceFile(filepath.Join(data, secretsName), secrets); err != nil {
			return d.explain(err)
		}
		if err := d.database(ctx); err != nil {
			return d.explain(err)
		}
	}
	if err := blobs.Claim(ctx, d.snapshot.Installation); err != nil {
		return d.explain(err)
	}
	if err := d.check(ctx); err != nil {
		return d.explain(err)
	}
	if !complete {
		if err := d.remember(); err != nil {
			return d.explain(err)
		}
	}
	d.mark.Finished = true
	if err := d.mark.write(data); err != nil {
		return d.explain(err)
	}
	d.result.Start = []string{"sluice", "serve", "--data", data, "--accept-rollback"}
	return nil
}

func (d *restoring) explain(err error) error { return d.command.place.explain(err) }

// secrets gives the secrets that go with the snapshot.
func (d *restoring) secrets(ctx context.Context) ([]byte, error) {
	path := d.command.Secrets
	if path != "" {
		text, err := os.ReadFile(path)
		if err == nil {
			err = checkMode(path, nil)
		}
		if err != nil {
			err = usageError{fmt.Errorf("--secrets: %w", err)}
		}
		return text, err
	}
	text, err := d.snapshot.ReadSecrets(ctx)
	if err == nil && text == nil {
		err = usageError{errors.New("the snapshot does not hold the secrets; give --secrets, " +
			"the secrets file of the installation, which is then copied")}
	}
	return text, err
}

// heads opens the heads that the lost server remembered, if there are any.
func (r *restoreCommand) heads() (*headsFile, error) {
	path := r.Heads
	if path == "" && r.Secrets != "" {
		path = r.Secrets + ".heads"
	}
	if path == "" {
		return nil, nil
	}
	if _, err := os.Stat(path); err != nil {
		if r.Heads == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, usageError{fmt.Errorf("--heads: %w", err)}
	}
	return openHeads(path)
}

// begin marks the folder, or finds the mark of an earlier run. It reports whether that run was complete: it may have
// failed to make its last mark durable. What is there is then checked and stays, because other commands may have opened
// it.
func (d *restoring) begin() (complete bool, err error) {
	data := d.command.Data
	d.mark = restoredMark{Snapshot: d.snapshot.Name, Installation: d.snapshot.Installation,
		Time: d.snapshot.Time}
	before, err := readMark(data)
	if err != nil {
		return false, err
	}
	if before != nil && before.Snapshot == d.mark.Snapshot && before.Installation == d.mark.Installation {
		return before.Finished, nil
	}
	if before != nil && !before.Finished {
		return false, sluice.Errorf(sluice.CodeForbidden, "a restore of the snapshot %s into %s has not finished; "+
			"run it again with --snapshot %s, or empty the folder", before.Snapshot, data, before.Snapshot)
	}
	if err := requireEmptyFolder(data); err != nil {
		return false, err
	}
	if err := blob.MakeDir(data); err != nil {
		return false, d.explain(err)
	}
	return false, d.explain(d.mark.write(data))
}

func requireEmptyFolder(folder string) error {
	names, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if name.Name() == "lost+found" || strings.HasPrefix(name.Name(), temporary(restoredName)) {
			continue
		}
		return sluice.Errorf(sluice.CodeForbidden, "%s is not empty (it holds %s): name another folder with --data, "+
			"or stop the server and move the folder away", folder, name.Name())
	}
	return err
}

// files restores the bytes of the files.
func (d *restoring) files(ctx context.Context, to backup.Depot, database service.Store) error {
	done, err := d.snapshot.Restore(ctx, to, database, d.shown.transferred)
	if err != nil {
		return err
	}
	d.result.Files, d.result.Bytes = done.Files, done.Bytes
	d.result.Damaged, d.result.Missing = damagedFiles(done.Damaged), damagedFiles(done.Unknown)
	if done.Lost == 0 || d.command.SkipDamaged {
		return nil
	}
	var named []string
	for _, f := range done.Damaged[:min(len(done.Damaged), 10)] {
		named = append(named, f.ID+" "+f.Why)
	}
	return fmt.Errorf("the backup is damaged, %s: %s; restore another snapshot with --snapshot, put the objects back, "+
		"or leave these files out with --skip-damaged",
		counted(done.Lost, "1 file cannot be restored", "%d files cannot be restored"), strings.Join(named, "; "))
}

// database restores the file of the database. What an earlier run has left of it is removed.
func (d *restoring) database(ctx context.Context) error {
	path := filepath.Join(d.command.Data, databaseName)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.CreateTemp(d.command.Data, temporary(databaseName)+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = d.snapshot.WriteDatabase(ctx, f, d.shown.transferred)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(d.command.Data)
}

// unchanged refuses a complete copy whose files are no longer those of the snapshot: the bytes of a file that was
// deleted since must not come back.
func (d *restoring) unchanged(ctx context.Context) error {
	place := place{Data: d.command.Data, restoring: true}
	i, err := place.open(ctx, d.config(), opening{})
	if err != nil {
		return err
	}
	err = d.snapshot.Compare(ctx, i.store)
	if differs := (*backup.DamagedError)(nil); errors.As(err, &differs) {
		err = sluice.Errorf(sluice.CodeForbidden, "the restore into %s is complete, and its files have changed since "+
			"(%s %s): check it with sluice fsck --deep, or name another folder with --data",
			d.command.Data, differs.Object, differs.Why)
	}
	return errors.Join(err, i.close())
}

// check checks the restored folder: its secrets and its files against its records, and then what sluice fsck checks.
func (d *restoring) check(ctx context.Context) error {
	place := place{Data: d.command.Data, restoring: true}
	i, err := place.open(ctx, d.config(), opening{})
	if err != nil {
		return err
	}
	if err = d.ownSecrets(ctx, i, place); err == nil {
		err = d.snapshot.Compare(ctx, i.store)
	}
	if err == nil {
		err = d.compareHeads(ctx, i)
	}
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	return d.fsck(ctx, place)
}

// ownSecrets checks that the secrets belong to the database.
func (d *restoring) ownSecrets(ctx context.Context, i *installation, p place) error {
	var c service.Config
	if err := loadSecrets(p.secretsFile(), false, &c); err != nil {
		return err
	}
	return i.store.View(ctx, func(r service.Reader) error {
		known, err := r.SigningKeys()
		if err == nil && !slices.ContainsFunc(c.SigningKeys, signedWith(known)) {
			err = fmt.Errorf("the backup was made with other signing keys than those of the secrets file (it knows %v); "+
				"empty %s, and restore with the secrets that belong to it", known, p.Data)
		}
		return err
	})
}

// compareHeads compares the logs with the heads of the lost server, and lists the entries that were signed and that the
// database lacks. They are no reason to refuse the copy: a backup is older than what it replaces.
func (d *restoring) compareHeads(ctx context.Context, i *installation) error {
	d.result.Logs, d.result.Lost = []backup.Ledger{}, []lostEntries{}
	signed := map[string]int64{}
	err := i.store.View(ctx, func(r service.Reader) error {
		logs, err := r.Logs()
		for _, l := range logs {
			head := backup.Ledger{Ledger: l.Ledger.String(), Size: l.Size, Signed: l.Signed}
			c, err := r.Checkpoint(l.Ledger, -1)
			switch {
			case err == nil:
				head.Signed, head.Root = c.Size, c.Root.String()
			case sluice.CodeOf(err) != sluice.CodeNotFound:
				return err
			}
			signed[head.Ledger] = head.Signed
			d.result.Logs = append(d.result.Logs, head)
		}
		return err
	})
	if err != nil {
		return err
	}
	faults, err := i.service.Ledgers.VerifyHeads(ctx)
	if err != nil {
		return err
	}
	for _, f := range faults {
		if d.heads == nil || !errors.Is(f.Err, service.ErrRolledBack) {
			return fmt.Errorf("the restored copy is not sound: %w; restore another snapshot with --snapshot, "+
				"or give the secrets and the heads that belong to it", f.Err)
		}
		log := f.Ledger.String()
		d.result.Lost = append(d.result.Lost, lostEntries{log, d.heads.Newest(f.Ledger).Size, signed[log]})
	}
	slices.SortFunc(d.result.Lost, func(a, b lostEntries) int { return strings.Compare(a.Log, b.Log) })
	return nil
}

// fsck refuses a copy that is damaged. What sluice fsck finds besides says how the original was when it was backed up.
func (d *restoring) fsck(ctx context.Context, p place) error {
	p.restoring = true
	f := fsckCommand{fsckPlace: fsckPlace{place: p}}
	var report fsck.Report
	if err := f.check(ctx, d.out, &report); err != nil {
		return err
	}
	var damage []fsck.Finding
	d.result.Findings = []fsck.Finding{}
	for _, f := range report.Findings {
		switch f.Check {
		case fsck.Rules, fsck.Rows, fsck.Index:
			d.result.Findings = append(d.result.Findings, f)
		case fsck.Bytes:
			// The bytes of all files were compared already, and the files without bytes are named.
			if len(d.result.Damaged)+len(d.result.Missing) == 0 {
				damage = append(damage, f)
			}
		default:
			damage = append(damage, f)
		}
	}
	if n := len(damage); n > 0 {
		return fmt.Errorf("the restored copy is not sound: %s, such as %s; restore another snapshot with --snapshot",
			counted(n, "1 problem was found", "%d problems were found"), damage[0])
	}
	return nil
}

func (d *restoring) config() service.Config {
	log := slog.New(slog.NewTextHandler(d.out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c := service.Config{PublicURL: "http://localhost", Log: log}
	if d.heads != nil {
		c.Heads = d.heads
	}
	return c
}

// remember copies the heads of the lost server. Without any, it removes those that an earlier run has copied.
func (d *restoring) remember() error {
	path := filepath.Join(d.command.Data, secretsName+".heads")
	if d.heads == nil {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := os.ReadFile(d.heads.path)
	if err == nil {
		err = replaceFile(path, text)
	}
	return err
}

// restoringMark stands before the id of the installation in the marker of a bucket into which a restore has not
// finished. No server starts on it.
const restoringMark = "restoring"

// shared restores the bytes of the files of a database into a bucket.
func (d *restoring) shared(ctx context.Context) error {
	c := d.command
	i, err := c.place.open(ctx, d.config(), opening{})
	if err != nil {
		return err
	}
	err = d.bucket(ctx, i)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	d.result.Start = []string{"sluice", "serve", "--database-url", withoutPassword(c.DatabaseURL), "--blob-url", c.BlobURL,
		"--secrets", c.place.secretsFile()}
	if c.Heads != "" {
		d.result.Start = append(d.result.Start, "--heads", c.Heads)
	}
	if len(d.result.Lost) > 0 {
		d.result.Start = append(d.result.Start, "--accept-rollback")
	}
	return nil
}

func (d *restoring) bucket(ctx context.Context, i *installation) error {
	to, ok := i.blobs.(backup.Depot)
	if !ok {
		return errors.New("files cannot be restored there")
	}
	var id string
	err := i.store.View(ctx, func(r service.Reader) (err error) {
		id, err = r.Installation()
		return err
	})
	if err != nil {
		return err
	}
	if id != d.snapshot.Installation {
		return sluice.Errorf(sluice.CodeForbidden, "the database belongs to installation %s, and the backup to %s",
			id, d.snapshot.Installation)
	}
	if err := claimBucket(ctx, to, id); err != nil {
		return err
	}
	if err := d.files(ctx, to, i.store); err != nil {
		return err
	}
	if err := d.compareHeads(ctx, i); err != nil {
		return err
	}
	if err := d.fsck(ctx, d.command.place); err != nil {
		return err
	}
	if err := to.Release(ctx, restoringMark+id); err != nil {
		return err
	}
	return to.Claim(ctx, id)
}

// claimBucket marks a bucket that is empty, or goes on with one that an earlier run has marked.
func claimBucket(ctx context.Context, to backup.Depot, id string) error {
	owner, err := to.Owner(ctx)
	if err != nil || owner == restoringMark+id {
		return err
	}
	if owner == "" {
		err = to.Walk(ctx, func(key string, _ time.Time) error {
			return sluice.Errorf(sluice.CodeForbidden, "the bucket of --blob-url is not empty (%s is stored): "+
				"choose an empty one, or another prefix; if a restore into this one was killed at its very end, it is "+
				"complete: check it with sluice fsck --deep, and start the server", key)
		})
		if err != nil {
			return err
		}
		return to.Claim(ctx, restoringMark+id)
	}
	return sluice.Errorf(sluice.CodeForbidden, "the bucket of --blob-url is in use by installation %s: "+
		"choose an empty one, or another prefix", owner)
}

// shownFindings limits how many findings are printed as text.
const shownFindings = 20

func (d *restoring) print() error {
	r := &d.result
	r.Snapshot, r.Time = d.snapshot.Name, d.snapshot.Time
	if d.command.JSON {
		return printJSON(d.out.stdout, r)
	}
	w := &lines{w: d.out.stdout}
	w.add("restored snapshot %s of %s: %s of %d bytes, each compared with its SHA-256", r.Snapshot,
		r.Time.Format(time.RFC3339), counted(r.Files, "1 file", "%d files"), r.Bytes)
	for _, l := range r.Logs {
		w.add("log  %s  %d entries, signed up to %d", l.Ledger, l.Size, l.Signed)
	}
	for _, l := range r.Lost {
		if l.Has < l.Signed {
			w.add("lost  entries %d to %d of %s: the heads remember %d signed entries", l.Has, l.Signed, l.Log, l.Signed)
		} else {
			w.add("lost  entries of %s: the heads remember another log, of %d signed entries", l.Log, l.Signed)
		}
	}
	for _, f := range r.Damaged {
		w.add("damaged  %s %s", f.File, f.Problem)
	}
	for _, f := range r.Missing {
		w.add("missing  %s: %s", f.File, f.Problem)
	}
	for _, f := range r.Findings[:min(len(r.Findings), shownFindings)] {
		w.add("found  %s", f)
	}
	if n := len(r.Findings); n > 0 {
		w.add("%s. The copy is as it was backed up, and the original had the same: "+
			`see "Is everything as it should be?" in docs/operating.md. sluice fsck lists all of it.`,
			counted(n, "1 problem was found", "%d problems were found"))
	}
	quoted := make([]string, len(r.Start))
	for i, word := range r.Start {
		quoted[i] = shellQuoted(word)
	}
	w.add(`Links and keys that were revoked after the backup are valid again: see "An older backup" in ` +
		"docs/operating.md. Then start the server with its other flags and, the first time, with")
	w.add("  %s", strings.Join(quoted, " "))
	return w.err
}
