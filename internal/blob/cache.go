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
	// maxHeld is the size in bytes of the largest file that is kept in memory.
	maxHeld = 64 << 10
	// heldBytes limits the memory that all kept files take together.
	heldBytes = 32 << 20
)

// Cached keeps small files in memory that were opened recently, so that they can
// be sent again without a call to the disk or to another machine. It keeps only
// bytes that were verified. The bytes under a key never change. Whether they may
// be sent is decided elsewhere, for each request.
func Cached(b service.Blobs) service.Blobs {
	return &cached{Blobs: b, recent: map[string][]byte{}, before: map[string][]byte{}}
}

// cached holds two generations of files. When the younger one has filled half of
// the memory, the older one is dropped. A file that is opened again moves to the
// younger one.
type cached struct {
	service.Blobs

	mu             sync.Mutex
	recent, before map[string][]byte
	size           int // of recent, in bytes
}

// inMemory is content that is completely in memory.
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

// Bytes gives all of the content. The caller must not change it.
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

// entryCost is roughly the memory that a file takes in addition to its bytes.
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

// Remove removes the bytes, also from memory. Bytes that another process removes
// stay in memory until newer ones replace them.
func (c *cached) Remove(ctx context.Context, key string) error {
	c.forget(key)
	return c.Blobs.Remove(ctx, key)
}

// Discard moves the bytes to the trash and removes them from memory.
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
