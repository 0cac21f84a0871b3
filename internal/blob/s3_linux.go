package blob

import "syscall"

// newBuffer gives size bytes outside of Go's heap. The collector lets a heap
// grow to twice of what it holds, so that parts kept there would take twice
// their size; and memory that no part was read into is none.
func newBuffer(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func freeBuffer(p []byte) { _ = syscall.Munmap(p) }
