package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// fileLook is how often it is looked at whether the database file is still the one
// that was opened.
const fileLook = 250 * time.Millisecond

// fileWatch notices that a database file was replaced or removed under a Store.
// What is committed from then on goes to a file that nobody can open again.
type fileWatch struct {
	path   string
	real   string // path, after symbolic links
	opened os.FileInfo
	wal    os.FileInfo   // SQLite's log beside it, in use as long as a connection is open
	lost   chan struct{} // closed when the file is not there any more
	stop   chan struct{}
	ended  chan struct{}
}

// watchFile watches the file at path, which was opened and has its log by now.
func watchFile(path string, opened os.FileInfo) (*fileWatch, error) {
	w := &fileWatch{path: path, opened: opened, lost: make(chan struct{}), stop: make(chan struct{}), ended: make(chan struct{})}
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

func (w *fileWatch) run() {
	defer close(w.ended)
	tick := time.NewTicker(fileLook)
	defer tick.Stop()
	for {
		if !w.there() {
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

// there reports whether the path leads to the file that was opened. If stat fails for another reason, such as
// permissions, assume it is unchanged.
func (w *fileWatch) there() bool {
	now, err := os.Stat(w.path)
	return err == nil && os.SameFile(now, w.opened) || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func (w *fileWatch) close() {
	close(w.stop)
	<-w.ended
}

// complete moves what the log holds into the file that was opened, wherever that is
// now, if it was replaced or removed. Left alone, SQLite may leave the log in its
// place, and whoever opens the file that stands there now would read it into that one.
// c is the last connection of the Store: a new one would open the other file.
func (w *fileWatch) complete(c *conn, log *slog.Logger) {
	if w.there() {
		return
	}
	if _, err := sqliteScrub(context.Background(), c); err != nil {
		log.Error("the database file was replaced or removed, and could not be completed", "database", w.path, "error", err)
	}
}

// clear moves the log out of the way when complete could not empty it, such as where
// another process still reads. No connection of the Store is open any more.
func (w *fileWatch) clear(log *slog.Logger) error {
	wal := w.real + "-wal"
	now, err := os.Stat(wal)
	if err != nil || now.Size() == 0 || !os.SameFile(now, w.wal) || w.there() {
		return nil
	}
	kept := w.real + "-left-" + time.Now().UTC().Format("20060102T150405Z") + "-wal"
	log.Error("the database file was replaced or removed: what its log (WAL) still holds is kept", "database", w.path, "kept", kept)
	return os.Rename(wal, kept)
}

// Lost is closed when the database file was replaced or removed while it was in
// use. From then on every call fails, and Err says why. A database that is no
// file is never lost.
func (s *Store) Lost() <-chan struct{} {
	if s.file == nil {
		return nil
	}
	return s.file.lost
}

// Err says why the Store is lost, nil when it is not.
func (s *Store) Err() error {
	select {
	case <-s.Lost():
		return fmt.Errorf("the database file %s was replaced or removed while it was in use", s.file.path)
	default:
		return nil
	}
}
