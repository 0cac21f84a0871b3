// Package blob stores the bytes of files. It has the implementations of
// service.Blobs.
package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"sluice"
	"sluice/internal/service"
)

const (
	// fanOut is the number of a key's last characters that name its folder.
	fanOut = 2

	// tempFolder holds the files of stages that were not saved. Its name is longer
	// than any made of fanOut characters.
	tempFolder = "tmp"

	// minFree is the free space, in bytes, below which Ready reports a full
	// disk. Uploads go on until the disk refuses them.
	minFree = 64 << 20
)

// Disk stores each blob in a file of its own, named by its key, in a folder named
// by the key's last two characters. Ten million blobs are about ten thousand
// files in each of about a thousand folders. Files have mode 0600, folders 0700.
// Disk never leaves its folder, and follows no symbolic link out of it.
//
// The file system must have hard links, and a Sync of a folder must make the
// names in it durable. The file systems of Linux, macOS and the BSDs do that.
// Several processes may share one folder.
type Disk struct {
	root   *os.Root
	chunks sync.Pool // of *[ring][chunkSize]byte

	// made holds the folders whose names are known to be durable.
	made sync.Map

	// sync is (*os.File).Sync. Tests replace it with one that fails.
	sync func(*os.File) error
}

var _ service.Blobs = (*Disk)(nil)

// OpenDisk opens the blobs in dir. It creates dir, and the folders above it, if
// they do not exist. The caller closes it.
func OpenDisk(dir string) (*Disk, error) {
	if err := MakeDir(dir); err != nil {
		return nil, fmt.Errorf("create the blob folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the blob folder: %w", err)
	}
	d := &Disk{
		root:   root,
		chunks: sync.Pool{New: func() any { return new([ring][chunkSize]byte) }},
		sync:   (*os.File).Sync,
	}
	if err := d.makeFolder(tempFolder); err != nil {
		return nil, errors.Join(diskError("create the folder of temporary files", err), root.Close())
	}
	return d, nil
}

// MakeDir creates dir, and the folders above it, with mode 0700 if they do not
// exist. It returns when the names that it created are durable.
func MakeDir(dir string) error { return makeDir(filepath.Clean(dir), (*os.File).Sync) }

// makeDir is os.MkdirAll that makes the names it creates durable.
func makeDir(dir string, sync func(*os.File) error) error {
	err := os.Mkdir(dir, 0o700)
	parent := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(parent, sync); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(sync(f), f.Close())
}

// Close ends the use of the folder. Files that Open gave stay readable.
func (d *Disk) Close() error { return d.root.Close() }

// place gives the folder of a key, and the path of its file. The last characters
// of an id are random; the first are a time.
func place(key string) (folder, name string) {
	folder = key[len(key)-fanOut:]
	return folder, folder + "/" + key
}

// makeFolder creates a folder in the root if it does not exist, and returns when
// its name is durable. A folder that exists may not be durable yet: the process
// that created it may have died.
func (d *Disk) makeFolder(name string) error {
	if _, ok := d.made.Load(name); ok {
		return nil
	}
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.syncFolder("."); err != nil {
		return err
	}
	d.made.Store(name, nil)
	return nil
}

func (d *Disk) syncFolder(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}

// Open gives the bytes under key as an *os.File, so that the system can copy them
// to a socket by itself. A key of the wrong form is CodeValidation, a missing one
// CodeNotFound.
func (d *Disk) Open(_ context.Context, key string) (io.ReadSeekCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	_, name := place(key)
	f, err := d.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sluice.Errorf(sluice.CodeNotFound, noBytes)
	}
	if err != nil {
		return nil, diskError("open a blob", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = isFile(info)
	}
	if err != nil {
		return nil, errors.Join(diskError("open a blob", err), f.Close())
	}
	return f, nil
}

// isFile refuses folders and other things that are not regular files.
func isFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", info.Name())
	}
	return nil
}

