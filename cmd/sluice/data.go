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

// place names the storage of an installation: a folder, or a database and a bucket that several servers share.
type place struct {
	Data        string `help:"Folder for the database, the files and the secrets; ${default} by default." default:"./sluice-data" placeholder:"DIR"`
	DatabaseURL string `help:"PostgreSQL database for the records. Requires --blob-url. The password may be in PGPASSWORD or ~/.pgpass." placeholder:"URL"`
	BlobURL     string `help:"S3 bucket for the files: s3://BUCKET/PREFIX?region=…&endpoint=…. Requires --database-url. Credentials are read as the AWS command line reads them." placeholder:"URL"`
	Secrets     string `help:"Secrets file, the same for all servers of one database; secrets.json in --data by default." placeholder:"FILE"`

	restoring bool // open a data folder into which a restore has not finished
}

// check refuses an incomplete combination of flags before anything is created. It returns the options in --blob-url, if
// given.
func (p place) check(redirect bool) (o blob.S3Options, err error) {
	switch {
	case (p.DatabaseURL == "") != (p.BlobURL == ""):
		err = errors.New("--database-url and --blob-url require each other: servers that share records must share the files")
	case redirect && !p.shared():
		err = errors.New("--delivery redirect requires files in S3: see --blob-url")
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

// installation is an open place: its storage, and the service and gate that use it.
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

// Names in a data folder.
const (
	databaseName = "sluice.db"
	blobsName    = "blobs"
	secretsName  = "secrets.json"
	reserveName  = "reserve" // disk space for revoking and deleting when the disk is full
)

// opening holds the options of place.open.
type opening struct {
	create   bool         // create what an empty place lacks
	redirect bool         // redirect downloads to the bucket
	metrics  *obs.Metrics // nil for none
}

// open opens a place and a service over it. c is the service's configuration without store, blobs and keys.
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
	i.gate, err = gate.New(gate.Config{Service: i.service, Store: c.Store, Blobs: c.Blobs, Redirect: presigner,
		Log: c.Log})
	if err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// explain adds advice to an error that a full disk caused. It returns other errors unchanged.
func (p place) explain(err error) error {
	if !p.shared() && (sluice.CodeOf(err) == sluice.CodeStorageFull || errors.Is(err, syscall.ENOSPC)) {
		return fmt.Errorf("the disk of %s is full: free some space and try again: %w", p, err)
	}
	return err
}

// prepare creates the folder of a place. Without create, it refuses a place without data. It refuses a folder into
// which a restore has not finished.
func (p place) prepare(create bool) error {
	if err := p.refuseUnfinished(); err != nil {
		return err
	}
	switch {
	case create && p.shared() && p.Secrets != "":
		return nil // no folder is needed
	case create:
		if err := p.refuseLost(); err != nil {
			return err
		}
		return blob.MakeDir(p.Data)
	case p.shared():
		return nil
	}
	_, err := os.Stat(filepath.Join(p.Data, databaseName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no Sluice data; name the data folder of the server with --data", p.Data)
	}
	return err
}

// refuseLost refuses a data folder that has lost its database: it holds secrets or files, but no database or an empty
// one. It accepts the folder of a first start that was killed, because a first start creates the database first.
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
	return fmt.Errorf("%s is missing or empty, but %s exists; restore the database from a backup, "+
		"or choose an empty folder with --data", database, found)
}

// remains returns a path in the data folder that shows that the folder was used, or "".
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
		if !folder.IsDir() || len(folder.Name()) != 2 { // not a folder of stored files
			continue
		}
		if file, err := firstName(path); err != nil || file != "" {
			return filepath.Join(path, file), err
		}
	}
	return "", err
}

// firstName returns the name of an entry of a folder, or "" if the folder is empty.
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

// isFresh reports whether no server has used the database yet.
func isFresh(ctx context.Context, s *store.Store) (fresh bool, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		keys, err := r.SigningKeys()
		fresh = len(keys) == 0
		return err
	})
	return fresh, err
}

// secrets loads the secrets. With create, it creates them for an unused place.
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
		return fmt.Errorf("%w; without it, links cannot be verified and the log cannot be signed: "+
			"restore the secrets file of this data", err)
	}
	return err
}

// openBlobs opens the storage for files. For a bucket, it returns the presigner that redirects need.
func (p place) openBlobs(
	ctx context.Context, i *installation, c *service.Config, o blob.S3Options,
) (service.Presigner, error) {
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
