package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

const (
	// stageFolder holds saved stages: a file of bytes named by the key, and beside
	// it the record of how many of them are saved. No folder made of fanOut
	// characters has this name.
	stageFolder = "staged"

	// recordSuffix follows the key in the name of the record.
	recordSuffix = ".saved"

	// slotSize is the size of one of the two slots of a record: one sector.
	slotSize = 512
)

// saveRecord is what Save writes to a slot. Saves take turns between the slots,
// so that one that is cut short leaves the slot of the one before it whole.
type saveRecord struct {
	Turn uint64    `json:"turn"`
	Sums savedSums `json:"sums"`
}

// slot encodes the record: JSON, zeros, and a CRC-32 of both in the last bytes.
func (r saveRecord) slot() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(text) > slotSize-4 {
		return nil, fmt.Errorf("a record of %d bytes", len(text))
	}
	slot := make([]byte, slotSize)
	copy(slot, text)
	binary.BigEndian.PutUint32(slot[slotSize-4:], crc32.ChecksumIEEE(slot[:slotSize-4]))
	return slot, nil
}

// readRecord gives the newer of the records in two slots. There may be none,
// after a crash in the first Save.
func readRecord(f *os.File) (newest saveRecord, ok bool) {
	slots := make([]byte, 2*slotSize)
	n, _ := f.ReadAt(slots, 0)
	for slots = slots[:n]; len(slots) >= slotSize; slots = slots[slotSize:] {
		text, sum := slots[:slotSize-4], binary.BigEndian.Uint32(slots[slotSize-4:])
		var r saveRecord
		if crc32.ChecksumIEEE(text) != sum || json.Unmarshal(bytes.TrimRight(text, "\x00"), &r) != nil {
			continue
		}
		if !ok || r.Turn > newest.Turn {
			newest, ok = r, true
		}
	}
	return newest, ok
}

func stageName(key string) string { return path.Join(stageFolder, key) }

// Save makes the bytes durable, and then the record of them. The first Save names
// the file by the key of the stage.
func (st *diskStage) Save(ctx context.Context) error {
	if err := st.savable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := st.disk.sync(st.file)
	if err == nil && st.record == nil {
		err = st.enter()
	}
	if err == nil {
		err = st.writeRecord()
	}
	if err == nil && st.turn == 1 {
		err = st.settle()
	}
	if err != nil && sluice.CodeOf(err) == sluice.CodeInternal {
		err = diskError("save an upload", err)
	}
	st.broken = err
	return err
}

// enter locks the file, gives it a name as a saved stage, and creates its record.
func (st *diskStage) enter() error {
	if ok, err := lockFile(st.file); err != nil || !ok {
		return errors.Join(err, errors.New("lock the file of a new upload"))
	}
	if err := st.disk.makeFolder(stageFolder); err != nil {
		return err
	}
	name := stageName(st.key)
	err := st.disk.root.Link(st.name, name)
	if errors.Is(err, fs.ErrExist) {
		return sluice.Errorf(sluice.CodeConflict, "an upload under this key is saved already")
	}
	if err != nil {
		return err
	}
	st.remove() // the name as a temporary file
	st.name = name
	st.record, err = st.disk.root.OpenFile(name+recordSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return err
}

func (st *diskStage) writeRecord() error {
	saved, err := st.sums.save()
	if err != nil {
		return err
	}
	st.turn++
	slot, err := saveRecord{Turn: st.turn, Sums: saved}.slot()
	if err != nil {
		return err
	}
	if _, err := st.record.WriteAt(slot, int64(st.turn%2)*slotSize); err != nil {
		return err
	}
	return st.disk.sync(st.record)
}

// settle ends the first Save: the names are made durable when what they name is.
func (st *diskStage) settle() error {
	if err := st.disk.syncFolder(stageFolder); err != nil {
		return err
	}
	st.saved = true
	return nil
}

// Resume opens a saved stage and removes the bytes that came after its last Save.
// It holds a lock on the file until Close or the end of the process.
func (d *Disk) Resume(_ context.Context, key string) (service.Stage, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	name := stageName(key)
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.notStaged(key)
	}
	if err != nil {
		return nil, diskError("open an upload", err)
	}
	st := &diskStage{disk: d, key: key, name: name, file: f}
	if err := st.resume(); err != nil {
		return nil, errors.Join(err, f.Close(), st.closeRecord())
	}
	return st, nil
}

