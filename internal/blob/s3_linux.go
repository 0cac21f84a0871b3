package blob

import "syscall"

// newBuffer gives size bytes outside of Go's heap. The collector lets the heap
// grow to twice the size of its live objects, so that buffers in it would take
// twice their size. Pages that were never written take no memory.
func newBuffer(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func freeBuffer(p []byte) { _ = syscall.Munmap(p) }
