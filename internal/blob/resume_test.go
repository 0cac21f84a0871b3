package blob

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

func TestDiskResume(t *testing.T) {
	blobtest.RunResume(t, func(t *testing.T) blobtest.Place {
		dir := t.TempDir()
		return func() service.Blobs { return openDisk(t, dir) }
	})
}

func TestS3Resume(t *testing.T) {
	g := sharedGateway(t)
	blobtest.RunResume(t, func(t *testing.T) blobtest.Place {
		o := g.options(t)
		return func() service.Blobs { return mustOpenS3(t, o) }
	})
}

func TestCachedResume(t *testing.T) {
	blobtest.RunResume(t, func(t *testing.T) blobtest.Place {
		dir := t.TempDir()
		return func() service.Blobs { return Cached(openDisk(t, dir)) }
	})
}

// childStage has a child stage bytes, in a folder or on S3, and wait to be killed.
const childStage = "SLUICE_BLOB_TEST_STAGE"

var (
	childSaved   = blobtest.Content(1, 9<<20+5)
	childUnsaved = blobtest.Content(2, 20<<20)
)

// stagingChild saves childSaved, appends childUnsaved, and says so.
func stagingChild(dir string) error {
	b, err := childBlobs(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	stage, err := b.Stage(ctx, blobtest.Key(1))
	if err == nil {
		err = stage.Append(ctx, 0, bytes.NewReader(childSaved))
	}
	if err == nil {
		err = stage.Save(ctx)
	}
	if err == nil {
		err = stage.Append(ctx, int64(len(childSaved)), bytes.NewReader(childUnsaved))
	}
	if err != nil {
		return err
	}
	fmt.Println("appended")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return nil
}

func childBlobs(dir string) (service.Blobs, error) {
	if os.Getenv(childStage) == "disk" {
		return OpenDisk(dir)
	}
	var o S3Options
	if err := json.Unmarshal([]byte(os.Getenv(childStage)), &o); err != nil {
		return nil, err
	}
	return OpenS3(context.Background(), o)
}

// TestKilledInStage kills a process between Append and Commit. Another resumes at
// the last Save.
func TestKilledInStage(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		killedInStage(t, dir, "disk", func() service.Blobs { return openDisk(t, dir) })
	})
	t.Run("s3", func(t *testing.T) {
		o := sharedGateway(t).options(t)
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		killedInStage(t, t.TempDir(), string(text), func() service.Blobs { return mustOpenS3(t, o) })
	})
}

func killedInStage(t *testing.T, dir, where string, open func() service.Blobs) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childStage+"="+where)
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said := lines.Scan() && lines.Text() == "appended"
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !said {
		t.Fatalf("the child says %q", lines.Text())
	}

	blobtest.WantKeys(t, open())
	stage := blobtest.Resume(t, open(), blobtest.Key(1))
	if got := stage.Stored(); got != blobtest.StoredOf(childSaved) {
		t.Fatalf("%d bytes are saved, want %d", got.Size, len(childSaved))
	}
	more := blobtest.Content(3, 9<<20)
	blobtest.Append(t, stage, int64(len(childSaved)), more)
	p := slices.Concat(childSaved, more)
	blobtest.Commit(t, stage, p)
	blobtest.WantContent(t, open(), blobtest.Key(1), p)
	blobtest.WantSwept(t, open(), time.Now().Add(service.StageAge+time.Hour), 0)
}

