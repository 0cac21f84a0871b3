package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"sluice"
	"sluice/internal/service"
)

// Place opens one place for bytes. Each call stands for another process.
type Place func() service.Blobs

// RunResume tests a place for bytes against the part of the contract that is about
// saved stages. open gives an empty place that nobody else uses.
func RunResume(t *testing.T, open func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Place)
	}{
		{"resumes in pieces", testResume},
		{"saves again and again", testSaves},
		{"resumes nothing that was not saved", testNotSaved},
		{"returns to the last save", testUnsavedBytes},
		{"resumes after a broken reader", testResumeAfterBreak},
		{"lets one of two save first", testTwoStages},
		{"lets one of two handles go on", testTwoHandles},
		{"lets one of two handles commit", testTwoCommits},
		{"lets one of many resume", testManyHandles},
		{"resumes nothing that was committed", testResumeCommitted},
		{"commits a saved stage of a taken key", testSavedTaken},
		{"aborts", testAbort},
		{"sweeps old stages", testSweepStages},
		{"refuses hostile keys", testResumeHostile},
		{"stays flat", testFlat},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Resume resumes a stage and ends it with the test.
func Resume(t *testing.T, b service.Blobs, key string) service.Stage {
	t.Helper()
	stage, err := b.Resume(t.Context(), key)
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	t.Cleanup(func() { stage.Close() })
	return stage
}

// Save saves a stage that holds p.
func Save(t *testing.T, stage service.Stage, p []byte) {
	t.Helper()
	if err := stage.Save(t.Context()); err != nil {
		t.Fatalf("Save: %v", err)
	}
	wantStored(t, "Stored", stage.Stored(), p)
}

func closeStage(t *testing.T, stage service.Stage) {
	t.Helper()
	if err := stage.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func wantResume(t *testing.T, b service.Blobs, key string, want sluice.Code) {
	t.Helper()
	stage, err := b.Resume(t.Context(), key)
	WantCode(t, "Resume", err, want)
	if err == nil {
		stage.Close()
	} else if stage != nil {
		t.Error("Resume failed and gave a stage")
	}
}

// WantSwept sweeps, and checks how many leftovers there were.
func WantSwept(t *testing.T, b service.Blobs, before time.Time, want int) {
	t.Helper()
	if n, err := b.Sweep(t.Context(), before); n != want || err != nil {
		t.Errorf("Sweep before %v: %d, %v, want %d", time.Until(before).Round(time.Hour), n, err, want)
	}
}

// testResume appends each piece in a process of its own.
func testResume(t *testing.T, open Place) {
	for i, size := range []int{0, 1, 600_001, 30 << 20} {
		p := Content(i, size)
		stage := Begin(t, open(), Key(i))
		n := 0
		for _, piece := range pieces(p) {
			Append(t, stage, int64(n), piece)
			n += len(piece)
			Save(t, stage, p[:n])
			WantKeys(t, open(), Walk(t, open())...)
			closeStage(t, stage)
			stage = Resume(t, open(), Key(i))
			wantStored(t, "Stored after Resume", stage.Stored(), p[:n])
			err := stage.Append(t.Context(), int64(n)+1, bytes.NewReader(nil))
			WantCode(t, "Append at a wrong offset", err, sluice.CodeConflict)
		}
		_, err := open().Open(t.Context(), Key(i))
		WantCode(t, "Open of a stage", err, sluice.CodeNotFound)
		Commit(t, stage, p)
		closeStage(t, stage)
		WantContent(t, open(), Key(i), p)
	}
	WantSwept(t, open(), time.Now().Add(service.StageAge+time.Hour), 0)
}

func testSaves(t *testing.T, open Place) {
	p := Content(1, 20<<20)
	stage := Begin(t, open(), Key(1))
	for n := 0; n < len(p); {
		piece := p[n:min(n+3_000_001, len(p))]
		Append(t, stage, int64(n), piece)
		n += len(piece)
		for range 2 {
			Save(t, stage, p[:n])
		}
	}
	Commit(t, stage, p)
	WantCode(t, "Save after Commit", stage.Save(t.Context()), sluice.CodeConflict)
	closeStage(t, stage)
	WantContent(t, open(), Key(1), p)
	WantSwept(t, open(), time.Now().Add(service.StageAge+time.Hour), 0)
}

func testNotSaved(t *testing.T, open Place) {
	b := open()
	wantResume(t, b, Key(1), sluice.CodeNotFound)
	stage := Begin(t, b, Key(1))
	Append(t, stage, 0, Content(1, 9<<20))
	wantResume(t, open(), Key(1), sluice.CodeNotFound)
	closeStage(t, stage)
	wantResume(t, b, Key(1), sluice.CodeNotFound)
	WantSwept(t, b, time.Now().Add(service.StageAge+time.Hour), 0)
	WantNothing(t, b, Key(1))
}

// testUnsavedBytes loses what came after a Save: bytes, and whole parts.
func testUnsavedBytes(t *testing.T, open Place) {
	p, lost := Content(1, 18<<20), Content(2, 20<<20)
	n := 0
	stage := Begin(t, open(), Key(1))
	for _, size := range []int{0, 1000, 8 << 20, 300_000, 9<<20 + 1} {
		Append(t, stage, int64(n), p[n:n+size])
		n += size
		Save(t, stage, p[:n])
		Append(t, stage, int64(n), lost[:size])
		closeStage(t, stage)
		stage = Resume(t, open(), Key(1))
		wantStored(t, "Stored after Resume", stage.Stored(), p[:n])
		Append(t, stage, int64(n), lost)
		closeStage(t, stage)
		stage = Resume(t, open(), Key(1))
		wantStored(t, "Stored after another Resume", stage.Stored(), p[:n])
	}
	Append(t, stage, int64(n), p[n:])
	Commit(t, stage, p)
	closeStage(t, stage)
	WantContent(t, open(), Key(1), p)
}

func testResumeAfterBreak(t *testing.T, open Place) {
	p, broken := Content(1, 12<<20), errors.New("the line is dead")
	stage := Begin(t, open(), Key(1))
	for _, n := range []int{1000, 9 << 20, 10<<20 + 1} {
		at := stage.Stored().Size
		r := io.MultiReader(bytes.NewReader(p[at:n]), iotest.ErrReader(broken))
		if err := stage.Append(t.Context(), at, r); err != broken {
			t.Fatalf("Append gives %v, want the reader's error", err)
		}
		Save(t, stage, p[:n])
		closeStage(t, stage)
		stage = Resume(t, open(), Key(1))
		wantStored(t, "Stored after Resume", stage.Stored(), p[:n])
	}
	Append(t, stage, stage.Stored().Size, p[stage.Stored().Size:])
	Commit(t, stage, p)
	WantContent(t, open(), Key(1), p)
}

// testTwoStages begins two stages under one key.
func testTwoStages(t *testing.T, open Place) {
	for i, size := range []int{1000, 9 << 20} {
		p := Content(i, size)
		first, second := Begin(t, open(), Key(i)), Begin(t, open(), Key(i))
		Append(t, first, 0, p)
		Append(t, second, 0, Content(99, size))
		Save(t, first, p)
		WantCode(t, "Save of another stage of the key", second.Save(t.Context()), sluice.CodeConflict)
		if err := second.Abort(t.Context()); err != nil {
			t.Errorf("Abort: %v", err)
		}
		closeStage(t, first)
		stage := Resume(t, open(), Key(i))
		Commit(t, stage, p)
		closeStage(t, stage)
		WantContent(t, open(), Key(i), p)
	}
	WantSwept(t, open(), time.Now().Add(service.StageAge+time.Hour), 0)
}

// testTwoHandles has a handle that another process took for dead write on: its
// bytes, of the same offsets, spoil nothing.
func testTwoHandles(t *testing.T, open Place) {
	for i, size := range []int{1000, 9 << 20, 20 << 20} {
		p := Content(i, 3*size)
		stage := Begin(t, open(), Key(i))
		Append(t, stage, 0, p[:size])
		Save(t, stage, p[:size])
		second, err := open().Resume(t.Context(), Key(i))
		if err != nil {
			WantCode(t, "Resume of a stage in use", err, sluice.CodeConflict)
			closeStage(t, stage)
			continue
		}
		Append(t, second, int64(size), p[size:2*size])
		_ = stage.Append(t.Context(), int64(size), bytes.NewReader(Content(99, size)))
		Save(t, second, p[:2*size])
		if err := stage.Save(t.Context()); err == nil {
			t.Error("both handles save")
		} else {
			WantCode(t, "Save by the handle that lost", err, sluice.CodeConflict)
		}
		if err := stage.Abort(t.Context()); err != nil { // ends nothing of the other handle
			t.Errorf("Abort by the handle that lost: %v", err)
		}
		Append(t, second, int64(2*size), p[2*size:])
		Commit(t, second, p)
		closeStage(t, second)
		WantContent(t, open(), Key(i), p)
	}
}

// testTwoCommits has a handle that another process took for dead commit.
func testTwoCommits(t *testing.T, open Place) {
	for i, size := range []int{1000, 9 << 20} {
		p := Content(i, 2*size)
		stage := Begin(t, open(), Key(i))
		Append(t, stage, 0, p[:size])
		Save(t, stage, p[:size])
		second, err := open().Resume(t.Context(), Key(i))
		if err != nil {
			WantCode(t, "Resume of a stage in use", err, sluice.CodeConflict)
			continue
		}
		Append(t, second, int64(size), p[size:])
		Save(t, second, p)
		_, err = stage.Commit(t.Context())
		WantCode(t, "Commit by the handle that lost", err, sluice.CodeConflict)
		if err := stage.Abort(t.Context()); err != nil { // ends nothing of the other handle
			t.Errorf("Abort by the handle that lost: %v", err)
		}
		Commit(t, second, p)
		closeStage(t, second)
		WantContent(t, open(), Key(i), p)
	}
}

// testManyHandles has many processes resume one stage, and then save at once.
// One wins. All of them have read the stage before the first writes, because
// the S3 server of the tests, with its attributes in files of their own, may give
// an old version with the ETag of the new one while that is written.
func testManyHandles(t *testing.T, open Place) {
	const handles = 8
	p := Content(1, 1000)
	stage := Begin(t, open(), Key(1))
	Append(t, stage, 0, p)
	Save(t, stage, p)
	closeStage(t, stage)
	outcomes := make([]error, handles)
	var all, resumed sync.WaitGroup
	resumed.Add(handles)
	for i := range handles {
		b := open()
		all.Go(func() {
			stage, err := b.Resume(t.Context(), Key(1))
			resumed.Done()
			resumed.Wait()
			if err == nil {
				defer stage.Close()
				err = stage.Append(t.Context(), int64(len(p)), bytes.NewReader(Content(i, 2000+i)))
			}
			if err == nil {
				err = stage.Save(t.Context())
			}
			outcomes[i] = err
		})
	}
	all.Wait()
	winner := WantOneWinner(t, outcomes)
	p = append(p, Content(winner, 2000+winner)...)
	stage = Resume(t, open(), Key(1))
	wantStored(t, "Stored", stage.Stored(), p)
	Commit(t, stage, p)
	WantContent(t, open(), Key(1), p)
}

func testResumeCommitted(t *testing.T, open Place) {
	p := Content(1, 1000)
	stage := Begin(t, open(), Key(1))
	Append(t, stage, 0, p)
	Save(t, stage, p)
	for range 2 {
		Commit(t, stage, p)
		wantResume(t, open(), Key(1), sluice.CodeConflict)
	}
	if err := stage.Abort(t.Context()); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	wantResume(t, open(), Key(1), sluice.CodeConflict)
	WantContent(t, open(), Key(1), p)
	if err := open().Remove(t.Context(), Key(1)); err != nil {
		t.Fatal(err)
	}
	wantResume(t, open(), Key(1), sluice.CodeNotFound)
}

func testSavedTaken(t *testing.T, open Place) {
	b, first := open(), Content(1, 1000)
	for i, size := range []int{10, 9 << 20} {
		p := Content(2, size)
		stage := Begin(t, b, Key(i))
		Append(t, stage, 0, p)
		Save(t, stage, p)
		Put(t, b, Key(i), first)
		_, err := stage.Commit(t.Context())
		WantCode(t, "Commit of a taken key", err, sluice.CodeConflict)
		if err := stage.Abort(t.Context()); err != nil {
			t.Errorf("Abort: %v", err)
		}
		WantContent(t, b, Key(i), first)
	}
	WantSwept(t, b, time.Now().Add(service.StageAge+time.Hour), 0)
}

func testAbort(t *testing.T, open Place) {
	b := open()
	for _, size := range []int{0, 1000, 9 << 20} {
		for _, saved := range []bool{false, true} {
			stage := Begin(t, b, Key(1))
			Append(t, stage, 0, Content(1, size))
			if saved {
				Save(t, stage, Content(1, size))
				closeStage(t, stage)
				stage = Resume(t, open(), Key(1))
			}
			for range 2 {
				if err := stage.Abort(t.Context()); err != nil {
					t.Errorf("Abort: %v", err)
				}
			}
			if err := stage.Append(t.Context(), int64(size), bytes.NewReader(nil)); err == nil {
				t.Error("Append succeeds after Abort")
			}
			wantResume(t, b, Key(1), sluice.CodeNotFound)
			WantSwept(t, b, time.Now().Add(service.StageAge+time.Hour), 0)
		}
	}
	WantNothing(t, b, Key(1))
}

func testSweepStages(t *testing.T, open Place) {
	b := open()
	sizes := []int{0, 1000, 9 << 20}
	for i, size := range sizes {
		stage := Begin(t, b, Key(i))
		Append(t, stage, 0, Content(i, size))
		Save(t, stage, Content(i, size))
		closeStage(t, stage)
	}
	for _, before := range []time.Duration{-time.Hour, time.Hour, service.StageAge - time.Hour} {
		WantSwept(t, b, time.Now().Add(before), 0)
	}
	for i, size := range sizes {
		stage := Resume(t, open(), Key(i))
		Append(t, stage, int64(size), []byte("and more"))
		Save(t, stage, append(Content(i, size), "and more"...))
		closeStage(t, stage)
	}
	WantKeys(t, b)
	WantSwept(t, b, time.Now().Add(service.StageAge+time.Hour), len(sizes))
	for i := range sizes {
		wantResume(t, b, Key(i), sluice.CodeNotFound)
	}
	WantSwept(t, b, time.Now().Add(service.StageAge+time.Hour), 0)
	WantNothing(t, b, Key(1))
}

func testResumeHostile(t *testing.T, open Place) {
	b := open()
	for _, key := range HostileKeys {
		stage, err := b.Resume(t.Context(), key)
		WantCode(t, fmt.Sprintf("Resume of %.40q", key), err, sluice.CodeValidation)
		if stage != nil {
			t.Errorf("Resume of %.40q failed and gave a stage", key)
		}
	}
}

// testFlat appends, saves and resumes more than a place may hold in memory.
func testFlat(t *testing.T, open Place) {
	const rounds, size, limit = 12, 12 << 20, 24 << 20
	piece := Content(1, size)
	b := open()
	stage := Begin(t, b, Key(1))
	Save(t, stage, nil)
	runtime.GC()
	before := heapBytes()
	for round := range rounds {
		at := int64(round * size)
		if err := stage.Append(t.Context(), at, bytes.NewReader(piece)); err != nil {
			t.Fatal(err)
		}
		if err := stage.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if grown := heapBytes() - before; runtime.GOOS == "linux" && grown > limit {
			t.Errorf("after %d MiB the heap has grown by %d bytes", (at+size)>>20, grown)
		}
		if round%3 == 2 {
			closeStage(t, stage)
			stage = Resume(t, b, Key(1))
		}
	}
	stored, err := stage.Commit(t.Context())
	if err != nil || stored != StoredOf(bytes.Repeat(piece, rounds)) {
		t.Errorf("Commit: %d bytes, %v", stored.Size, err)
	}
}

func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
