package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sluice"
	"sluice/internal/service"
)

var stageTests = []test{
	{"appends in pieces", testPieces},
	{"refuses a wrong offset", testOffset},
	{"keeps what came before a broken reader", testAppendBreaks},
	{"keeps what came before the end of a context", testAppendCancelled},
	{"shows nothing before a commit", testHiddenStage},
	{"commits once", testCommitTwice},
	{"commits no taken key", testCommitTaken},
	{"leaves nothing of a closed stage", testCloseWithoutCommit},
	{"takes nothing after the end", testEnded},
}

// Begin begins a stage that ends with the test.
func Begin(t *testing.T, b service.Blobs, key string) service.Stage {
	t.Helper()
	stage, err := b.Stage(t.Context(), key)
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	t.Cleanup(func() { stage.Close() })
	return stage
}

// Append appends p at offset.
func Append(t *testing.T, stage service.Stage, offset int64, p []byte) {
	t.Helper()
	if err := stage.Append(t.Context(), offset, bytes.NewReader(p)); err != nil {
		t.Fatalf("Append of %d bytes at %d: %v", len(p), offset, err)
	}
}

// Commit commits a stage that holds p.
func Commit(t *testing.T, stage service.Stage, p []byte) {
	t.Helper()
	stored, err := stage.Commit(t.Context())
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantStored(t, "Commit", stored, p)
}

func wantStored(t *testing.T, doing string, got service.Stored, p []byte) {
	t.Helper()
	if got != StoredOf(p) {
		t.Fatalf("%s gives %d bytes of %v, want %d of %v", doing, got.Size, got.SHA256, len(p), StoredOf(p).SHA256)
	}
}

// pieces cuts p into pieces of odd sizes: none, one byte, one less and one more
// than the buffers of a place, and several parts of S3.
func pieces(p []byte) (cut [][]byte) {
	for _, n := range []int{0, 1, 2, 255, 4097, 256<<10 - 1, 1, 0, 256<<10 + 1, 8<<20 - 1, 3, 17<<20 + 5, 100_001} {
		n = min(n, len(p))
		cut, p = append(cut, p[:n]), p[n:]
	}
	return append(cut, p)
}

func testPieces(t *testing.T, b service.Blobs) {
	for i, size := range []int{0, 1, 300_000, 600_001, 30 << 20} {
		p := Content(i, size)
		stage := Begin(t, b, Key(i))
		n := 0
		for _, piece := range pieces(p) {
			Append(t, stage, int64(n), piece)
			n += len(piece)
			wantStored(t, "Stored", stage.Stored(), p[:n])
		}
		Commit(t, stage, p)
		if err := stage.Close(); err != nil {
			t.Errorf("Close after Commit: %v", err)
		}
		WantContent(t, b, Key(i), p)
	}
}

func testOffset(t *testing.T, b service.Blobs) {
	p := Content(1, 1000)
	stage := Begin(t, b, Key(1))
	untouched := ReaderFunc(func([]byte) (int, error) {
		t.Error("Append reads for a wrong offset")
		return 0, io.EOF
	})
	for n := 0; n < len(p); n += 500 {
		for _, wrong := range []int64{-1, int64(n) - 1, int64(n) + 1, 500 - int64(n), 1 << 40} {
			err := stage.Append(t.Context(), wrong, untouched)
			WantCode(t, fmt.Sprintf("Append at %d of %d", wrong, n), err, sluice.CodeConflict)
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("offset %d,", n)) {
				t.Errorf("Append at %d of %d does not name the right offset: %v", wrong, n, err)
			}
		}
		Append(t, stage, int64(n), p[n:n+500])
	}
	Commit(t, stage, p)
	WantContent(t, b, Key(1), p)
}

func testAppendBreaks(t *testing.T, b service.Blobs) {
	p, want := Content(1, 20<<20), errors.New("the line is dead")
	stage := Begin(t, b, Key(1))
	n := 0
	for _, piece := range pieces(p) {
		r := io.MultiReader(bytes.NewReader(piece), iotest.ErrReader(want))
		if err := stage.Append(t.Context(), int64(n), r); err != want {
			t.Fatalf("Append gives %v, want the reader's %v", err, want)
		}
		n += len(piece)
		wantStored(t, "Stored", stage.Stored(), p[:n])
	}
	Commit(t, stage, p)
	WantContent(t, b, Key(1), p)
}

