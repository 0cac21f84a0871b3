package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/store/transfer"
	"sluice/internal/token"
)

// migrateCommand moves a single-machine installation to PostgreSQL and S3.
type migrateCommand struct {
	Data          string `help:"Data folder of the installation to move. No server may use it meanwhile. It is not changed." default:"./sluice-data" placeholder:"DIR"`
	Secrets       string `help:"Secrets file of the installation; secrets.json in --data by default." placeholder:"FILE"`
	ToDatabaseURL string `help:"Empty PostgreSQL database for the records. The password may be in PGPASSWORD or ~/.pgpass." required:"" placeholder:"URL"`
	ToBlobURL     string `help:"Empty S3 bucket or prefix for the files: s3://BUCKET/PREFIX?region=…&endpoint=…. Credentials are read as the AWS command line reads them." required:"" placeholder:"URL"`
	JSON          bool   `help:"Print JSON." name:"json"`
}

// Help returns the details that --help prints.
func (m *migrateCommand) Help() string {
	return "Copies every file and every record. Reads each file back and compares its SHA-256 with the record, " +
		"compares all records, and rebuilds each audit log up to its newest signed checkpoint. Links, keys and the log " +
		"remain valid with the same secrets file. If a run is interrupted, run the same command again to resume it. " +
		"No server starts on the new database until a run has finished. Afterwards never start a server on --data " +
		"again: two servers would continue the same log in different ways."
}

// moved is the result of a migration, in the form that --json prints.
type moved struct {
	Before  bool       `json:"before"` // an earlier run has finished
	Files   int64      `json:"files"`
	Bytes   int64      `json:"bytes"`
	Records int64      `json:"records"`
	Logs    []movedLog `json:"logs"`
	Start   []string   `json:"start"` // the command line of the next server
}

// movedLog is a log that was rebuilt from the moved records.
type movedLog struct {
	Origin  string `json:"origin"`
	Size    int64  `json:"size"` // of the newest checkpoint
	Root    string `json:"root"`
	Entries int64  `json:"entries"`
}

func (m *migrateCommand) Run(ctx context.Context, out *output) error {
	result, err := m.migrate(ctx, out)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted; run the same command again to resume: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	result.Start = []string{"sluice", "serve", "--database-url", withoutPassword(m.ToDatabaseURL), "--blob-url",
		m.ToBlobURL, "--secrets", m.place().secretsFile()}
	if m.JSON {
		return printJSON(out.stdout, result)
	}
	return result.print(out, m.Data)
}

func (m *migrateCommand) place() place { return place{Data: m.Data, Secrets: m.Secrets} }

func (m *migrateCommand) migrate(ctx context.Context, out *output) (result moved, err error) {
	p := m.place()
	if err := p.prepare(false); err != nil {
		return result, err
	}
	options, err := blob.ParseS3URL(m.ToBlobURL)
	if err != nil {
		return result, usageError{fmt.Errorf("--to-blob-url: %w", err)}
	}
	log := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	records, err := transfer.Open(ctx, filepath.Join(m.Data, databaseName), m.ToDatabaseURL, store.Options{Log: log})
	if err != nil {
		return result, p.explain(err)
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if records.Done() {
		return moved{Before: true}, nil
	}
	config := service.Config{PublicURL: "http://localhost", Log: log, Store: records.To()}
	if err := m.secrets(ctx, records, &config); err != nil {
		return result, err
	}
	from, err := blob.OpenDisk(filepath.Join(m.Data, blobsName))
	if err != nil {
		return result, err
	}
	defer from.Close()
	to, err := blob.OpenS3(ctx, options)
	if err != nil {
		return result, err
	}
	defer to.Close()
	config.Blobs = to
	svc, err := service.New(config)
	if err != nil {
		return result, err
	}
	v := &mover{records: records, from: from, to: to, service: svc, say: sayer(out.stderr)}
	return v.run(ctx)
}

// secrets checks that the secrets belong to the installation. Its links are not
// valid under others.
func (m *migrateCommand) secrets(ctx context.Context, records *transfer.Transfer, c *service.Config) error {
	path := m.place().secretsFile()
	if err := loadSecrets(path, false, c); err != nil {
		return err
	}
	known, err := records.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.SigningKeys, func(k token.Key) bool { return slices.Contains(known, k.ID()) }) {
		return fmt.Errorf("secrets %s: not the secrets of %s", path, m.Data)
	}
	return nil
}

