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
	"sluice/internal/token"
)

// migrateCommand moves a one-machine installation to PostgreSQL and S3.
type migrateCommand struct {
	Data          string `help:"Folder of the installation that moves, which no server works on meanwhile. It is left as it is." default:"./sluice-data" placeholder:"DIR"`
	Secrets       string `help:"File of its secrets; secrets.json in --data when left out." placeholder:"FILE"`
	ToDatabaseURL string `help:"Empty PostgreSQL database for the records; a password may stand in PGPASSWORD or ~/.pgpass." required:"" placeholder:"URL"`
	ToBlobURL     string `help:"Empty S3 bucket or prefix for the files: s3://BUCKET/PREFIX?region=…&endpoint=…; credentials as for the AWS command line." required:"" placeholder:"URL"`
	JSON          bool   `help:"Print JSON." name:"json"`
}

// Help is what --help says besides.
func (m *migrateCommand) Help() string {
	return "Copies every file and every record, reads each file back and compares its SHA-256 with the record, compares all records, and rebuilds each " +
		"audit log up to its newest signed checkpoint. Links, keys and the log go on working with the same secrets file. A run that was broken off " +
		"is gone on with by running the same command again; until one has finished, no server starts on the new database. Afterwards never start a " +
		"server on --data again: there would be two logs that contradict each other."
}

// moved is what has moved, as --json prints it.
type moved struct {
	Before  bool       `json:"before"` // a run before this one has finished it
	Files   int64      `json:"files"`
	Bytes   int64      `json:"bytes"`
	Records int64      `json:"records"`
	Logs    []movedLog `json:"logs"`
	Start   []string   `json:"start"` // what to run now
}

// movedLog is a log that was rebuilt from what arrived.
type movedLog struct {
	Origin  string `json:"origin"`
	Size    int64  `json:"size"` // of the newest checkpoint
	Root    string `json:"root"`
	Entries int64  `json:"entries"`
}

