package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sluice/internal/store/sqldb"
)

// watchInterval is how often a watch compares the file at the path with the one that was opened.
const watchInterval = 250 * time.Millisecond

// watch notices that a database file was replaced or removed while a store uses it. Commits from then on go to a
// file that nobody can open again.
type watch struct {
	path    string
	real    string // path, after symbolic links
	opened  os.FileInfo
	wal     os.FileInfo   // the WAL beside it, in use as long as a connection is open
	lost    chan struct{} // closed when the path no longer names the file
	stop    chan struct{}
	stopped chan struct{}
}

// newWatch watches the file at path. It was opened, and a read has created its WAL.
func newWatch(path string, opened os.FileInfo) (*watch, error) {
	w := &watch{
		path: path, opened: opened, lost: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	var err error
	if w.real, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if w.wal, err = os.Stat(w.real + "-wal"); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.stopped)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		if !w.intact() {
			close(w.lost)
			return
		}
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
	}
}

// intact reports whether the path names the file that was opened. When stat fails for another reason than a missing
// file, such as permissions, it assumes that the file is unchanged.
func (w *watch) intact() bool {
	now, err := os.Stat(w.path)
	return err == nil && os.SameFile(now, w.opened) || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func (w *watch) close() {
	close(w.stop)
	<-w.stopped
}

// drain moves the WAL into the file that was opened, wherever that file is now, when it was replaced or removed.
// Otherwise SQLite may leave the WAL in place, and the next process would apply it to the file that has the path
// now. last is the last open connection: a new one would open the other file.
func (w *watch) drain(last *sqldb.Conn, log *slog.Logger) {
	if w.intact() {
		return
	}
	if _, err := truncateWAL(context.Background(), last); err != nil {
		log.Error("database file was replaced or removed, and its WAL could not be moved into it",
			"database", w.path, "error", err)
	}
}

// clear renames the WAL when drain could not empty it, for example because another process still reads. No
// connection of the store is open any more.
func (w *watch) clear(log *slog.Logger) error {
	wal := w.real + "-wal"
	now, err := os.Stat(wal)
	if err != nil || now.Size() == 0 || !os.SameFile(now, w.wal) || w.intact() {
		return nil
	}
	kept := w.real + "-left-" + time.Now().UTC().Format("20060102T150405Z") + "-wal"
	log.Error("database file was replaced or removed, keeping the rest of its WAL", "database", w.path, "kept", kept)
	return os.Rename(wal, kept)
}