// mover moves an installation whose storage is open.
type mover struct {
	records  *transfer.Transfer
	from, to service.Blobs
	service  *service.Service
	say      func(format string, args ...any)
}

func (v *mover) run(ctx context.Context) (result moved, err error) {
	if err := v.checkBucket(ctx); err != nil {
		return result, err
	}
	id, err := v.records.Installation(ctx)
	if err != nil {
		return result, err
	}
	if err := v.to.Claim(ctx, id); err != nil {
		return result, fmt.Errorf("the target bucket: %w", err)
	}
	if v.records.Begun() {
		v.say("resuming an earlier run")
	}
	if err := v.records.Begin(ctx); err != nil {
		return result, err
	}
	if result.Files, result.Bytes, err = v.files(ctx); err != nil {
		return result, err
	}
	tick := everySecond()
	result.Records, err = v.records.Copy(ctx, func(table string, rows int64) {
		if tick() {
			v.say("records  %s: %d", table, rows)
		}
	})
	if err != nil {
		return result, err
	}
	v.say("records  %d copied; comparing", result.Records)
	if err := v.records.Check(ctx); err != nil {
		return result, err
	}
	if result.Logs, err = v.logs(ctx); err != nil {
		return result, err
	}
	return result, v.records.Finish(ctx)
}

// checkBucket refuses a bucket with objects of other origin. The server would
// delete them, because no record names them.
func (v *mover) checkBucket(ctx context.Context) error {
	return v.to.Walk(ctx, func(key string, _ time.Time) error {
		own, err := false, error(nil)
		if v.records.Begun() {
			own, err = v.records.HasFile(ctx, key)
		}
		if err == nil && !own {
			err = fmt.Errorf("the target bucket is not empty (%s): choose an empty one, or another prefix", key)
		}
		return err
	})
}

// filesAtOnce is the number of files that move concurrently. A single one
// mostly waits for the network.
const filesAtOnce = 8

