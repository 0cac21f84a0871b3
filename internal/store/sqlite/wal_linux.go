package sqlite

import (
	"sync"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The writer's connection writes its WAL through a VFS of its own: https://www.sqlite.org/vfs.html. SQLite writes each
// page of a commit with two calls to the system, and this build of it syncs with fsync, which also writes the times of
// the file. Here the pages of a commit are gathered, written with one call when SQLite syncs them, and synced with
// fdatasync. All else is done by SQLite's own VFS.
//
// Bytes are gathered only while a commit runs: the connection spills no page into the WAL before (PRAGMA cache_spill),
// and the commit ends with a sync. SQLite shows a commit to other connections after the sync, so none of them looks for
// bytes that are still gathered. When the sync or a write fails, the gathered bytes are dropped: the commit fails, and
// SQLite writes all of it again if it tries again. No byte may stay gathered when the connection gives up its lock,
// because another process then writes its commit to the same place.

// walName is the name of the VFS.
const walName = "sluice-wal"

// walFile stands in memory behind SQLite's own file.
type walFile struct {
	gathered uintptr // memory for walBuffer bytes, 0 before the first write
	at       int64   // offset of the gathered bytes in the file
	n        int     // how many there are
	synced   bool    // the file was synced since it was opened
}

// walBuffer is how much is gathered. SQLite writes less than 128 KiB with one call.
const walBuffer = 96 << 10

// What the VFS of SQLite does, and its methods of a file.
type (
	openMethod     func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closeMethod    func(tls *libc.TLS, file uintptr) int32
	transferMethod func(tls *libc.TLS, file, data uintptr, n int32, at int64) int32
	truncateMethod func(tls *libc.TLS, file uintptr, size int64) int32
	syncMethod     func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeMethod     func(tls *libc.TLS, file, size uintptr) int32
)

var below struct {
	vfs *sqlite3.Tsqlite3_vfs
	io  *sqlite3.Tsqlite3_io_methods // of a WAL
}

// walParam gives the parameter that has a connection use the VFS.
func walParam() string {
	registerWAL()
	return "vfs=" + walName
}

var registerWAL = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	below.vfs = at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*below.vfs)))
	name, err := libc.CString(walName)
	if p == 0 || err != nil {
		panic("sqlite: no memory")
	}
	vfs := at[sqlite3.Tsqlite3_vfs](p)
	*vfs = *below.vfs
	vfs.FpNext, vfs.FzName, vfs.FxOpen = 0, name, address(openMethod(openWAL))
	vfs.FszOsFile += int32(unsafe.Sizeof(walFile{}))
	if rc := sqlite3.Xsqlite3_vfs_register(tls, p, 0); rc != sqlite3.SQLITE_OK {
		panic("sqlite: the VFS was refused")
	}
})

// at gives what C memory holds at an address.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// address gives a function as C code calls it, and method one that C code gives.
func address[F any](f F) uintptr  { return *(*uintptr)(unsafe.Pointer(&f)) }
func method[F any](p uintptr) F   { return *(*F)(unsafe.Pointer(&p)) }
func walOf(file uintptr) *walFile { return at[walFile](file + uintptr(below.vfs.FszOsFile)) }

// walMethods gives the methods of a WAL, made of those that the VFS of SQLite gives all its files.
var walMethods = sync.OnceValue(func() uintptr {
	tls := libc.NewTLS()
	defer tls.Close()
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*below.io)))
	if p == 0 {
		panic("sqlite: no memory")
	}
	io := at[sqlite3.Tsqlite3_io_methods](p)
	*io = *below.io
	io.FxClose = address(closeMethod(closeWAL))
	io.FxRead, io.FxWrite = address(transferMethod(readWAL)), address(transferMethod(writeWAL))
	io.FxTruncate = address(truncateMethod(truncateWALFile))
	io.FxSync, io.FxFileSize = address(syncMethod(syncWAL)), address(sizeMethod(sizeOfWAL))
	return p
})

func openWAL(tls *libc.TLS, _, name, file uintptr, flags int32, outFlags uintptr) int32 {
	own := uintptr(unsafe.Pointer(below.vfs))
	rc := method[openMethod](below.vfs.FxOpen)(tls, own, name, file, flags, outFlags)
	if rc == sqlite3.SQLITE_OK && flags&sqlite3.SQLITE_OPEN_WAL != 0 {
		f := at[sqlite3.Tsqlite3_file](file)
		wal.Do(func() { below.io = at[sqlite3.Tsqlite3_io_methods](f.FpMethods) })
		f.FpMethods = walMethods()
		*walOf(file) = walFile{}
	}
	return rc
}

var wal sync.Once

func writeWAL(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	w := walOf(file)
	if w.n > 0 && (offset != w.at+int64(w.n) || w.n+int(n) > walBuffer) {
		if rc := w.write(tls, file); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	if w.gathered == 0 {
		if w.gathered = libc.Xmalloc(tls, walBuffer); w.gathered == 0 {
			return sqlite3.SQLITE_NOMEM
		}
	}
	if n > walBuffer {
		return method[transferMethod](below.io.FxWrite)(tls, file, data, n, offset)
	}
	if w.n == 0 {
		w.at = offset
	}
	copy(at[[walBuffer]byte](w.gathered)[w.n:], unsafe.Slice(at[byte](data), n))
	w.n += int(n)
	return sqlite3.SQLITE_OK
}

// write writes what is gathered, or drops it.
func (w *walFile) write(tls *libc.TLS, file uintptr) int32 {
	if w.n == 0 {
		return sqlite3.SQLITE_OK
	}
	rc := method[transferMethod](below.io.FxWrite)(tls, file, w.gathered, int32(w.n), w.at)
	w.n = 0
	return rc
}

// syncWAL leaves the first sync to SQLite's own VFS, which also syncs the folder of a new file.
func syncWAL(tls *libc.TLS, file uintptr, flags int32) int32 {
	w := walOf(file)
	if rc := w.write(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if !w.synced {
		rc := method[syncMethod](below.io.FxSync)(tls, file, flags)
		w.synced = rc == sqlite3.SQLITE_OK
		return rc
	}
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		err = syscall.Fdatasync(int(at[sqlite3.TunixFile](file).Fh))
	}
	if err != nil {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	return sqlite3.SQLITE_OK
}

func readWAL(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	if rc := walOf(file).write(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return method[transferMethod](below.io.FxRead)(tls, file, data, n, offset)
}

func truncateWALFile(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := walOf(file).write(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return method[truncateMethod](below.io.FxTruncate)(tls, file, size)
}

func sizeOfWAL(tls *libc.TLS, file, size uintptr) int32 {
	if rc := walOf(file).write(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return method[sizeMethod](below.io.FxFileSize)(tls, file, size)
}

// closeWAL drops what was never synced: it belongs to no commit.
func closeWAL(tls *libc.TLS, file uintptr) int32 {
	if w := walOf(file); w.gathered != 0 {
		libc.Xfree(tls, w.gathered)
		*w = walFile{}
	}
	return method[closeMethod](below.io.FxClose)(tls, file)
}
