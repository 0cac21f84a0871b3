// Package powerloss runs Sluice on a file system that remembers what was synced, and rebuilds from that what a disk may
// hold after a power failure.
//
// The model is that of POSIX, which promises less than file systems keep:
//
//   - A write or a truncation is lost, kept or torn until fsync or fdatasync of its file has returned. Sectors are kept
//     or lost apart from each other, in any order.
//   - A name that was created, linked, renamed or removed is lost or kept until fsync of its folder has returned. The
//     fsync of a file says nothing about its name. A rename within a folder happens or does not; a rename to another
//     folder is two changes.
//   - The size of a file may be kept without the bytes, which are zeros then.
//   - Nothing that was synced changes.
//
// Not modelled are disks that lie about what they have written, and sectors that can no longer be read.
package powerloss

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// kind is what an operation does.
type kind int

const (
	writeBytes kind = iota
	truncate
	syncFile
	addName    // in a folder
	removeName // from a folder
	moveName   // within a folder
	syncFolder
)

// operation is a change of the file system, or a sync of one.
type operation struct {
	kind   kind
	node   int    // the file or the folder
	data   []byte // of a write
	at     int64  // of a write; the size of a truncation
	name   string // in the folder
	second string // the new name of a move
	child  int    // that the name leads to
}

// object is a file or a folder.
type object struct {
	folder bool
	mode   os.FileMode

	data    []byte
	names   map[string]int
	pending []pendingOperation // since the last sync
}

type pendingOperation struct {
	operation
	order int // in the whole journal
}

// journal is what has happened to a file system since it was empty. Object 0 is its root.
type journal struct {
	objects    []object // what each is; without contents
	operations []operation
}

// disk is the durable state at a moment, and what is pending.
type disk struct {
	objects []object
	at      int // operations that have happened
}

func newDisk() *disk { return &disk{} }

// advance applies operations up to a position of the journal.
func (d *disk) advance(j *journal, to int) {
	for len(d.objects) < len(j.objects) {
		o := j.objects[len(d.objects)]
		d.objects = append(d.objects, object{folder: o.folder, mode: o.mode, names: map[string]int{}})
	}
	for ; d.at < to; d.at++ {
		op := j.operations[d.at]
		o := &d.objects[op.node]
		if op.kind != syncFile && op.kind != syncFolder {
			o.pending = append(o.pending, pendingOperation{op, d.at})
			continue
		}
		for _, p := range o.pending {
			o.apply(p.operation)
		}
		o.pending = nil
	}
}

func (o *object) apply(op operation) {
	switch op.kind {
	case writeBytes:
		o.resize(max(int64(len(o.data)), op.at+int64(len(op.data))))
		copy(o.data[op.at:], op.data)
	case truncate:
		o.resize(op.at)
	case addName:
		o.names[op.name] = op.child
	case removeName:
		delete(o.names, op.name)
	case moveName:
		delete(o.names, op.name)
		o.names[op.second] = op.child
	}
}

func (o *object) resize(size int64) {
	if size <= int64(len(o.data)) {
		o.data = o.data[:size:size] // what comes later is written anew
		return
	}
	o.data = append(o.data, make([]byte, size-int64(len(o.data)))...)
}

// policy is what happens to pending operations in a power failure.
type policy int

const (
	loseAll   policy = iota
	keepAll          // as when the process was killed
	keepFirst        // up to some operation, which is torn: a disk that keeps the order
	keepSome         // any of them: a disk that does not
	keepNames        // the changes of names, and no bytes: a journal of metadata
	policies
)

func (p policy) String() string {
	return []string{"all lost", "all kept", "the first kept", "some kept", "names kept"}[p]
}

// fail gives what is on the disk after a power failure. It does not change d.
func (d *disk) fail(p policy, random *rand.Rand) *disk {
	after := &disk{objects: slices.Clone(d.objects), at: d.at}
	sector := []int64{512, 4096}[random.IntN(2)]
	cut := d.at
	if p == keepFirst {
		cut = d.cut(random)
	}
	for i := range after.objects {
		o := &after.objects[i]
		if len(o.pending) == 0 {
			continue
		}
		o.data, o.names = slices.Clone(o.data), maps.Clone(o.names)
		for _, op := range o.pending {
			names := op.kind == addName || op.kind == removeName || op.kind == moveName
			switch {
			case p == keepAll, p == keepFirst && op.order < cut, p == keepNames && names:
				o.apply(op.operation)
			case p == keepFirst && op.order == cut && !names, p == keepSome && op.kind == writeBytes:
				o.tear(op.operation, sector, random)
			case p == keepSome && random.IntN(2) == 0:
				o.apply(op.operation)
			case p == keepNames && op.kind == writeBytes && random.IntN(2) == 0: // the size is kept
				o.resize(max(int64(len(o.data)), op.at+int64(len(op.data))))
			}
		}
		o.pending = nil
	}
	return after
}

// cut chooses a pending operation.
func (d *disk) cut(random *rand.Rand) int {
	var orders []int
	for _, o := range d.objects {
		for _, p := range o.pending {
			orders = append(orders, p.order)
		}
	}
	if len(orders) == 0 {
		return d.at
	}
	return orders[random.IntN(len(orders))]
}

// tear keeps some sectors of a write.
func (o *object) tear(op operation, sector int64, random *rand.Rand) {
	if op.kind != writeBytes {
		return
	}
	keep := random.IntN(4) // most sectors, or few
	for from := op.at; from < op.at+int64(len(op.data)); {
		to := min((from/sector+1)*sector, op.at+int64(len(op.data)))
		if random.IntN(4) <= keep {
			o.apply(operation{kind: writeBytes, at: from, data: op.data[from-op.at : to-op.at]})
		}
		from = to
	}
}

// store writes the tree to a folder.
func (d *disk) store(folder string) error { return d.storeObject(0, folder, map[int]string{}) }

func (d *disk) storeObject(i int, path string, stored map[int]string) error {
	o := d.objects[i]
	if first, ok := stored[i]; ok {
		if o.folder {
			return fmt.Errorf("the folder %s has two names", path)
		}
		return os.Link(first, path)
	}
	stored[i] = path
	if !o.folder {
		return os.WriteFile(path, o.data, o.mode.Perm())
	}
	if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(o.names)) {
		if err := d.storeObject(o.names[name], filepath.Join(path, name), stored); err != nil {
			return err
		}
	}
	return nil
}
