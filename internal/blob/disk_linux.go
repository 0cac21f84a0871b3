package blob

import (
	"os"
	"syscall"
)

// startWriteback asks the system to write out a range of f, and does not wait. It
// is a hint: an error here shows again in Sync.
func startWriteback(f *os.File, offset, length int64) {
	const syncFileRangeWrite = 2 // SYNC_FILE_RANGE_WRITE, sync_file_range(2)
	_ = syscall.SyncFileRange(int(f.Fd()), offset, length, syncFileRangeWrite)
}

// freeSpace gives the number of bytes that this process may still write to the
// disk that holds f.
func freeSpace(f *os.File) (uint64, error) {
	var st syscall.Statfs_t
	err := syscall.Fstatfs(int(f.Fd()), &st)
	return st.Bavail * uint64(st.Bsize), err
}
