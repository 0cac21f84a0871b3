// Package blobtest is the test suite of the contract of service.Blobs.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"sluice"
	"sluice/internal/service"
)

// test is a part of the contract.
type test struct {
	name string
	run  func(*testing.T, service.Blobs)
}

// Run tests a place for bytes against the contract of service.Blobs. open gives an
// empty place that nobody else uses, and closes it when the test ends.
func Run(t *testing.T, open func(t *testing.T) service.Blobs) {
	for _, test := range slices.Concat(tests, stageTests) {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var tests = []test{
	{"gives back what was put", testRoundTrip},
	{"takes every reader", testReaders},
	{"gives ranges", testRanges},
	{"says what is missing", testMissing},
	{"tells sizes", testSize},
	{"refuses a taken key", Taken},
	{"lets one of many win", SameKey},
	{"takes many at once", testManyKeys},
	{"keeps nothing of a broken reader", BrokenReader},
	{"keeps nothing of a panic", Panic},
	{"keeps nothing of a cancelled put", Cancelled},
	{"hides what is not whole", testHidden},
	{"reads on after a remove", testReadAfterRemove},
	{"walks", testWalk},
	{"lets a walk end early", testWalkEnds},
	{"lets a walk remove", testWalkRemoves},
	{"sweeps no blob and no put under way", testSweepSpares},
	{"refuses hostile keys", testHostileKeys},
	{"is ready", Ready},
	{"is claimed by one installation", testClaim},
	{"lets one of many claim", testClaims},
	{"keeps a trash", testTrash},
}

// HostileKeys are malformed keys. Each one could pass a careless check, or has a
// meaning in a path, a URL or a pattern.
var HostileKeys = []string{
	"",
	".",
	"..",
	"/",
	"_",
	"file_",
	"file",
	"../etc/passwd",
	"/etc/passwd",
	"tmp/file_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w34",
	"_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"FILE_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file_01J9Z3K4M5N6P7Q8R9S0T1V2W3",
	"file-01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w\n",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w3\n",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w3\x00",
	"file_01j9z3k4m5n6p7q8r9s0t1v2\x00w",
	" file_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file_01j9z3k4m5n6p7q8r9s0t1v2/w",
	"file_01j9z3k4m5n6p7q8r9s0t1v/..",
	"file_../../../../../../../../..",
	"../_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"../file_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"a/b_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file1_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file__1j9z3k4m5n6p7q8r9s0t1v2w3",
	"fi_le_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"file_01j9z3k4m5n6p7q8r9s0t1v2w%",
	"file_%2e%2e%2f3k4m5n6p7q8r9s0t1v",
	"file_01j9z3k4m5n6p7q8r9s0t1vé",
	"ﬁle_01j9z3k4m5n6p7q8r9s0t1v2w3",
	"\\\\host\\share_01j9z3k4m5n6p7q8r9s0t1v2w3",
	strings.Repeat("a", 33) + "_01j9z3k4m5n6p7q8r9s0t1v2w3",
	strings.Repeat("a", 1<<20) + "_01j9z3k4m5n6p7q8r9s0t1v2w3",
}

// Key gives the nth key.
func Key(n int) string { return fmt.Sprintf("file_%026d", n) }

// Content gives size bytes that depend on seed.
func Content(seed, size int) []byte {
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	p := make([]byte, size)
	rand.NewChaCha8(s).Read(p)
	return p
}

// StoredOf gives size and digests of p.
func StoredOf(p []byte) service.Stored {
	return service.Stored{Size: int64(len(p)), SHA256: sha256.Sum256(p), CRC32: crc32.ChecksumIEEE(p)}
}

// Put stores p under key, and checks what Put returns.
func Put(t *testing.T, b service.Blobs, key string, p []byte) {
	t.Helper()
	stored, err := b.Put(t.Context(), key, bytes.NewReader(p))
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", len(p), err)
	}
	if want := StoredOf(p); stored != want {
		t.Fatalf("Put says %d bytes, %v, want %d, %v", stored.Size, stored.SHA256, want.Size, want.SHA256)
	}
}

// Open opens key, and closes it when the test ends.
func Open(t *testing.T, b service.Blobs, key string) io.ReadSeekCloser {
	t.Helper()
	r, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// WantContent checks the bytes under key.
func WantContent(t *testing.T, b service.Blobs, key string, want []byte) {
	t.Helper()
	r, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer r.Close()
	WantRest(t, r, want)
}

// WantRest checks the bytes that r still gives.
func WantRest(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes that are not the %d put", len(got), len(want))
	}
}

// WantCode checks the code of an error.
func WantCode(t *testing.T, doing string, err error, want sluice.Code) {
	t.Helper()
	if got := sluice.CodeOf(err); got != want {
		t.Errorf("%s: code %q (%v), want %q", doing, got, err, want)
	}
}

// Walk gives all keys in order.
func Walk(t *testing.T, b service.Blobs) []string {
	t.Helper()
	keys := []string{}
	err := b.Walk(t.Context(), func(key string, _ time.Time) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	slices.Sort(keys)
	return keys
}

// WantKeys checks the keys that Walk names.
func WantKeys(t *testing.T, b service.Blobs, want ...string) {
	t.Helper()
	if got := Walk(t, b); !slices.Equal(got, want) {
		t.Errorf("Walk names %q, want %q", got, want)
	}
}

// WantNothing checks that a failed upload left no trace and that its key is free.
func WantNothing(t *testing.T, b service.Blobs, key string) {
	t.Helper()
	_, err := b.Open(t.Context(), key)
	WantCode(t, "Open after a Put that failed", err, sluice.CodeNotFound)
	WantKeys(t, b)
	p := Content(99, 1000)
	Put(t, b, key, p)
	WantContent(t, b, key, p)
}

func testRoundTrip(t *testing.T, b service.Blobs) {
	for i, size := range []int{
		0, 1, 4095, 4096, 64 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1,
		512<<10 - 1, 512 << 10, 512<<10 + 1, 5 << 20, 9<<20 + 7,
	} {
		p := Content(i, size)
		Put(t, b, Key(i), p)
		WantContent(t, b, Key(i), p)
	}
}

func testReaders(t *testing.T, b service.Blobs) {
	p := Content(1, 700_000)
	for i, wrap := range []func(io.Reader) io.Reader{
		iotest.OneByteReader,
		iotest.HalfReader,
		iotest.DataErrReader,
		func(r io.Reader) io.Reader { return iotest.OneByteReader(iotest.DataErrReader(r)) },
		func(r io.Reader) io.Reader { return &hesitant{r: r} },
		func(r io.Reader) io.Reader { return io.MultiReader(bytes.NewReader(nil), r) },
	} {
		stored, err := b.Put(t.Context(), Key(i), wrap(bytes.NewReader(p)))
		if err != nil || stored != StoredOf(p) {
			t.Fatalf("reader %d: %d bytes, %v", i, stored.Size, err)
		}
		WantContent(t, b, Key(i), p)
	}
}

// hesitant is a reader that gives no byte every other time.
type hesitant struct {
	r     io.Reader
	ready bool
}

func (h *hesitant) Read(p []byte) (int, error) {
	h.ready = !h.ready
	if !h.ready {
		return 0, nil
	}
	return h.r.Read(p)
}

func testRanges(t *testing.T, b service.Blobs) {
	const size = 300_001
	p := Content(1, size)
	Put(t, b, Key(1), p)
	Put(t, b, Key(2), nil)
	for key, whole := range map[string][]byte{Key(1): p, Key(2): {}} {
		got, want := Open(t, b, key), bytes.NewReader(whole)
		for _, step := range []struct {
			offset int64
			whence int
			read   int
		}{
			{0, io.SeekEnd, 0},
			{0, io.SeekStart, 10},
			{0, io.SeekCurrent, 10},
			{100, io.SeekStart, 1000},
			{-50, io.SeekCurrent, 20},
			{1000, io.SeekCurrent, 100_000},
			{-1, io.SeekEnd, 1},
			{-1, io.SeekEnd, 100},
			{0, io.SeekEnd, 1},
			{1, io.SeekEnd, 1},
			{size + 1<<40, io.SeekStart, 1},
			{-1, io.SeekStart, 0},
			{-size - 1, io.SeekEnd, 0},
			{0, io.SeekStart, size},
			{0, io.SeekCurrent, 1},
		} {
			compareStep(t, got, want, step.offset, step.whence, step.read)
		}
	}
}

// compareStep does the same with got and want, and compares the outcomes.
func compareStep(t *testing.T, got, want io.ReadSeeker, offset int64, whence, read int) {
	t.Helper()
	gotAt, gotErr := got.Seek(offset, whence)
	wantAt, wantErr := want.Seek(offset, whence)
	if (gotErr == nil) != (wantErr == nil) || gotErr == nil && gotAt != wantAt {
		t.Fatalf("Seek(%d, %d) = %d, %v, want %d, %v", offset, whence, gotAt, gotErr, wantAt, wantErr)
	}
	gotP, wantP := make([]byte, read), make([]byte, read)
	gotN, gotErr := io.ReadFull(got, gotP)
	wantN, wantErr := io.ReadFull(want, wantP)
	if gotN != wantN || gotErr != wantErr || !bytes.Equal(gotP, wantP) {
		t.Fatalf("after Seek(%d, %d), read %d of %d, %v, want %d, %v", offset, whence, gotN, read, gotErr, wantN, wantErr)
	}
}

func testMissing(t *testing.T, b service.Blobs) {
	WantKeys(t, b)
	Put(t, b, Key(1), []byte("one"))
	r, err := b.Open(t.Context(), Key(2))
	WantCode(t, "Open of what never was", err, sluice.CodeNotFound)
	if r != nil {
		t.Error("Open failed and gave a reader")
	}
	if err := b.Remove(t.Context(), Key(2)); err != nil {
		t.Errorf("Remove of what never was: %v", err)
	}
	WantContent(t, b, Key(1), []byte("one"))
	for range 2 {
		if err := b.Remove(t.Context(), Key(1)); err != nil {
			t.Errorf("Remove: %v", err)
		}
		_, err = b.Open(t.Context(), Key(1))
		WantCode(t, "Open of what was removed", err, sluice.CodeNotFound)
	}
	WantNothing(t, b, Key(1))
}

func testSize(t *testing.T, b service.Blobs) {
	ctx := t.Context()
	for i, size := range []int{0, 1, 70_000} {
		key := Key(i)
		if _, err := b.Size(ctx, key); sluice.CodeOf(err) != sluice.CodeNotFound {
			t.Errorf("the size of what is missing: %v", err)
		}
		Put(t, b, key, Content(i, size))
		if got, err := b.Size(ctx, key); err != nil || got != int64(size) {
			t.Errorf("size %d, %v, want %d", got, err, size)
		}
		if err := b.Remove(ctx, key); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Size(ctx, key); sluice.CodeOf(err) != sluice.CodeNotFound {
			t.Errorf("the size of what was removed: %v", err)
		}
	}
	for _, key := range HostileKeys {
		if _, err := b.Size(ctx, key); sluice.CodeOf(err) != sluice.CodeValidation {
			t.Errorf("the size under %.40q: %v", key, err)
		}
	}
}

// Taken puts bytes under keys that are taken.
func Taken(t *testing.T, b service.Blobs) {
	for i, first := range [][]byte{Content(1, 300_000), {}} {
		Put(t, b, Key(i), first)
		stored, err := b.Put(t.Context(), Key(i), bytes.NewReader(Content(2, 400_000)))
		WantCode(t, "Put of a taken key", err, sluice.CodeConflict)
		if stored != (service.Stored{}) {
			t.Error("Put failed and says that it stored")
		}
		WantContent(t, b, Key(i), first)
	}
}

// SameKey puts many blobs under one key. Their readers end at the same moment.
func SameKey(t *testing.T, b service.Blobs) {
	const puts, rounds = 16, 12
	for round := range rounds {
		key := Key(round)
		outcomes := make([]error, puts)
		var all, read sync.WaitGroup
		read.Add(puts)
		for i := range puts {
			p := Content(i, 20_000+i)
			ending := ReaderFunc(func([]byte) (int, error) {
				read.Done()
				read.Wait()
				return 0, io.EOF
			})
			all.Go(func() {
				stored, err := b.Put(t.Context(), key, io.MultiReader(bytes.NewReader(p), ending))
				if err == nil && stored != StoredOf(p) {
					t.Errorf("Put %d says it stored other bytes", i)
				}
				outcomes[i] = err
			})
		}
		all.Wait()
		winner := WantOneWinner(t, outcomes)
		WantContent(t, b, key, Content(winner, 20_000+winner))
	}
	if got := len(Walk(t, b)); got != rounds {
		t.Errorf("Walk names %d keys, want %d", got, rounds)
	}
}

// WantOneWinner checks that one of many uploads succeeded and that the others are
// CodeConflict. It gives the index of the one.
func WantOneWinner(t *testing.T, outcomes []error) int {
	t.Helper()
	winner := -1
	for i, err := range outcomes {
		if err != nil {
			WantCode(t, "an upload that lost", err, sluice.CodeConflict)
			continue
		}
		if winner >= 0 {
			t.Errorf("uploads %d and %d of one key both succeeded", winner, i)
		}
		winner = i
	}
	if winner < 0 {
		t.Fatal("no upload succeeded")
	}
	return winner
}

func testManyKeys(t *testing.T, b service.Blobs) {
	const puts = 40
	var all sync.WaitGroup
	for i := range puts {
		all.Go(func() {
			p := Content(i, i*20_000)
			stored, err := b.Put(t.Context(), Key(i), bytes.NewReader(p))
			if err != nil || stored != StoredOf(p) {
				t.Errorf("Put %d: %d bytes, %v", i, stored.Size, err)
			}
		})
	}
	all.Wait()
	for i := range puts {
		WantContent(t, b, Key(i), Content(i, i*20_000))
	}
	if got := len(Walk(t, b)); got != puts {
		t.Errorf("Walk names %d keys, want %d", got, puts)
	}
}

// BrokenReader puts readers that break off.
func BrokenReader(t *testing.T, b service.Blobs) {
	n := 0
	for _, want := range []error{
		errors.New("the line is dead"),
		io.ErrUnexpectedEOF,
		fmt.Errorf("wrapped: %w", io.EOF),
		fmt.Errorf("spool: %w", syscall.ENOSPC),
		sluice.Errorf(sluice.CodeTooLarge, "enough"),
	} {
		for _, after := range []int{0, 1, 256 << 10, 700_000, 6 << 20} {
			n++
			r := io.MultiReader(bytes.NewReader(Content(n, after)), iotest.ErrReader(want))
			stored, err := b.Put(t.Context(), Key(1), r)
			if err != want {
				t.Errorf("after %d bytes: Put gives %v, want the reader's %v", after, err, want)
			}
			if stored != (service.Stored{}) {
				t.Errorf("after %d bytes: Put failed and says that it stored", after)
			}
			WantNothing(t, b, Key(1))
			if err := b.Remove(t.Context(), Key(1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ReaderFunc is a reader that is a function.
type ReaderFunc func([]byte) (int, error)

func (f ReaderFunc) Read(p []byte) (int, error) { return f(p) }

// Panic puts a reader that panics.
func Panic(t *testing.T, b service.Blobs) {
	func() {
		defer func() {
			if got := recover(); got != "reader" {
				t.Errorf("Put panics with %v, want what the reader panicked with", got)
			}
		}()
		failing := ReaderFunc(func([]byte) (int, error) { panic("reader") })
		b.Put(t.Context(), Key(1), io.MultiReader(bytes.NewReader(Content(1, 700_000)), failing))
	}()
	WantNothing(t, b, Key(1))
}

// Cancelled ends the context of Puts.
func Cancelled(t *testing.T, b service.Blobs) {
	p := Content(1, 24<<20)
	for _, after := range []int{0, 1, 256 << 10, 700_000, len(p)} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if after == 0 {
			cancel()
		}
		read := 0
		r := io.TeeReader(iotest.DataErrReader(bytes.NewReader(p)), WriterFunc(func(p []byte) (int, error) {
			if read += len(p); read >= after {
				cancel()
			}
			return len(p), nil
		}))
		_, err := b.Put(ctx, Key(1), r)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d bytes: Put gives %v", after, err)
		}
		if read == len(p) && after < len(p) {
			t.Errorf("cancelled after %d bytes: Put reads all the same", after)
		}
		WantNothing(t, b, Key(1))
		if err := b.Remove(t.Context(), Key(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// WriterFunc is a writer that is a function.
type WriterFunc func([]byte) (int, error)

func (f WriterFunc) Write(p []byte) (int, error) { return f(p) }

// StartPut starts a Put that has read p and waits for more. finish lets it end and
// gives its outcome.
func StartPut(t *testing.T, b service.Blobs, key string, p []byte) (finish func() error) {
	t.Helper()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := b.Put(t.Context(), key, r)
		r.CloseWithError(errors.New("Put returned"))
		done <- err
	}()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err, <-done)
	}
	return func() error {
		w.Close()
		return <-done
	}
}

func testHidden(t *testing.T, b service.Blobs) {
	p := Content(1, 700_000)
	finish := StartPut(t, b, Key(1), p)
	_, err := b.Open(t.Context(), Key(1))
	WantCode(t, "Open during a Put", err, sluice.CodeNotFound)
	WantKeys(t, b)
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	WantContent(t, b, Key(1), p)
	WantKeys(t, b, Key(1))
}

func testReadAfterRemove(t *testing.T, b service.Blobs) {
	p := Content(1, 9<<20)
	Put(t, b, Key(1), p)
	untouched, begun := Open(t, b, Key(1)), Open(t, b, Key(1))
	if _, err := io.CopyN(io.Discard, begun, 1000); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), Key(1)); err != nil {
		t.Fatal(err)
	}
	WantRest(t, begun, p[1000:])
	WantRest(t, untouched, p)
}

func testWalk(t *testing.T, b service.Blobs) {
	var want []string
	start := time.Now()
	for i := range 30 {
		Put(t, b, Key(i*37), Content(i, i))
		want = append(want, Key(i*37))
	}
	WantKeys(t, b, want...)
	const tolerance = 5 * time.Second // the clock of a store may be coarse, or another machine's
	err := b.Walk(t.Context(), func(key string, written time.Time) error {
		if written.Before(start.Add(-tolerance)) || written.After(time.Now().Add(tolerance)) {
			t.Errorf("%s was written at %v, says Walk; it is %v", key, written, time.Now())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testWalkEnds(t *testing.T, b service.Blobs) {
	for i := range 3 {
		Put(t, b, Key(i), nil)
	}
	want, calls := errors.New("enough"), 0
	err := b.Walk(t.Context(), func(string, time.Time) error {
		calls++
		return want
	})
	if err != want || calls != 1 {
		t.Errorf("Walk called fn %d times and gives %v, want once and fn's error", calls, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err = b.Walk(ctx, func(string, time.Time) error {
		calls++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls == 3 {
		t.Errorf("Walk called fn %d times and gives %v, want an end by the context", calls, err)
	}
}

func testWalkRemoves(t *testing.T, b service.Blobs) {
	remove := func(key string) error { return b.Remove(t.Context(), key) }
	for i := range 120 {
		Put(t, b, Key(i), nil)
	}
	if err := b.Walk(t.Context(), func(key string, _ time.Time) error { return remove(key) }); err != nil {
		t.Fatal(err)
	}
	WantKeys(t, b)

	var keys []string
	for i := range 5 {
		keys = append(keys, Key(i*100)) // Disk keeps them in one folder
		Put(t, b, keys[i], nil)
	}
	err := b.Walk(t.Context(), func(string, time.Time) error {
		for _, key := range keys {
			if err := remove(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("Walk while other keys go: %v", err)
	}
}

func testSweepSpares(t *testing.T, b service.Blobs) {
	p := Content(1, 700_000)
	Put(t, b, Key(1), p)
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep with nothing to do: %d, %v", n, err)
	}
	finish := StartPut(t, b, Key(2), p)
	if n, err := b.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep of an hour ago during a Put: %d, %v", n, err)
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	WantContent(t, b, Key(1), p)
	WantContent(t, b, Key(2), p)
}

func testHostileKeys(t *testing.T, b service.Blobs) {
	untouched := ReaderFunc(func([]byte) (int, error) {
		t.Error("Put read for a key that is none")
		return 0, io.EOF
	})
	for _, key := range HostileKeys {
		name := fmt.Sprintf("%.40q", key)
		_, err := b.Put(t.Context(), key, untouched)
		WantCode(t, "Put of "+name, err, sluice.CodeValidation)
		stage, err := b.Stage(t.Context(), key)
		WantCode(t, "Stage of "+name, err, sluice.CodeValidation)
		if stage != nil {
			t.Errorf("Stage of %s failed and gave a stage", name)
		}
		r, err := b.Open(t.Context(), key)
		WantCode(t, "Open of "+name, err, sluice.CodeValidation)
		if r != nil {
			t.Errorf("Open of %s failed and gave a reader", name)
		}
		WantCode(t, "Remove of "+name, b.Remove(t.Context(), key), sluice.CodeValidation)
		WantCode(t, "Discard of "+name, b.Discard(t.Context(), key), sluice.CodeValidation)
	}
	WantKeys(t, b)
	for _, prefix := range []string{"a", strings.Repeat("z", 32)} {
		Put(t, b, prefix+"_0123456789abcdefghijklmnop", nil)
		Put(t, b, prefix+"_qrstuvwxyz0123456789abcdef", nil)
	}
}

// Ready checks that Ready succeeds and leaves nothing.
func Ready(t *testing.T, b service.Blobs) {
	Put(t, b, Key(1), nil)
	if err := b.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	WantKeys(t, b, Key(1))
}

func testClaim(t *testing.T, b service.Blobs) {
	wantOwner(t, b, "")
	for _, id := range []string{"", "a b", "../x", strings.Repeat("a", 65), "é"} {
		WantCode(t, "Claim of "+id, b.Claim(t.Context(), id), sluice.CodeValidation)
	}
	wantOwner(t, b, "")
	Put(t, b, Key(1), Content(1, 10))
	for range 2 {
		if err := b.Claim(t.Context(), "0123456789abcdef"); err != nil {
			t.Fatalf("Claim: %v", err)
		}
		wantOwner(t, b, "0123456789abcdef")
	}
	WantCode(t, "Claim of a place that is another's", b.Claim(t.Context(), "another"), sluice.CodeConflict)
	wantOwner(t, b, "0123456789abcdef")
	WantKeys(t, b, Key(1))
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep after a Claim: %d, %v", n, err)
	}
	wantOwner(t, b, "0123456789abcdef")
}

func testClaims(t *testing.T, b service.Blobs) {
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = b.Claim(t.Context(), fmt.Sprint("claimant", i)) })
	}
	all.Wait()
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			wantOwner(t, b, fmt.Sprint("claimant", i))
			continue
		}
		WantCode(t, "a lost Claim", err, sluice.CodeConflict)
	}
	if winners != 1 {
		t.Errorf("%d of many claims succeeded, want 1", winners)
	}
}

func wantOwner(t *testing.T, b service.Blobs, want string) {
	t.Helper()
	if owner, err := b.Owner(t.Context()); owner != want || err != nil {
		t.Errorf("Owner gives %q, %v, want %q", owner, err, want)
	}
}

func testTrash(t *testing.T, b service.Blobs) {
	wantEmptied := func(before time.Time, want int) {
		t.Helper()
		if n, err := b.EmptyTrash(t.Context(), before); n != want || err != nil {
			t.Errorf("EmptyTrash: %d, %v, want %d", n, err, want)
		}
	}
	wantEmptied(time.Now().Add(time.Hour), 0)
	for i := range 3 {
		Put(t, b, Key(i), Content(i, 1000))
	}
	for range 2 { // the second time it is missing
		if err := b.Discard(t.Context(), Key(1)); err != nil {
			t.Fatalf("Discard: %v", err)
		}
	}
	_, err := b.Open(t.Context(), Key(1))
	WantCode(t, "Open of what was discarded", err, sluice.CodeNotFound)
	WantKeys(t, b, Key(0), Key(2))
	wantEmptied(time.Now().Add(-time.Hour), 0)
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep of a place with a trash: %d, %v", n, err)
	}
	wantEmptied(time.Now().Add(time.Hour), 1)
	wantEmptied(time.Now().Add(time.Hour), 0)
	WantContent(t, b, Key(0), Content(0, 1000))

	Put(t, b, Key(1), Content(1, 10)) // an operator brings it back; it is discarded again
	for _, key := range []string{Key(1), Key(2)} {
		if err := b.Discard(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	wantEmptied(time.Now().Add(time.Hour), 2)
	WantKeys(t, b, Key(0))
}
