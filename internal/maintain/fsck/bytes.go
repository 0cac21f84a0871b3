package fsck

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

const (
	blobsPage   = 512       // files whose bytes are looked at before the next are listed
	blobsAtOnce = 8         // requests to the place of the bytes at the same time
	uploadGrace = time.Hour // bytes that are younger may be of an upload that is under way
	namedBlobs  = 5         // blobs without a file that a note names
)

// CheckBytes looks at the stored bytes of every active file: that they exist, and have the size of the record. With
// deep it also reads them and compares their digest. Bytes that belong to no file are a note: a server removes them.
func (r *Report) CheckBytes(ctx context.Context, s service.Store, blobs service.Blobs, deep bool) error {
	if c, ok := blobs.(service.Cache); ok {
		blobs = c.Uncached()
	}
	c := bytesCheck{store: s, blobs: blobs, deep: deep, report: r}
	if err := c.files(ctx); err != nil {
		return fmt.Errorf("bytes of files: %w", err)
	}
	if err := c.walk(ctx); err != nil {
		return fmt.Errorf("list of stored bytes: %w", err)
	}
	return nil
}

// bytesCheck is one call of CheckBytes.
type bytesCheck struct {
	store  service.Store
	blobs  service.Blobs
	deep   bool
	report *Report

	mu    sync.Mutex
	found int
}

func (c *bytesCheck) add(f service.StoredFile, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found++; c.found <= maxFindings {
		c.report.Findings = append(c.report.Findings, Finding{
			Check: Bytes, Ledger: f.Ledger.String(), Problem: fmt.Sprintf("file %s: ", f.ID) + fmt.Sprintf(format, args...),
		})
	}
}

func (c *bytesCheck) files(ctx context.Context) error {
	for after := ""; ; {
		var page []service.StoredFile
		err := c.store.View(ctx, func(r service.Reader) (err error) {
			page, err = r.FilesAfter(after, blobsPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		if err := c.page(ctx, page); err != nil {
			return err
		}
	}
	if more := c.found - maxFindings; more > 0 {
		c.report.Findings = append(c.report.Findings, Finding{Check: Bytes, Problem: fmt.Sprintf("%d more files", more)})
	}
	return nil
}

// page looks at the bytes of some files, several at the same time.
func (c *bytesCheck) page(ctx context.Context, files []service.StoredFile) error {
	failed := make([]error, len(files))
	slots := make(chan struct{}, blobsAtOnce)
	var running sync.WaitGroup
	for i, f := range files {
		slots <- struct{}{}
		running.Go(func() {
			failed[i] = c.file(ctx, f)
			<-slots
		})
	}
	running.Wait()
	c.report.Files += int64(len(files))
	return errors.Join(failed...)
}

func (c *bytesCheck) file(ctx context.Context, f service.StoredFile) error {
	size, digest, err := c.read(ctx, f)
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		if active, err := c.active(ctx, f); err != nil || !active {
			return err
		}
		c.add(f, "its bytes are missing")
	case err != nil:
		return fmt.Errorf("file %s: %w", f.ID, err)
	case size != f.Size:
		c.add(f, "%d bytes are stored, and its record says %d", size, f.Size)
	case c.deep && digest != f.SHA256:
		c.add(f, "the stored bytes have the SHA-256 %s, and its record says %s", digest, f.SHA256)
	}
	return nil
}

// read returns the size of the bytes of a file and, in a deep check, their digest.
func (c *bytesCheck) read(ctx context.Context, f service.StoredFile) (size int64, digest sluice.Digest, err error) {
	if !c.deep {
		size, err = c.blobs.Size(ctx, f.ID)
		return size, digest, err
	}
	content, err := c.blobs.Open(ctx, f.ID)
	if err != nil {
		return 0, digest, err
	}
	h := sha256.New()
	size, err = io.Copy(h, content)
	return size, sluice.Digest(h.Sum(nil)), errors.Join(err, content.Close())
}

// active reports whether a file is still active: it may have been deleted since it was listed.
func (c *bytesCheck) active(ctx context.Context, f service.StoredFile) (active bool, err error) {
	err = c.store.View(ctx, func(r service.Reader) error {
		known, err := r.KnownFiles([]string{f.ID})
		active = known[f.ID]
		return err
	})
	return active, err
}

// walk looks for bytes without a file.
func (c *bytesCheck) walk(ctx context.Context) error {
	var keys, extra []string
	count := 0
	flush := func() error {
		return c.store.View(ctx, func(r service.Reader) error {
			known, err := r.KnownFiles(keys)
			for _, key := range keys {
				if known[key] || err != nil {
					continue
				}
				if count++; len(extra) < namedBlobs {
					extra = append(extra, audit.Clip(key, 80))
				}
			}
			keys = keys[:0]
			return err
		})
	}
	before := time.Now().Add(-uploadGrace)
	err := c.blobs.Walk(ctx, func(key string, written time.Time) error {
		if written.After(before) {
			return nil
		}
		if keys = append(keys, key); len(keys) < blobsPage {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if count > 0 {
		c.report.Notes = append(c.report.Notes, fmt.Sprintf(
			"stored bytes belong to no active file (%d, such as %s): the sweep of a server removes them",
			count, strings.Join(extra, ", ")))
	}
	return err
}
