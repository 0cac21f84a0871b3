package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/service"
)

// reserveSize is the size of a reserve in bytes: enough for hundreds of revocations and deletions.
const reserveSize = 16 << 20

// reserveCheck is how often a process checks whether another has released the reserve.
const reserveCheck = time.Second

// reserveRetry is how often a process tries to make a reserve again that was released.
const reserveRetry = 5 * time.Second

// reserve is a file that holds space on the disk of a database, for all processes that have the database open. When the
// disk is full, one of them releases the space, for revocations, deletions and unlogged writes. All other requests are
// CodeStorageFull until there is space to make the reserve again.
type reserve struct {
	path string
	log  *slog.Logger

	released atomic.Bool // or never made, as far as this process knows
	mu       sync.Mutex
	checked  time.Time // when this process last checked the file
	tried    time.Time // when this process last tried to make it
}

// openReserve makes a reserve, unless there is one. Without space for it, the reserve counts as released.
func openReserve(path string, log *slog.Logger) *reserve {
	r := &reserve{path: path, log: log}
	r.ensure()
	return r
}

// ensure reports whether there is a reserve. It makes one where there is space. It does not wait for another
// goroutine that does so.
func (r *reserve) ensure() bool {
	if !r.mu.TryLock() {
		return !r.released.Load()
	}
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.checked) >= reserveCheck {
		r.checked = now
		r.released.Store(!r.isWhole())
	}
	if !r.released.Load() {
		return true
	}
	if now.Sub(r.tried) < reserveRetry {
		return false
	}
	r.tried = now
	if err := r.fill(); err != nil {
		r.log.Warn(textReserve, "reserve", r.path, "error", err)
		return false
	}
	r.released.Store(false)
	return true
}

// isWhole reports whether the file holds its space. If stat fails for another reason than a missing file, assume it is
// unchanged.
func (r *reserve) isWhole() bool {
	info, err := os.Stat(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return !r.released.Load()
	}
	return err == nil && info.Size() >= reserveSize
}

// fill makes the file where there is space for twice its size: with less, the disk would soon be full again. Its
// bytes are random, so that no file system compresses them. They are appended, so that the file has no hole when
// another process releases it meanwhile.
func (r *reserve) fill() error {
	free, err := freeSpace(filepath.Dir(r.path))
	if err != nil {
		return err
	}
	if free < 2*reserveSize {
		return fmt.Errorf("%d MiB are free", free>>20)
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, max(0, reserveSize-info.Size()))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(0))
	}
	return errors.Join(err, f.Close())
}

// release frees the space of the reserve.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.released.Swap(true) {
		r.log.Error("disk full, reserve released for revocations and deletions", "reserve", r.path)
	}
	r.checked = time.Now()
	r.tried = r.checked
	if err := os.Truncate(r.path, 0); err != nil {
		r.log.Error("reserve not released", "reserve", r.path, "error", err)
	}
}

var (
	textReserve = fmt.Sprintf("disk full: only revocations and deletions are accepted until %d MiB are free",
		2*reserveSize>>20)
	errReserve = sluice.Errorf(sluice.CodeStorageFull, "%s", textReserve)
)

// perform runs a request. Revocations, deletions and unlogged writes may use the reserve. Without unlogged writes
// the jobs of a server would stop, and some of them free space. All other requests are refused while the reserve is
// released.
func (s *Store) perform(r *request) error {
	if s.reserve == nil {
		return s.performOnce(r)
	}
	mayUse := r.unlogged != nil || service.IsEnding(r.ctx)
	if !mayUse && !s.reserve.ensure() {
		return errReserve
	}
	err := s.performOnce(r)
	if mayUse && sluice.CodeOf(err) == sluice.CodeStorageFull {
		s.reserve.release()
		err = s.performOnce(&request{ctx: r.ctx, ledger: r.ledger, fn: r.fn, unlogged: r.unlogged})
	}
	return err
}
