package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sluice"
)

// restoredName names the file in a data folder that says that the folder was restored from a backup.
const restoredName = "restored.json"

// restoredMark is what that file says. It is the first that a restore writes. As long as the restore has not finished,
// no other command opens the folder. After that, a server starts only when it is told to, and then removes the file.
type restoredMark struct {
	Snapshot     string    `json:"snapshot"`
	Installation string    `json:"installation"`
	Time         time.Time `json:"time"` // of the snapshot
	Finished     bool      `json:"finished"`
}

// readMark reads the mark in a data folder, nil when there is none.
func readMark(folder string) (*restoredMark, error) {
	path := filepath.Join(folder, restoredName)
	var m restoredMark
	err := readJSON(path, &m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; empty the folder, and restore it again", path, err)
	}
	return &m, nil
}

func (m restoredMark) write(folder string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(folder, restoredName), append(data, '\n'))
}

// refuseUnfinished refuses a data folder into which a restore has not finished.
func (p place) refuseUnfinished() error {
	if p.shared() || p.restoring {
		return nil
	}
	m, err := readMark(p.Data)
	if err == nil && m != nil && !m.Finished {
		err = sluice.Errorf(sluice.CodeForbidden, "a restore of the snapshot %s into %s has not finished; "+
			"run the same sluice restore again, or empty the folder", m.Snapshot, p.Data)
	}
	return err
}

// refuseRestored refuses to serve a restored data folder before the operator has said that what happened after the
// backup may be lost.
func (p place) refuseRestored(accepted bool) error {
	if p.shared() || accepted {
		return nil
	}
	m, err := readMark(p.Data)
	if err == nil && m != nil && m.Finished {
		err = sluice.Errorf(sluice.CodeForbidden, "%s was restored from the snapshot %s of %s; what happened after that "+
			`is lost, and links and keys that were revoked since are valid again: see "An older backup" in `+
			"docs/operating.md, and start once with --accept-rollback", p.Data, m.Snapshot, m.Time.Format(time.RFC3339))
	}
	return err
}

// acceptRestored removes the mark of a folder that a server has begun to serve.
func (p place) acceptRestored() error {
	if p.shared() {
		return nil
	}
	err := os.Remove(filepath.Join(p.Data, restoredName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(p.Data)
}