// notStaged says why there is no stage to resume.
func (d *Disk) notStaged(key string) error {
	_, name := place(key)
	_, err := d.root.Lstat(name)
	if err == nil {
		return sluice.Errorf(sluice.CodeConflict, keyTaken)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return diskError("look for an upload", err)
	}
	return sluice.Errorf(sluice.CodeNotFound, noStage)
}

// resume brings a stage whose file was opened to the state of its last Save.
func (st *diskStage) resume() error {
	ok, err := lockFile(st.file)
	if err != nil {
		return diskError("lock an upload", err)
	}
	if !ok {
		return inUse(nil)
	}
	info, err := st.file.Stat()
	if err == nil {
		err = isFile(info)
	}
	if err != nil {
		return diskError("look at an upload", err)
	}
	if still, err := st.disk.root.Lstat(st.name); err != nil || !os.SameFile(still, info) {
		return st.disk.notStaged(st.key) // it was committed or removed before the lock
	}
	_, blob := place(st.key)
	if committed, err := st.disk.root.Lstat(blob); err == nil && os.SameFile(committed, info) {
		st.remove() // a crash in Commit left these names
		return sluice.Errorf(sluice.CodeConflict, keyTaken)
	}
	return st.load(info.Size())
}

// load reads the record, and cuts the file, of a size, to what was saved.
func (st *diskStage) load(size int64) (err error) {
	st.record, err = st.disk.root.OpenFile(st.name+recordSuffix, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return sluice.Errorf(sluice.CodeNotFound, noStage)
	}
	if err != nil {
		return diskError("open the record of an upload", err)
	}
	saved, ok := readRecord(st.record)
	if !ok {
		return sluice.Errorf(sluice.CodeNotFound, noStage)
	}
	if st.sums, err = saved.Sums.load(); err != nil {
		return err
	}
	switch at := st.sums.size; {
	case at > size:
		return fmt.Errorf("the file of an upload has %d bytes of %d that were saved", size, at)
	case at < size:
		err = st.file.Truncate(at)
	}
	if err == nil {
		_, err = st.file.Seek(st.sums.size, io.SeekStart)
	}
	if err != nil {
		return diskError("resume an upload", err)
	}
	st.turn, st.saved = saved.Turn, true
	st.out = writer{f: st.file, size: st.sums.size, started: st.sums.size}
	return nil
}

// sweepStages removes the stages that were last saved before a moment and that
// no handle has open.
func (d *Disk) sweepStages(ctx context.Context, before time.Time) (swept int, err error) {
	if _, err := d.root.Stat(stageFolder); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	err = d.eachFile(ctx, stageFolder, func(name string, written time.Time) error {
		key := strings.TrimSuffix(name, recordSuffix)
		if checkKey(key) != nil || !written.Before(before) {
			return nil
		}
		removed, err := d.sweepStage(key, before)
		if err != nil {
			return diskError("remove an upload that was given up", err)
		}
		if removed {
			swept++
		}
		return nil
	})
	return swept, err
}

// sweepStage removes a stage unless a handle has it open or has saved it since.
// A crash may have left one of its two files.
func (d *Disk) sweepStage(key string, before time.Time) (removed bool, err error) {
	name := stageName(key)
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		defer f.Close()
		if ok, err := lockFile(f); err != nil || !ok {
			return false, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for _, name := range []string{name, name + recordSuffix} {
		info, err := d.root.Stat(name)
		if err == nil && !info.ModTime().Before(before) {
			return false, nil
		}
	}
	for _, name := range []string{name, name + recordSuffix} {
		err := d.root.Remove(name)
		removed = removed || err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
	}
	return removed, nil
}
