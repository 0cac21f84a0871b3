package store

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"sluice/internal/service"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
)

// reserveSize is what a reserve holds on the disk, in bytes: enough for
// hundreds of Updates that end something.
const reserveSize = 16 << 20

// reserveAgain is how often a reserve that was given up is tried to be made again.
const reserveAgain = 5 * time.Second

// reserve is a file that holds space on the disk of a database. When the disk is
// full it is given up once, for the Updates that end something. All others are
// CodeStorageFull until there is room to make it again.
type reserve struct {
	path string
	log  *slog.Logger

	given atomic.Bool // given up, or never made
	mu    sync.Mutex
	tried time.Time // when it was tried to be made last
}

// openReserve makes a reserve, unless there is one. Without room for it, it is
// taken for one that was given up.
func openReserve(path string, log *slog.Logger) *reserve {
	r := &reserve{path: path, log: log}
	if info, err := os.Stat(path); err != nil || info.Size() < reserveSize {
		r.given.Store(true)
		r.held()
	}
	return r
}

// held reports whether there is a reserve, and tries now and then to make one
// that was given up. It waits for no other that tries.
func (r *reserve) held() bool {
	if !r.given.Load() {
		return true
	}
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	if time.Since(r.tried) < reserveAgain {
		return false
	}
	r.tried = time.Now()
	if err := r.fill(); err != nil {
		r.log.Warn("no room for the reserve on the disk: only revoking and deleting work", "file", r.path, "error", err)
		return false
	}
	r.given.Store(false)
	return true
}

// fill makes the file, where there is room for twice as much. Its bytes are
// random, so that no file system packs them.
func (r *reserve) fill() (err error) {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, 2*reserveSize)
	if err == nil {
		err = f.Sync()
	}
	size := int64(reserveSize)
	if err != nil {
		size = 0
	}
	return errors.Join(err, f.Truncate(size), f.Close())
}

// giveUp frees the space of a reserve.
func (r *reserve) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.given.Swap(true) {
		r.log.Error("the disk is full: the reserve is given up for revoking and deleting", "file", r.path)
	}
	r.tried = time.Now()
	if err := os.Truncate(r.path, 0); err != nil {
		r.log.Error("the reserve on the disk cannot be given up", "file", r.path, "error", err)
	}
}

var errReserve = errors.New("the disk is full: only revoking and deleting work until there is room")

// perform runs a request. What ends something may use the reserve; nothing else
// runs while that is given up.
func (s *Store) perform(r *request) error {
	if s.reserve == nil {
		return s.performOnce(r)
	}
	ends := service.IsEnding(r.ctx)
	if !ends && !s.reserve.held() {
		return s.coded(sluice.CodeStorageFull, errReserve)
	}
	err := s.performOnce(r)
	if ends && sluice.CodeOf(err) == sluice.CodeStorageFull {
		s.reserve.giveUp()
		err = s.performOnce(&request{ctx: r.ctx, ledger: r.ledger, fn: r.fn, chore: r.chore})
	}
	return err
}
