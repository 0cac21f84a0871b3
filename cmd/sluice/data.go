package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sluice"
	"sluice/blob"
	"sluice/store"
)

// installation is an opened data folder: the records, the bytes, the secrets,
// and the service over them.
type installation struct {
	service *sluice.Service
	store   *store.Store
	blobs   *blob.Disk
}

func (i *installation) close() error { return errors.Join(i.store.Close(), i.blobs.Close()) }

// The names inside a data folder.
const (
	databaseName = "sluice.db"
	blobsName    = "blobs"
	secretsName  = "secrets.json"
)

// openData opens a data folder for a service configured by c, whose store,
// blobs and keys it fills in. With create it makes what an empty folder lacks.
func openData(dir string, c sluice.Config, create bool) (*installation, error) {
	_, err := os.Stat(filepath.Join(dir, databaseName))
	fresh := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !fresh:
		return nil, err
	case fresh && !create:
		return nil, fmt.Errorf("%s holds no Sluice data; start sluice serve with --data %s first", dir, dir)
	case fresh:
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	err = loadSecrets(filepath.Join(dir, secretsName), fresh, &c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; links cannot be checked and the log not signed without it: put back the secrets file this data was made with", err)
	}
	if err != nil {
		return nil, err
	}
	records, err := store.OpenSQLite(filepath.Join(dir, databaseName), store.Options{Random: rand.Reader, Log: c.Log})
	if err != nil {
		return nil, err
	}
	bytes, err := blob.OpenDisk(filepath.Join(dir, blobsName))
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	i := &installation{store: records, blobs: bytes}
	c.Store, c.Blobs = records, blob.Cached(bytes)
	i.service, err = sluice.New(c)
	if err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}