// Size gives the size of the file. A key of the wrong form is CodeValidation, a
// missing one CodeNotFound.
func (d *Disk) Size(_ context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	_, name := place(key)
	info, err := d.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, sluice.Errorf(sluice.CodeNotFound, noBytes)
	}
	if err == nil {
		err = isFile(info)
	}
	if err != nil {
		return 0, diskError("look at a blob", err)
	}
	return info.Size(), nil
}

// Remove removes the bytes under key, and returns when that is durable. Readers
// that have them open are not disturbed. A key of the wrong form is
// CodeValidation.
func (d *Disk) Remove(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	folder, name := place(key)
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError("remove a blob", err)
	}
	// A missing name may have been removed by a call that could not make that durable.
	if err := d.syncFolder(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError("sync a blob folder", err)
	}
	return nil
}

// Walk calls fn for every key with the time when its last byte was written, to the
// precision of the file system. It holds the names of one folder at a time. fn may
// call the other methods. Walk ignores files that are not blobs.
func (d *Disk) Walk(ctx context.Context, fn func(key string, written time.Time) error) error {
	folders, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return diskError("list the blob folder", err)
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != fanOut {
			continue
		}
		err := d.eachFile(ctx, folder.Name(), func(key string, written time.Time) error {
			if checkKey(key) != nil {
				return nil
			}
			if home, _ := place(key); home != folder.Name() {
				return nil
			}
			return fn(key, written)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Sweep removes the temporary files last written before a moment, and the saved
// stages whose last Save is service.StageAge before it. A stage that is still
// under way, was not saved and got no byte since that moment loses its file:
// its Commit fails.
func (d *Disk) Sweep(ctx context.Context, before time.Time) (int, error) {
	swept := 0
	err := d.eachFile(ctx, tempFolder, func(name string, written time.Time) error {
		if !written.Before(before) {
			return nil
		}
		err := d.root.Remove(path.Join(tempFolder, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return diskError("remove a temporary file", err)
		}
		swept++
		return nil
	})
	if err != nil {
		return swept, err
	}
	stages, err := d.sweepStages(ctx, before.Add(-service.StageAge))
	return swept + stages, err
}

// eachFile calls fn for every regular file in a folder with the time of its
// last write, until fn fails or ctx ends.
func (d *Disk) eachFile(ctx context.Context, folder string, fn func(name string, written time.Time) error) error {
	entries, err := fs.ReadDir(d.root.FS(), folder)
	if err != nil {
		return diskError("list a blob folder", err)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return diskError("look at a blob", err)
		}
		if err := fn(entry.Name(), info.ModTime()); err != nil {
			return err
		}
	}
	return nil
}

// Ready creates and removes a file. Less than 64 MiB of free space is
// CodeStorageFull, on systems that report it. A folder that cannot be written to
// is CodeUnavailable. Ready cannot see how much of a quota is left.
func (d *Disk) Ready(context.Context) error {
	dir, err := d.root.Open(".")
	if err != nil {
		return unavailable(err)
	}
	defer dir.Close()
	free, err := freeSpace(dir)
	if err != nil {
		return unavailable(err)
	}
	if free < minFree {
		return sluice.Errorf(sluice.CodeStorageFull, "less than %d MiB are free for the bytes of files", minFree>>20)
	}
	name := path.Join(tempFolder, rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), d.root.Remove(name))
	}
	if isFull(err) {
		return diskError("create a file", err)
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(cause error) error {
	return sluice.Wrap(sluice.CodeUnavailable, "the folder for the bytes of files cannot be written to", cause)
}

// diskError gives an error of the disk its code: CodeStorageFull, or
// CodeUnavailable when the process has no descriptor left or the disk fails. Other
// errors get no code. Errors of a caller's reader do not come here.
func diskError(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if isFull(err) {
		return sluice.Wrap(sluice.CodeStorageFull, "the disk that keeps the bytes of files is full", err)
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return later("too many files are open; ask again in a moment", err)
	}
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) {
		return later("the disk that keeps the bytes of files cannot be used now", err)
	}
	return err
}

func later(detail string, cause error) error {
	e := sluice.Wrap(sluice.CodeUnavailable, detail, cause)
	e.RetryAfter = time.Second
	return e
}

// isFull reports whether the disk has no space or no inodes left, or a quota is
// used up.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
