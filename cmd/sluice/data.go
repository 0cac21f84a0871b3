package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/gate"
	"sluice/internal/obs"
	"sluice/internal/service"
	"sluice/internal/store"
)

// place is where an installation has its records, bytes and secrets: a folder,
// or a database and a bucket that several servers share.
type place struct {
	Data        string `help:"Folder for the database, the files and the secrets; ${default} when left out." default:"./sluice-data" placeholder:"DIR"`
	DatabaseURL string `help:"PostgreSQL database for the records, with --blob-url; a password may stand in PGPASSWORD or ~/.pgpass." placeholder:"URL"`
	BlobURL     string `help:"S3 bucket for the files, with --database-url: s3://BUCKET/PREFIX?region=…&endpoint=…; credentials as for the AWS command line." placeholder:"URL"`
	Secrets     string `help:"File of the secrets, the same for all servers of one database; secrets.json in --data when left out." placeholder:"FILE"`
}

// check refuses a half of what goes together before anything is made, and
// gives what the URL of the bucket says, if there is one.
func (p place) check(redirect bool) (o blob.S3Options, err error) {
	switch {
	case (p.DatabaseURL == "") != (p.BlobURL == ""):
		err = errors.New("--database-url and --blob-url go together: servers that share records must share the files, too")
	case redirect && !p.shared():
		err = errors.New("--delivery redirect needs files in S3: see --blob-url")
	case p.shared():
		if o, err = blob.ParseS3URL(p.BlobURL); err != nil {
			err = fmt.Errorf("--blob-url: %w", err)
		}
	}
	if err != nil {
		err = usageError{err}
	}
	return o, err
}

func (p place) shared() bool { return p.DatabaseURL != "" }

func (p place) String() string {
	if p.shared() {
		return "the database"
	}
	return p.Data
}

func (p place) secretsFile() string {
	if p.Secrets != "" {
		return p.Secrets
	}
	return filepath.Join(p.Data, secretsName)
}

// installation is a place that was opened: the records, the bytes, the secrets,
// and the service and the gate over them.
type installation struct {
	service *service.Service
	gate    *gate.Gate
	store   *store.Store
	blobs   interface {
		service.Blobs
		io.Closer
	}
}

func (i *installation) close() error { return errors.Join(i.store.Close(), i.blobs.Close()) }

// The names inside a data folder.
const (
	databaseName = "sluice.db"
	blobsName    = "blobs"
	secretsName  = "secrets.json"
	reserveName  = "reserve" // space for revoking and deleting on a full disk
)

// opening says how a place is opened.
type opening struct {
	create   bool         // make what is missing in a place that is empty
	redirect bool         // have links lead on to where the bytes are
	metrics  *obs.Metrics // nil: none
}