func testAppendCancelled(t *testing.T, b service.Blobs) {
	p := Content(1, 20<<20)
	stage := Begin(t, b, Key(1))
	for _, upTo := range []int{1, 1000, 9 << 20, len(p)} {
		ctx, cancel := context.WithCancel(t.Context())
		at := stage.Stored().Size
		part := io.TeeReader(bytes.NewReader(p[at:]), WriterFunc(func(read []byte) (int, error) {
			if at += int64(len(read)); at >= int64(upTo) {
				cancel()
			}
			return len(read), nil
		}))
		if err := stage.Append(ctx, stage.Stored().Size, iotest.HalfReader(part)); !errors.Is(err, context.Canceled) {
			t.Fatalf("Append gives %v, want the end of its context", err)
		}
		wantStored(t, "Stored", stage.Stored(), p[:at])
		if _, err := stage.Commit(ctx); !errors.Is(err, context.Canceled) && upTo == len(p) {
			t.Fatalf("Commit gives %v, want the end of its context", err)
		}
		if upTo < len(p) {
			stage.Close()
			WantNothing(t, b, Key(1))
			if err := b.Remove(t.Context(), Key(1)); err != nil {
				t.Fatal(err)
			}
			stage = Begin(t, b, Key(1))
		}
	}
}

func testHiddenStage(t *testing.T, b service.Blobs) {
	p := Content(1, 9<<20)
	stage := Begin(t, b, Key(1))
	hidden := func() {
		t.Helper()
		_, err := b.Open(t.Context(), Key(1))
		WantCode(t, "Open of a stage", err, sluice.CodeNotFound)
		_, err = b.Size(t.Context(), Key(1))
		WantCode(t, "Size of a stage", err, sluice.CodeNotFound)
		WantKeys(t, b)
		if n, err := b.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("Sweep of an hour ago: %d, %v", n, err)
		}
	}
	hidden()
	Append(t, stage, 0, p)
	hidden()
	Commit(t, stage, p)
	WantContent(t, b, Key(1), p)
	WantKeys(t, b, Key(1))
}

func testCommitTwice(t *testing.T, b service.Blobs) {
	for i, size := range []int{0, 1000, 9 << 20} {
		p := Content(i, size)
		stage := Begin(t, b, Key(i))
		Append(t, stage, 0, p)
		Commit(t, stage, p)
		Commit(t, stage, p)
		WantContent(t, b, Key(i), p)
		err := stage.Append(t.Context(), int64(size), strings.NewReader("more"))
		WantCode(t, "Append after Commit", err, sluice.CodeConflict)
		stage.Close()
		WantContent(t, b, Key(i), p)
	}
}

func testCommitTaken(t *testing.T, b service.Blobs) {
	first := Content(1, 1000)
	Put(t, b, Key(1), first)
	for _, size := range []int{10, 9 << 20} {
		p := Content(2, size)
		stage := Begin(t, b, Key(1))
		Append(t, stage, 0, p)
		for range 2 {
			stored, err := stage.Commit(t.Context())
			WantCode(t, "Commit of a taken key", err, sluice.CodeConflict)
			if stored != (service.Stored{}) {
				t.Error("Commit failed and says that it stored")
			}
		}
		stage.Close()
		WantContent(t, b, Key(1), first)
	}
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep afterwards: %d, %v", n, err)
	}
}

func testCloseWithoutCommit(t *testing.T, b service.Blobs) {
	for _, size := range []int{0, 1000, 9 << 20} {
		stage := Begin(t, b, Key(1))
		Append(t, stage, 0, Content(1, size))
		for range 2 {
			if err := stage.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
			t.Errorf("Sweep afterwards: %d, %v", n, err)
		}
		WantNothing(t, b, Key(1))
		if err := b.Remove(t.Context(), Key(1)); err != nil {
			t.Fatal(err)
		}
	}
}

func testEnded(t *testing.T, b service.Blobs) {
	stage := Begin(t, b, Key(1))
	Append(t, stage, 0, []byte("x"))
	stage.Close()
	if err := stage.Append(t.Context(), 1, strings.NewReader("y")); err == nil {
		t.Error("Append succeeds after Close")
	}
	if _, err := stage.Commit(t.Context()); err == nil {
		t.Error("Commit succeeds after Close")
	}
	WantNothing(t, b, Key(1))
}
