package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"sluice"
	"sluice/internal/service"
)

const (
	// maxHeld is the largest file, in bytes, that is kept in memory.
	maxHeld = 64 << 10
	// heldBytes is how much of memory the files kept may take.
	heldBytes = 32 << 20
)

// Cached keeps small files that were opened lately in memory, so that they
// leave again without a call to the disk or to another machine. Only bytes that
// were verified are kept. What is under a key never changes; whether it may leave
// is decided elsewhere, each time.
func Cached(b service.Blobs) service.Blobs {
	return &cached{Blobs: b, recent: map[string][]byte{}, before: map[string][]byte{}}
}

// cached holds two generations of files. When the younger has taken half of
// the memory, the older is dropped: what is asked for often moves on.
type cached struct {
	service.Blobs

	mu             sync.Mutex
	recent, before map[string][]byte
	size           int // of recent, in bytes
}

// inMemory is content that is in memory as a whole.
type inMemory struct {
	bytes.Reader
	content []byte
	keep    func() // nil for content that was verified
}

var _ service.Verifier = (*inMemory)(nil)

func newInMemory(content []byte, keep func()) *inMemory {
	m := &inMemory{content: content, keep: keep}
	m.Reset(content)
	return m
}

// Verify implements service.Verifier.
func (m *inMemory) Verify(want sluice.Digest) bool {
	if m.keep == nil {
		return true
	}
	if sha256.Sum256(m.content) != want {
		return false
	}
	m.keep()
	m.keep = nil
	return true
}

// Bytes gives all of the content, which must not be changed.
func (m *inMemory) Bytes() []byte { return m.content }

func (*inMemory) Close() error { return nil }

func (c *cached) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if content, ok := c.find(key); ok {
		return newInMemory(content, nil), nil
	}
	f, err := c.Blobs.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil || size > maxHeld {
		return f, err
	}
	defer f.Close()
	content := make([]byte, size)
	if _, err := io.ReadFull(f, content); err != nil {
		return nil, err
	}
	return newInMemory(content, func() { c.keep(key, content) }), nil
}

func (c *cached) Size(ctx context.Context, key string) (int64, error) {
	if content, ok := c.find(key); ok {
		return int64(len(content)), nil
	}
	return c.Blobs.Size(ctx, key)
}

// Uncached implements service.Cache.
func (c *cached) Uncached() service.Blobs { return c.Blobs }

func (c *cached) find(key string) (content []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if content, ok = c.recent[key]; ok {
		return content, true
	}
	if content, ok = c.before[key]; ok {
		c.add(key, content)
	}
	return content, ok
}

func (c *cached) keep(key string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(key, content)
}

// entryCost is what a file takes beside its bytes, roughly.
const entryCost = 256

func (c *cached) add(key string, content []byte) {
	if _, ok := c.recent[key]; ok {
		return
	}
	if c.size += len(content) + entryCost; c.size > heldBytes/2 {
		c.before, c.recent, c.size = c.recent, map[string][]byte{}, len(content)+entryCost
	}
	c.recent[key] = content
}

// Remove ends the bytes, also in memory. What another process removes is
// forgotten in the course of time.
func (c *cached) Remove(ctx context.Context, key string) error {
	c.forget(key)
	return c.Blobs.Remove(ctx, key)
}

// Discard moves the bytes to the trash, and ends them in memory.
func (c *cached) Discard(ctx context.Context, key string) error {
	c.forget(key)
	return c.Blobs.Discard(ctx, key)
}

func (c *cached) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.recent, key)
	delete(c.before, key)
}

func (c *cached) drop(from map[string][]byte, key string) {
	if content, ok := from[key]; ok {
		delete(from, key)
		c.size -= len(content) + entryCost
	}
}
