//go:build !linux

package blob

func newBuffer(size int) ([]byte, error) { return make([]byte, size), nil }

func freeBuffer([]byte) {}