// open opens a place for a service configured by c, whose store, blobs and keys
// it fills in.
func (p place) open(ctx context.Context, c service.Config, how opening) (_ *installation, err error) {
	bucket, err := p.check(how.redirect)
	if err != nil {
		return nil, err
	}
	defer func() { err = p.explain(err) }()
	if err := p.prepare(how.create); err != nil {
		return nil, err
	}
	i := &installation{}
	var presigner service.Presigner
	opts := store.Options{Random: rand.Reader, Log: c.Log}
	if how.metrics != nil {
		opts.Observer = how.metrics
	}
	if p.shared() {
		i.store, err = store.OpenPostgres(ctx, p.DatabaseURL, opts)
	} else {
		opts.Reserve = filepath.Join(p.Data, reserveName)
		i.store, err = store.OpenSQLite(filepath.Join(p.Data, databaseName), opts)
	}
	if err != nil {
		return nil, err
	}
	err = p.secrets(ctx, i.store, how.create, &c)
	if err == nil {
		presigner, err = p.openBlobs(ctx, i, &c, bucket)
	}
	if err != nil {
		return nil, errors.Join(err, i.store.Close())
	}
	c.Store = i.store
	if how.metrics != nil {
		c.Blobs = how.metrics.Blobs(c.Blobs)
		how.metrics.WatchStore(i.store.Waiting)
	}
	if i.service, err = service.New(c); err != nil {
		return nil, errors.Join(usageError{err}, i.close())
	}
	if !how.redirect {
		presigner = nil
	}
	i.gate, err = gate.New(gate.Config{Service: i.service, Store: c.Store, Blobs: c.Blobs, Redirect: presigner, Log: c.Log})
	if err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// explain says of an error that comes from a full disk what to do. Other errors stay as they are.
func (p place) explain(err error) error {
	if !p.shared() && (sluice.CodeOf(err) == sluice.CodeStorageFull || errors.Is(err, syscall.ENOSPC)) {
		return fmt.Errorf("the disk of %s is full: make room on it and try again: %w", p, err)
	}
	return err
}

// prepare makes the folder of a place, or refuses one without data.
func (p place) prepare(create bool) error {
	switch {
	case create && p.shared() && p.Secrets != "":
		return nil // it needs no folder
	case create:
		if err := p.refuseLost(); err != nil {
			return err
		}
		return os.MkdirAll(p.Data, 0o700)
	case p.shared():
		return nil
	}
	_, err := os.Stat(filepath.Join(p.Data, databaseName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no Sluice data; name the data folder of the server with --data", p.Data)
	}
	return err
}

// refuseLost refuses a data folder that has lost its database: one with secrets
// or files in it and no database, or one of 0 bytes. A first start makes the
// database before anything else, so one that was killed is not refused.
func (p place) refuseLost() error {
	if p.shared() {
		return nil
	}
	database := filepath.Join(p.Data, databaseName)
	info, err := os.Stat(database)
	if err == nil && info.Size() > 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, err := p.remains()
	if err != nil || found == "" {
		return err
	}
	return fmt.Errorf("%s is missing or empty, and %s is there; put back the database from a backup, "+
		"or choose an empty folder with --data", database, found)
}

// remains gives a path in the data folder that only a used installation has,
// "" when there is none.
func (p place) remains() (string, error) {
	secrets := filepath.Join(p.Data, secretsName)
	if _, err := os.Stat(secrets); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secrets, err
	}
	blobs := filepath.Join(p.Data, blobsName)
	folders, err := os.ReadDir(blobs)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for _, folder := range folders {
		path := filepath.Join(blobs, folder.Name())
		if folder.Name() == blob.MarkerName {
			return path, nil
		}
		if !folder.IsDir() || len(folder.Name()) != 2 { // not one of stored files
			continue
		}
		if file, err := firstName(path); err != nil || file != "" {
			return filepath.Join(path, file), err
		}
	}
	return "", err
}

// firstName gives the name of something in a folder, "" when it is empty.
func firstName(folder string) (string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return "", err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if err == io.EOF {
		return "", nil
	}
	return strings.Join(names, ""), err
}

// isFresh reports whether nobody has used a database yet.
func isFresh(ctx context.Context, s *store.Store) (fresh bool, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		keys, err := r.SigningKeys()
		fresh = len(keys) == 0
		return err
	})
	return fresh, err
}

// secrets loads the secrets, and makes them for a place that nobody has used yet.
func (p place) secrets(ctx context.Context, s *store.Store, create bool, c *service.Config) error {
	fresh, err := isFresh(ctx, s)
	if err != nil {
		return err
	}
	if fresh && !create {
		return fmt.Errorf("%s holds no Sluice data; name the data folder or the database of the server", p)
	}
	err = loadSecrets(p.secretsFile(), fresh, c)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; links cannot be checked and the log not signed without it: put back the secrets file this data was made with", err)
	}
	return err
}

// openBlobs opens the bytes. A bucket is also what makes the addresses to which links may lead on.
func (p place) openBlobs(ctx context.Context, i *installation, c *service.Config, o blob.S3Options) (service.Presigner, error) {
	if !p.shared() {
		disk, err := blob.OpenDisk(filepath.Join(p.Data, blobsName))
		if err != nil {
			return nil, err
		}
		i.blobs, c.Blobs = disk, blob.Cached(disk)
		return nil, nil
	}
	bucket, err := blob.OpenS3(ctx, o)
	if err != nil {
		return nil, err
	}
	i.blobs, c.Blobs = bucket, blob.Cached(bucket)
	return bucket, nil
}
