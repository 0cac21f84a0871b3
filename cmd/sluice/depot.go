package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/maintain/backup"
)

// depot is an open place for backups.
type depot interface {
	backup.Depot
	io.Closer
}

// openDepot opens the folder or the bucket that text names. With create, it creates a folder that does not exist, and
// refuses one with other files than those of backups.
func openDepot(ctx context.Context, text string, create bool) (depot, error) {
	if strings.HasPrefix(text, "s3://") {
		options, err := blob.ParseS3URL(text)
		if err != nil {
			return nil, usageError{err}
		}
		return blob.OpenS3(ctx, options)
	}
	if strings.Contains(text, "://") {
		return nil, usageError{errors.New("backups are kept in a folder or in s3://BUCKET/PREFIX?region=…&endpoint=…")}
	}
	if err := checkDepot(text, create); err != nil {
		return nil, err
	}
	return blob.OpenDisk(text)
}

// checkDepot looks at a folder before blob.OpenDisk creates anything in it.
func checkDepot(folder string, create bool) error {
	_, err := os.Stat(filepath.Join(folder, blob.MarkerName))
	switch {
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	case !create:
		return sluice.Errorf(sluice.CodeNotFound, "it holds no backups")
	}
	names, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if name.Name() != "tmp" && name.Name() != "lost+found" {
			return sluice.Errorf(sluice.CodeForbidden,
				"it holds other files, such as %s; choose an empty folder, or one with backups", name.Name())
		}
	}
	return err
}

// about says which place for backups an error is about.
func about(what, text string, err error) error {
	if err == nil || errors.As(err, &usageError{}) {
		return err
	}
	if i := strings.IndexByte(text, '?'); i >= 0 && strings.HasPrefix(text, "s3://") {
		text = text[:i]
	}
	return fmt.Errorf("%s %s: %w", what, text, err)
}
