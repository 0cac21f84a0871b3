package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

func TestCached(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) service.Blobs { return Cached(openDisk(t, t.TempDir())) })
}

// TestCacheHolds opens files: small ones stay in memory, within the limits.
func TestCacheHolds(t *testing.T) {
	ctx := context.Background()
	c := Cached(openDisk(t, t.TempDir())).(*cached)
	put := func(i, size int) (key string, content []byte) {
		key, content = fmt.Sprintf("file_%026d", i), bytes.Repeat([]byte{byte(i)}, size)
		if _, err := c.Put(ctx, key, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return key, content
	}
	open := func(key string, want []byte) (held bool) {
		t.Helper()
		f, err := c.Open(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
		m, held := f.(*inMemory)
		if _, kept := c.find(key); kept && m.keep != nil {
			t.Errorf("%s is kept and was not verified", key)
		}
		return held && m.Verify(sha256.Sum256(want))
	}
	small, content := put(0, maxHeld)
	large, more := put(1, maxHeld+1)
	if !open(small, content) || open(large, more) {
		t.Error("what is held is not what fits")
	}
	kept := func() (n int) {
		for _, generation := range []map[string][]byte{c.recent, c.before} {
			for _, content := range generation {
				n += len(content) + entryCost
			}
		}
		return n
	}
	for i := 2; i < 2+2*heldBytes/maxHeld; i++ {
		key, content := put(i, maxHeld)
		open(key, content)
		open(small, bytes.Repeat([]byte{0}, maxHeld)) // often asked for
		if kept() > heldBytes+maxHeld+entryCost {
			t.Fatalf("%d bytes are held", kept())
		}
	}
	if _, ok := c.find(small); !ok {
		t.Error("what is asked for often was dropped")
	}
	if _, ok := c.find(fmt.Sprintf("file_%026d", 2)); ok {
		t.Error("what was asked for once long ago is held")
	}
	if err := c.Remove(ctx, small); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(ctx, small); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("what was removed: %v", err)
	}
}

// Bytes that have another digest are not kept. The next Open reads them again.
func TestCacheKeepsVerified(t *testing.T) {
	ctx := context.Background()
	c := Cached(openDisk(t, t.TempDir())).(*cached)
	key, content := blobtest.Key(1), []byte("content")
	blobtest.Put(t, c, key, content)
	for _, want := range []struct {
		digest sluice.Digest
		kept   bool
	}{{sha256.Sum256([]byte("Content")), false}, {sha256.Sum256(content), true}} {
		f, err := c.Open(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if ok := f.(service.Verifier).Verify(want.digest); ok != want.kept {
			t.Errorf("verified: %v", ok)
		}
		if _, kept := c.find(key); kept != want.kept {
			t.Errorf("kept: %v", kept)
		}
	}
}
