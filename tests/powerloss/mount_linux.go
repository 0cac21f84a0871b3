package powerloss

import (
	"context"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// volume is a file system in memory that writes a journal. A sync has happened when it returns, so that whoever was
// told something after that finds it in the journal.
type volume struct {
	mu      sync.Mutex
	journal journal
}

// node is a file or a folder of a volume.
type node struct {
	fs.Inode
	volume *volume
	number int
	mode   uint32
	data   []byte
	time   time.Time
}

// mount mounts an empty volume. The caller unmounts it.
func mount(folder string) (*volume, *fuse.Server, error) {
	v := &volume{}
	root := v.node(syscall.S_IFDIR | 0o700)
	long := time.Hour // nothing changes behind the kernel's back
	server, err := fs.Mount(folder, root, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		MountOptions: fuse.MountOptions{DirectMount: true, FsName: "powerloss", Name: "powerloss", MaxWrite: 1 << 20,
			DisableXAttrs: true},
	})
	return v, server, err
}

// position is how many operations have happened.
func (v *volume) position() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.journal.operations)
}

func (v *volume) node(mode uint32) *node {
	n := &node{volume: v, number: len(v.journal.objects), mode: mode, time: time.Now()}
	v.journal.objects = append(v.journal.objects,
		object{folder: mode&syscall.S_IFMT == syscall.S_IFDIR, mode: os.FileMode(mode & 0o777)})
	return n
}

// note appends to the journal. The caller holds the lock.
func (n *node) note(op operation) {
	op.node = n.number
	n.volume.journal.operations = append(n.volume.journal.operations, op)
}

func (n *node) stat(out *fuse.Attr) {
	out.Mode, out.Size, out.Ino, out.Nlink = n.mode, uint64(len(n.data)), uint64(n.number+1), 1
	out.Blocks, out.Blksize = (out.Size+511)/512, 4096
	out.SetTimes(&n.time, &n.time, &n.time)
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	n.stat(&out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		n.resize(int64(size))
		n.note(operation{kind: truncate, at: int64(size)})
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode&0o7777
	}
	if changed, ok := in.GetMTime(); ok {
		n.time = changed
	}
	n.stat(&out.Attr)
	return 0
}

func (n *node) resize(size int64) {
	if size <= int64(len(n.data)) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
}

// child makes an object with a name. The caller holds the lock.
func (n *node) child(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) *fs.Inode {
	made := n.volume.node(mode)
	n.note(operation{kind: addName, name: name, child: made.number})
	made.stat(&out.Attr)
	return n.NewInode(ctx, made, fs.StableAttr{Mode: mode & syscall.S_IFMT, Ino: uint64(made.number + 1)})
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	return n.child(ctx, name, syscall.S_IFDIR|mode&0o7777, out), 0
}

func (n *node) Create(
	ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	return n.child(ctx, name, syscall.S_IFREG|mode&0o7777, out), nil, 0, 0
}

func (n *node) Link(
	_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	to := target.(*node)
	n.note(operation{kind: addName, name: name, child: to.number})
	to.stat(&out.Attr)
	return to.EmbeddedInode(), 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	n.note(operation{kind: removeName, name: name})
	return 0
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if child := n.GetChild(name); child != nil && len(child.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	return n.Unlink(ctx, name)
}

func (n *node) Rename(
	_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32,
) syscall.Errno {
	if flags != 0 {
		return syscall.ENOTSUP
	}
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	number := n.GetChild(name).Operations().(*node).number
	if into := to.(*node); into != n {
		into.note(operation{kind: addName, name: newName, child: number})
		n.note(operation{kind: removeName, name: name})
		return 0
	}
	n.note(operation{kind: moveName, name: name, second: newName, child: number})
	return 0
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	if at >= int64(len(n.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, n.data[at:])]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	n.resize(max(int64(len(n.data)), at+int64(len(data))))
	copy(n.data[at:], data)
	n.time = time.Now()
	n.note(operation{kind: writeBytes, at: at, data: slices.Clone(data)})
	return uint32(len(data)), 0
}

func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	if n.mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.note(operation{kind: syncFolder})
	} else {
		n.note(operation{kind: syncFile})
	}
	return 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Blocks, out.Bfree, out.Bavail, out.Files, out.Ffree = 1<<24, 1<<24, 1<<24, 1<<20, 1<<20
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	return 0
}
