package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// fileLook is how often it is looked at whether the database file is still the one
// that was opened.
const fileLook = 250 * time.Millisecond

// fileWatch notices that a database file was replaced or removed under a Store.
// What is committed from then on goes to a file that nobody can open again.
type fileWatch struct {
	path   string
	opened os.FileInfo
	lost   chan struct{} // closed when the file is not there any more
	stop   chan struct{}
	ended  chan struct{}
}

func watchFile(path string, opened os.FileInfo) *fileWatch {
	w := &fileWatch{path: path, opened: opened, lost: make(chan struct{}), stop: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w
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

// there says whether the path leads to the file that was opened. What cannot be
// told now, such as for want of permission, is taken for yes.
func (w *fileWatch) there() bool {
	now, err := os.Stat(w.path)
	return err == nil && os.SameFile(now, w.opened) || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func (w *fileWatch) close() {
	close(w.stop)
	<-w.ended
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