// saved leaves a saved stage that holds p.
func saved(t *testing.T, b service.Blobs, key string, p []byte) {
	t.Helper()
	stage := blobtest.Begin(t, b, key)
	blobtest.Append(t, stage, 0, p)
	blobtest.Save(t, stage, p)
	if err := stage.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSaveSyncs holds Save to its order: bytes, record, and then names.
func TestSaveSyncs(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	key := blobtest.Key(12)
	var log []string
	d.sync = func(f *os.File) error {
		name, err := filepath.Rel(dir, f.Name())
		if filepath.Dir(name) == tempFolder || name == stageName(key) {
			name = "bytes"
		}
		log = append(log, name)
		return errors.Join(err, f.Sync())
	}
	check := func(doing string, want ...string) {
		t.Helper()
		if !slices.Equal(log, want) {
			t.Errorf("%s syncs %q, want %q", doing, log, want)
		}
		log = nil
	}
	record := stageName(key) + recordSuffix
	stage := blobtest.Begin(t, d, key)
	blobtest.Append(t, stage, 0, []byte("x"))
	check("Append")
	blobtest.Save(t, stage, []byte("x"))
	check("the first Save", "bytes", ".", record, stageFolder)
	blobtest.Save(t, stage, []byte("x"))
	check("the next Save", "bytes", record)
	blobtest.Commit(t, stage, []byte("x"))
	check("Commit", "bytes", ".", "12")
	wantNames(t, filepath.Join(dir, stageFolder))
}

// TestSaveFails fails at each Sync of a Save. What was saved before can be resumed.
func TestSaveFails(t *testing.T) {
	p := blobtest.Content(1, 1000)
	for _, first := range []bool{true, false} {
		for syncs := 1; syncs <= 4; syncs++ {
			for want, code := range map[error]sluice.Code{
				errors.New("broken"): sluice.CodeInternal,
				syscall.ENOSPC:       sluice.CodeStorageFull,
			} {
				d := openDisk(t, t.TempDir())
				if !first {
					saved(t, d, blobtest.Key(1), p[:500])
				}
				var stage service.Stage
				if first {
					stage = blobtest.Begin(t, d, blobtest.Key(1))
				} else {
					stage = blobtest.Resume(t, d, blobtest.Key(1))
				}
				blobtest.Append(t, stage, stage.Stored().Size, p[stage.Stored().Size:])
				n := 0
				d.sync = func(f *os.File) error {
					if n++; n == syncs {
						return want
					}
					return f.Sync()
				}
				err := stage.Save(t.Context())
				if n < syncs { // a later Save has two
					continue
				}
				if !errors.Is(err, want) || sluice.CodeOf(err) != code {
					t.Errorf("Save whose Sync %d fails: %v", syncs, err)
				}
				if err := stage.Append(t.Context(), 1000, bytes.NewReader(p)); !errors.Is(err, want) {
					t.Errorf("Append after it: %v", err)
				}
				stage.Close()
				if first {
					_, err := d.Resume(t.Context(), blobtest.Key(1))
					blobtest.WantCode(t, "Resume", err, sluice.CodeNotFound)
					blobtest.WantSwept(t, d, time.Now().Add(service.StageAge+time.Hour), 0)
				} else if size := blobtest.Resume(t, d, blobtest.Key(1)).Stored().Size; size != 500 && size != 1000 {
					t.Errorf("resumed at %d", size)
				}
			}
		}
	}
}

// TestTornSave damages the slot of the last Save, as a crash in its write may do.
func TestTornSave(t *testing.T) {
	dir, p := t.TempDir(), blobtest.Content(1, 3000)
	for saves := 1; saves <= 4; saves++ {
		d, key := openDisk(t, dir), blobtest.Key(saves)
		stage := blobtest.Begin(t, d, key)
		for n := range saves {
			blobtest.Append(t, stage, int64(n*500), p[n*500:(n+1)*500])
			blobtest.Save(t, stage, p[:(n+1)*500])
		}
		stage.Close()
		record, err := os.OpenFile(filepath.Join(dir, stageName(key)+recordSuffix), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer record.Close()
		if _, err := record.WriteAt([]byte("torn"), int64(saves%2)*slotSize+100); err != nil {
			t.Fatal(err)
		}
		if saves == 1 {
			_, err := d.Resume(t.Context(), key)
			blobtest.WantCode(t, "Resume without a record", err, sluice.CodeNotFound)
			continue
		}
		stage = blobtest.Resume(t, d, key)
		if want := p[:(saves-1)*500]; stage.Stored() != blobtest.StoredOf(want) {
			t.Errorf("resumed at %d, want %d", stage.Stored().Size, len(want))
		}
		blobtest.Append(t, stage, stage.Stored().Size, p[stage.Stored().Size:])
		blobtest.Commit(t, stage, p)
		blobtest.WantContent(t, d, key, p)
	}
}

// TestKilledInCommit leaves the names that a crash in Commit leaves.
func TestKilledInCommit(t *testing.T) {
	dir := t.TempDir()
	d, p, key := openDisk(t, dir), blobtest.Content(1, 1000), blobtest.Key(12)
	saved(t, d, key, p)
	if err := d.publish(stageName(key), key); err != nil {
		t.Fatal(err)
	}
	_, err := d.Resume(t.Context(), key)
	blobtest.WantCode(t, "Resume", err, sluice.CodeConflict)
	wantNames(t, filepath.Join(dir, stageFolder))
	blobtest.WantContent(t, d, key, p)
}

// TestStageCutShort takes bytes from a file behind the back of its record.
func TestStageCutShort(t *testing.T) {
	dir := t.TempDir()
	d, key := openDisk(t, dir), blobtest.Key(1)
	saved(t, d, key, blobtest.Content(1, 1000))
	if err := os.Truncate(filepath.Join(dir, stageName(key)), 999); err != nil {
		t.Fatal(err)
	}
	stage, err := d.Resume(t.Context(), key)
	if err == nil {
		t.Errorf("resumed at %d", stage.Stored().Size)
	}
}

// TestSweepSparesOpenStages sweeps while a handle is open, however old the stage.
func TestSweepSparesOpenStages(t *testing.T) {
	d, p := openDisk(t, t.TempDir()), blobtest.Content(1, 1000)
	saved(t, d, blobtest.Key(1), p)
	stage := blobtest.Resume(t, d, blobtest.Key(1))
	blobtest.WantSwept(t, d, time.Now().Add(service.StageAge+time.Hour), 0)
	blobtest.Commit(t, stage, p)
	blobtest.WantContent(t, d, blobtest.Key(1), p)
}

// TestS3ReservesParts sends more parts after a Save than a handle reserves at a
// time, and closes the stage. The next handle must use higher part numbers.
func TestS3ReservesParts(t *testing.T) {
	o := sharedGateway(t).options(t)
	open := func() *S3 {
		s := mustOpenS3(t, o)
		s.partSize, s.reservedParts = 5<<20, 2
		return s
	}
	p := blobtest.Content(1, 44<<20)
	stage := blobtest.Begin(t, open(), blobtest.Key(1))
	blobtest.Append(t, stage, 0, p[:1<<20])
	blobtest.Save(t, stage, p[:1<<20])
	blobtest.Append(t, stage, 1<<20, p[1<<20:])
	stage.Close()
	stage = blobtest.Resume(t, open(), blobtest.Key(1))
	size := int(stage.Stored().Size)
	if stage.Stored() != blobtest.StoredOf(p[:size]) || size <= 1<<20 {
		t.Fatalf("resumed at %d", size)
	}
	if next, sent := stage.(*s3Stage).upload.next, len(stage.(*s3Stage).upload.parts); next < sent+3 {
		t.Errorf("the next part is %d after %d parts on record", next, sent)
	}
	blobtest.Append(t, stage, int64(size), p[size:])
	blobtest.Commit(t, stage, p)
	blobtest.WantContent(t, open(), blobtest.Key(1), p)
	wantIdle(t, open())
}

// TestS3SaveAnswerLost breaks the connection before a Save arrives, and after it
// took effect.
func TestS3SaveAnswerLost(t *testing.T) {
	for _, size := range []int{1000, 9 << 20} {
		for _, applied := range []bool{false, true} {
			for _, times := range []int{1, attempts} {
				t.Run(fmt.Sprint(size, applied, times), func(t *testing.T) {
					var lost atomic.Int64
					lost.Store(int64(times))
					s := openSharedS3(t, sharedGateway(t), losing(&lost, applied))
					p := blobtest.Content(1, 2*size)
					saved(t, s, blobtest.Key(1), p[:size])
					lost.Store(0)
					stage := blobtest.Resume(t, s, blobtest.Key(1))
					err := stage.Append(t.Context(), int64(size), bytes.NewReader(p[size:]))
					if err == nil { // else it could not reserve part numbers
						err = stage.Save(t.Context())
					}
					if fails := !applied && times == attempts; fails != (sluice.CodeOf(err) == sluice.CodeUnavailable) {
						t.Errorf("Append and Save: %v", err)
					}
					stage.Close()
					stage = blobtest.Resume(t, s, blobtest.Key(1))
					at := int(stage.Stored().Size)
					if err == nil && at != 2*size || stage.Stored() != blobtest.StoredOf(p[:at]) {
						t.Errorf("resumed at %d", at)
					}
					blobtest.Append(t, stage, int64(at), p[at:])
					blobtest.Commit(t, stage, p)
					blobtest.WantContent(t, s, blobtest.Key(1), p)
					wantIdle(t, s)
				})
			}
		}
	}
}

// losing loses the answers to writes of a record until it has lost so many.
func losing(lost *atomic.Int64, applied bool) func(*s3.Options) {
	limit := lost.Load()
	return through(func(r *http.Request, send sender) (*http.Response, error) {
		if !isOperation(r, "PutObject") || filepath.Base(filepath.Dir(r.URL.Path)) != stageFolder || lost.Add(1) > limit {
			return send(r)
		}
		if applied {
			res, err := send(r)
			if err != nil {
				return nil, err
			}
			res.Body.Close()
		} else {
			r.Body.Close()
		}
		return nil, errors.New("connection reset by peer")
	})
}

// TestS3CommitAnswerLost loses every answer to the request that makes the bytes
// visible, and then the process.
func TestS3CommitAnswerLost(t *testing.T) {
	for operation, size := range map[string]int{"PutObject": 1000, "CompleteMultipartUpload": 9 << 20} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(operation, applied), func(t *testing.T) {
				o := sharedGateway(t).options(t)
				p := blobtest.Content(1, size)
				saved(t, mustOpenS3(t, o), blobtest.Key(1), p)
				s := mustOpenS3(t, o, through(func(r *http.Request, send sender) (*http.Response, error) {
					visible := filepath.Base(r.URL.Path) == blobtest.Key(1) && filepath.Base(filepath.Dir(r.URL.Path)) != stageFolder
					if !visible || r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
						return send(r)
					}
					if applied && isOperation(r, operation) {
						if res, err := send(r); err == nil {
							res.Body.Close()
						}
					}
					return nil, errors.New("connection reset by peer") // to HeadObject, too
				}))
				stage := blobtest.Resume(t, s, blobtest.Key(1))
				if _, err := stage.Commit(t.Context()); err == nil {
					t.Fatal("Commit succeeds")
				}
				stage.Close()
				stage, err := mustOpenS3(t, o).Resume(t.Context(), blobtest.Key(1))
				if applied {
					blobtest.WantCode(t, "Resume", err, sluice.CodeConflict)
				} else if err != nil {
					t.Fatal(err)
				} else {
					err := stage.Append(t.Context(), int64(size), bytes.NewReader(nil))
					blobtest.WantCode(t, "Append to a stage that is ending", err, sluice.CodeConflict)
					blobtest.Commit(t, stage, p)
				}
				blobtest.WantContent(t, mustOpenS3(t, o), blobtest.Key(1), p)
				blobtest.WantSwept(t, mustOpenS3(t, o), time.Now().Add(service.StageAge+time.Hour), 0)
			})
		}
	}
}