// files copies the bytes of all files.
func (v *mover) files(ctx context.Context) (files, size int64, err error) {
	ofFiles, ofSize, err := v.records.CountFiles(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var done, bytes atomic.Int64
	var workers sync.WaitGroup
	queue := make(chan transfer.File)
	for range filesAtOnce {
		workers.Go(func() {
			for f := range queue {
				if err := v.file(ctx, f); err != nil {
					stop(err)
				}
				done.Add(1)
				bytes.Add(f.Size)
			}
		})
	}
	tick := everySecond()
	err = v.records.Files(ctx, func(f transfer.File) error {
		select {
		case queue <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
		if tick() {
			v.say("files    %d of %d, %d of %d MB", done.Load(), ofFiles, bytes.Load()>>20, ofSize>>20)
		}
		return nil
	})
	close(queue)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	v.say("files    %d copied and read back", done.Load())
	return done.Load(), bytes.Load(), err
}

// file ensures that the bucket holds the bytes of a file, by reading them
// there. It copies missing bytes and replaces damaged ones.
func (v *mover) file(ctx context.Context, f transfer.File) error {
	want := service.Stored{Size: f.Size, SHA256: f.SHA256}
	have, err := stored(ctx, v.to, f.ID)
	switch {
	case err == nil && same(have, want):
		return nil
	case err == nil:
		err = v.to.Remove(ctx, f.ID)
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		err = nil
	}
	if err == nil {
		err = v.copyFile(ctx, f.ID, want)
	}
	if err == nil {
		have, err = stored(ctx, v.to, f.ID)
	}
	if err == nil && !same(have, want) {
		err = fmt.Errorf("the bucket returned %d bytes with SHA-256 %s, but %d bytes with %s were written",
			have.Size, have.SHA256, want.Size, want.SHA256)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("file %s: %w", f.ID, err)
	}
	return err
}

// copyFile copies the bytes of a file from the disk. It fails if they are not the
// bytes that were uploaded.
func (v *mover) copyFile(ctx context.Context, id string, want service.Stored) error {
	src, err := v.from.Open(ctx, id)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return errors.New("its bytes are not in the data folder: " +
			"restore them from a backup, or delete the file, and run the command again")
	}
	if err != nil {
		return err
	}
	defer src.Close()
	sent, err := v.to.Put(ctx, id, src)
	if err != nil || same(sent, want) {
		return err
	}
	err = fmt.Errorf("its bytes in the data folder are damaged: %d bytes with SHA-256 %s, "+
		"but %d bytes with %s were uploaded: "+
		"restore them from a backup, or delete the file, and run the command again",
		sent.Size, sent.SHA256, want.Size, want.SHA256)
	return errors.Join(err, v.to.Remove(context.WithoutCancel(ctx), id))
}

// same compares size and SHA-256, which every record has. Older records have no
// CRC-32.
func same(a, b service.Stored) bool { return a.Size == b.Size && a.SHA256 == b.SHA256 }

// stored reads a blob and returns its size and SHA-256.
func stored(ctx context.Context, blobs service.Blobs, key string) (s service.Stored, err error) {
	r, err := blobs.Open(ctx, key)
	if err != nil {
		return s, err
	}
	defer r.Close()
	h := sha256.New()
	s.Size, err = io.Copy(h, r)
	h.Sum(s.SHA256[:0])
	return s, err
}

// logs rebuilds and verifies every log from the moved records.
func (v *mover) logs(ctx context.Context) (all []movedLog, err error) {
	accounts, err := v.service.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		for _, mode := range []sluice.Mode{sluice.Test, sluice.Live} {
			l := sluice.LedgerID{Account: a.ID, Mode: mode}
			report, err := v.service.Ledgers.Verify(ctx, l)
			if sluice.CodeOf(err) == sluice.CodeNotFound {
				continue // nothing is signed yet
			}
			if err != nil {
				return nil, fmt.Errorf("the log of %s is not valid: %w", l, err)
			}
			log := movedLog{Origin: report.Checkpoint.Origin, Size: report.Checkpoint.Size,
				Root: report.Checkpoint.Root.String()}
			err = v.records.To().View(ctx, func(r service.Reader) (err error) {
				log.Entries, err = r.Size(l)
				return err
			})
			if err != nil {
				return nil, err
			}
			v.say("log      %s: %d entries match the signed root", log.Origin, log.Size)
			all = append(all, log)
		}
	}
	return all, nil
}

// print prints what was moved, and how to continue.
func (r *moved) print(out *output, data string) error {
	w := &lines{w: out.stdout}
	if r.Before {
		w.add("%s was already moved there.", data)
	} else {
		w.add("moved %d files of %d bytes, each read back and its SHA-256 compared, and %d records, each compared",
			r.Files, r.Bytes, r.Records)
	}
	for _, l := range r.Logs {
		w.add("log  %s  %d entries, signed up to %d, root %s", l.Origin, l.Entries, l.Size, l.Root)
	}
	w.add("Never start a server on %s again: two servers would continue the same log in different ways. Continue with",
		data)
	quoted := make([]string, len(r.Start))
	for i, word := range r.Start {
		quoted[i] = shellQuoted(word)
	}
	w.add("  %s", strings.Join(quoted, " "))
	w.add("and the server's other flags. Keep --public-url, because existing links lead there.")
	return w.err
}

// shellQuoted quotes a word for sh if it must be quoted.
func shellQuoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// withoutPassword returns a database URL without its password, or "URL" if text
// has another form.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "URL"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// sayer returns a function that prints lines of progress.
func sayer(w io.Writer) func(format string, args ...any) {
	l := &lines{w: w}
	return l.add
}

// everySecond returns a function that returns true about once a second.
func everySecond() func() bool {
	last := time.Now()
	return func() bool {
		now := time.Now()
		if now.Sub(last) < time.Second {
			return false
		}
		last = now
		return true
	}
}
