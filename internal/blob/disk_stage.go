package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"

	"sluice"
	"sluice/internal/service"
)

const (
	// chunkSize is the number of bytes that are read, hashed and written at a time,
	// and ring is the number of chunks that an Append uses.
	chunkSize = 256 << 10
	ring      = 4

	// writebackStep is the number of bytes that stay in memory before the system
	// is asked to write them out.
	writebackStep = 4 << 20
)

// Put stores all of r under key. It is Stage, Append and Commit in one call.
func (d *Disk) Put(ctx context.Context, key string, r io.Reader) (service.Stored, error) {
	return put(ctx, d, key, r)
}

// diskStage is a stage in a file of its own.
type diskStage struct {
	progress
	disk *Disk
	key  string
	name string // of the file, below the root
	file *os.File
	out  writer

	record *os.File // of the last Save; nil before the first
	turn   uint64   // of the last Save
	saved  bool     // Resume finds the stage
}

// Stage creates an empty file in the folder of temporary files. A key of the
// wrong form is CodeValidation.
func (d *Disk) Stage(_ context.Context, key string) (service.Stage, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	name := path.Join(tempFolder, rand.Text())
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, diskError("create a temporary file", err)
	}
	return &diskStage{
		progress: progress{sums: newSums()},
		disk:     d, key: key, name: name, file: f, out: writer{f: f},
	}, nil
}

// Append copies r to the file and hashes it. Reading, writing and hashing go on
// at the same time, each at its own pace as long as chunks are free, so that an
// Append takes as long as the slowest of the three. Reading happens in the
// caller's goroutine: a panic of r unwinds through the caller.
//
// An Append uses four chunks of 256 KiB, whatever the size of r. ctx is checked
// before each Read of r; it does not interrupt a Read that blocks.
func (st *diskStage) Append(ctx context.Context, offset int64, r io.Reader) error {
	if err := st.appendable(offset); err != nil {
		return err
	}
	err := st.copyFrom(ctx, r)
	switch {
	case st.broken != nil:
		return st.broken
	case err != io.EOF:
		return err
	}
	return nil
}

// copyFrom appends r and gives the error that ended r. A failed write breaks
// the stage.
func (st *diskStage) copyFrom(ctx context.Context, r io.Reader) (err error) {
	chunks := st.disk.chunks.Get().(*[ring][chunkSize]byte)
	defer st.disk.chunks.Put(chunks)
	var busy [ring]sync.WaitGroup // of the chunks that are not written and hashed yet
	var failed atomic.Bool
	write := startWorker(func(p []byte) {
		if !failed.Load() {
			if err := st.out.write(p); err != nil {
				st.broken = diskError("write a blob", err)
				failed.Store(true)
			}
		}
	})
	hash := startWorker(st.sums.add)
	defer func() { // also when r panics: the chunks are about to be another's
		write.end()
		hash.end()
	}()
	for i := 0; err == nil && !failed.Load(); i = (i + 1) % ring {
		busy[i].Wait()
		var n int
		n, err = readChunk(ctx, r, chunks[i][:])
		if n > 0 {
			busy[i].Add(2)
			write.chunks <- work{chunks[i][:n], &busy[i]}
			hash.chunks <- work{chunks[i][:n], &busy[i]}
		}
	}
	return err
}

// worker does one thing with each chunk, in order, in a goroutine.
type worker struct {
	chunks chan work
	ended  chan struct{}
}

// work is a chunk, and what waits until all workers are done with it.
type work struct {
	chunk []byte
	busy  *sync.WaitGroup
}

func startWorker(do func([]byte)) worker {
	w := worker{make(chan work, ring), make(chan struct{})}
	go func() {
		defer close(w.ended)
		for work := range w.chunks {
			do(work.chunk)
			work.busy.Done()
		}
	}()
	return w
}

// end waits until all chunks are done.
func (w worker) end() {
	close(w.chunks)
	<-w.ended
}

// writer writes a file in order and has the system write it out early, so that
// the Sync at the end finds little to do.
type writer struct {
	f             *os.File
	size, started int64
}

func (w *writer) write(p []byte) error {
	n, err := w.f.Write(p)
	w.size += int64(n)
	if waiting := w.size - w.started; waiting >= writebackStep {
		startWriteback(w.f, w.started, waiting)
		w.started = w.size
	}
	return err
}

// Commit makes the bytes durable, and then names the file by its key. A taken
// key is CodeConflict.
func (st *diskStage) Commit(ctx context.Context) (service.Stored, error) {
	if st.committed {
		return st.Stored(), nil
	}
	if err := st.usable(); err != nil {
		return service.Stored{}, err
	}
	st.ending = true
	if err := st.disk.sync(st.file); err != nil {
		st.broken = diskError("sync a blob", err)
		return service.Stored{}, st.broken
	}
	if err := ctx.Err(); err != nil {
		return service.Stored{}, err
	}
	if err := st.disk.publish(st.name, st.key); err != nil {
		return service.Stored{}, err
	}
	st.committed = true
	st.remove()
	return st.Stored(), nil
}

// remove removes the file's name as a stage, and its record. What cannot be
// removed is left to Sweep.
func (st *diskStage) remove() {
	_ = st.disk.root.Remove(st.name)
	if st.name == stageName(st.key) {
		_ = st.disk.root.Remove(st.name + recordSuffix)
	}
}

// Abort removes the stage, saved or not, and closes it.
func (st *diskStage) Abort(context.Context) error {
	if st.closed || st.committed {
		return st.Close()
	}
	st.saved = false
	return st.Close()
}

// Close removes the file unless the stage was committed or saved.
func (st *diskStage) Close() error {
	if st.closed {
		return nil
	}
	st.closed = true
	if !st.committed && !st.saved {
		st.remove()
	}
	return errors.Join(st.file.Close(), st.closeRecord())
}

func (st *diskStage) closeRecord() error {
	if st.record == nil {
		return nil
	}
	return st.record.Close()
}

// publish gives the file temp, whose bytes are durable, the name of key. It uses
// a link, because a rename would replace what is there, and a check beforehand
// would leave a moment for another stage: of many stages of one key, one links.
func (d *Disk) publish(temp, key string) error {
	folder, name := place(key)
	if err := d.makeFolder(folder); err != nil {
		return diskError("create a blob folder", err)
	}
	err := d.root.Link(temp, name)
	if errors.Is(err, fs.ErrExist) {
		return sluice.Errorf(sluice.CodeConflict, keyTaken)
	}
	if err != nil {
		return diskError("name a blob", err)
	}
	if err := d.syncFolder(folder); err != nil {
		return errors.Join(diskError("sync a blob folder", err), d.root.Remove(name))
	}
	return nil
}