func (m *migrateCommand) Run(ctx context.Context, out *output) error {
	result, err := m.migrate(ctx, out)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("broken off; run the same command again to go on: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	result.Start = []string{"sluice", "serve", "--database-url", withoutPassword(m.ToDatabaseURL), "--blob-url", m.ToBlobURL, "--secrets", m.place().secretsFile()}
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
	records, err := store.OpenMove(ctx, filepath.Join(m.Data, databaseName), m.ToDatabaseURL, store.Options{Log: log})
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

// secrets sees that the secrets are those of the installation: no link would
// open with others.
func (m *migrateCommand) secrets(ctx context.Context, records *store.Move, c *service.Config) error {
	path := m.place().secretsFile()
	if err := loadSecrets(path, false, c); err != nil {
		return err
	}
	known, err := records.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.SigningKeys, func(k token.Key) bool { return slices.Contains(known, k.ID()) }) {
		return fmt.Errorf("secrets %s: they are not those that %s was made with", path, m.Data)
	}
	return nil
}

// mover moves an installation whose parts are open.
type mover struct {
	records  *store.Move
	from, to service.Blobs
	service  *service.Service
	say      func(format string, args ...any)
}

func (v *mover) run(ctx context.Context) (result moved, err error) {
	if err := v.ownBucket(ctx); err != nil {
		return result, err
	}
	id, err := v.records.Installation(ctx)
	if err != nil {
		return result, err
	}
	if err := v.to.Claim(ctx, id); err != nil {
		return result, fmt.Errorf("the bucket to move to: %w", err)
	}
	if v.records.Begun() {
		v.say("going on with what was begun before")
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
	v.say("records  %d are there, and are compared now", result.Records)
	if err := v.records.Check(ctx); err != nil {
		return result, err
	}
	if result.Logs, err = v.logs(ctx); err != nil {
		return result, err
	}
	return result, v.records.Finish(ctx)
}

// ownBucket refuses a bucket with bytes that are not this installation's: a
// server would sweep them away, for no record names them.
func (v *mover) ownBucket(ctx context.Context) error {
	return v.to.Walk(ctx, func(key string, _ time.Time) error {
		own, err := false, error(nil)
		if v.records.Begun() {
			own, err = v.records.HasFile(ctx, key)
		}
		if err == nil && !own {
			err = fmt.Errorf("the bucket to move to is not empty (%s): choose an empty one, or another prefix", key)
		}
		return err
	})
}

// filesAtOnce is how many files are on their way together: one alone mostly waits.
const filesAtOnce = 8

// files moves the bytes of all files.
func (v *mover) files(ctx context.Context) (files, size int64, err error) {
	ofFiles, ofSize, err := v.records.CountFiles(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var done, bytes atomic.Int64
	var workers sync.WaitGroup
	queue := make(chan store.MovedFile)
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
	err = v.records.Files(ctx, func(f store.MovedFile) error {
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
	v.say("files    %d are there, and were read back", done.Load())
	return done.Load(), bytes.Load(), err
}

// file sees that the bytes of a file are in the bucket, whole, by reading them
// there. When they are not there it brings them; others, which nothing but
// damage explains, it replaces.
func (v *mover) file(ctx context.Context, f store.MovedFile) error {
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
		err = v.bring(ctx, f.ID, want)
	}
	if err == nil {
		have, err = stored(ctx, v.to, f.ID)
	}
	if err == nil && !same(have, want) {
		err = fmt.Errorf("the bucket gives %d bytes of SHA-256 %s, and %d of %s were sent to it", have.Size, have.SHA256, want.Size, want.SHA256)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("file %s: %w", f.ID, err)
	}
	return err
}

// bring sends the bytes of a file from the disk, unless they are not what was
// uploaded.
func (v *mover) bring(ctx context.Context, id string, want service.Stored) error {
	src, err := v.from.Open(ctx, id)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return errors.New("its bytes are not in the data folder: put them back from a backup, or delete the file, and run this again")
	}
	if err != nil {
		return err
	}
	defer src.Close()
	sent, err := v.to.Put(ctx, id, src)
	if err != nil || same(sent, want) {
		return err
	}
	err = fmt.Errorf("its bytes in the data folder are damaged: %d bytes of SHA-256 %s, where %d of %s were uploaded: put them back from a backup, or delete the file, and run this again",
		sent.Size, sent.SHA256, want.Size, want.SHA256)
	return errors.Join(err, v.to.Remove(context.WithoutCancel(ctx), id))
}

// same compares what every record has: older ones have no CRC-32.
func same(a, b service.Stored) bool { return a.Size == b.Size && a.SHA256 == b.SHA256 }

// stored reads what is under a key.
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

// logs rebuilds every log from the records that arrived.
func (v *mover) logs(ctx context.Context) (all []movedLog, err error) {
	accounts, err := v.service.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		for _, mode := range []sluice.Mode{sluice.Test, sluice.Live} {
			l := sluice.LedgerID{Account: a.ID, Mode: mode}
			report, err := v.service.VerifyLedger(ctx, l)
			if sluice.CodeOf(err) == sluice.CodeNotFound {
				continue // nothing was signed yet
			}
			if err != nil {
				return nil, fmt.Errorf("the log of %s does not hold: %w", l, err)
			}
			log := movedLog{Origin: report.Checkpoint.Origin, Size: report.Checkpoint.Size, Root: report.Checkpoint.Root.String()}
			err = v.records.To().View(ctx, func(r service.Reader) (err error) {
				log.Entries, err = r.Size(l)
				return err
			})
			if err != nil {
				return nil, err
			}
			v.say("log      %s: %d entries lead to the root that was signed", log.Origin, log.Size)
			all = append(all, log)
		}
	}
	return all, nil
}

// print tells what has moved, and what to do now.
func (r *moved) print(out *output, data string) error {
	w := &lines{w: out.stdout}
	if r.Before {
		w.add("%s has moved there before.", data)
	} else {
		w.add("moved %d files of %d bytes, each read back and its SHA-256 compared, and %d records, each compared", r.Files, r.Bytes, r.Records)
	}
	for _, l := range r.Logs {
		w.add("log  %s  %d entries, signed up to %d, root %s", l.Origin, l.Entries, l.Size, l.Root)
	}
	w.add("Never start a server on %s again: there would be two logs that contradict each other. Go on with", data)
	quoted := make([]string, len(r.Start))
	for i, word := range r.Start {
		quoted[i] = shellQuoted(word)
	}
	w.add("  %s", strings.Join(quoted, " "))
	w.add("and the flags that the server had besides; above all the same --public-url, where links lead.")
	return w.err
}

// shellQuoted quotes a word for sh, where it needs that.
func shellQuoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// withoutPassword is the URL of a database as it may be shown, or "URL" where it
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

// sayer prints lines of progress.
func sayer(w io.Writer) func(format string, args ...any) {
	l := &lines{w: w}
	return l.add
}

// everySecond gives a function that is true about once a second.
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
