package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
	"sluice/internal/syscalltest"
)

// childSteps has a child take all steps of diskSteps.
const childSteps = "SLUICE_BLOB_TEST_STEPS"

func init() { children[childSteps] = takeSteps }

// diskStep is a use of a Disk. One that failed is tried again.
type diskStep struct {
	name string
	do   func(ctx context.Context, d *Disk) error
}

const stepOwner = "ins01"

var (
	stepPut, stepRemoved      = blobtest.Key(11), blobtest.Key(12)
	stepStaged, stepDiscarded = blobtest.Key(13), blobtest.Key(14)

	stepContent = blobtest.Content(7, 300_000)
)

// diskSteps use every method of a Disk.
var diskSteps = []diskStep{
	{"claim", func(ctx context.Context, d *Disk) error { return d.Claim(ctx, stepOwner) }},
	{"put", func(ctx context.Context, d *Disk) error { return putStep(ctx, d, stepPut) }},
	{"put to remove", func(ctx context.Context, d *Disk) error { return putStep(ctx, d, stepRemoved) }},
	{"put to discard", func(ctx context.Context, d *Disk) error { return putStep(ctx, d, stepDiscarded) }},
	{"stage", func(ctx context.Context, d *Disk) error { return stageStep(ctx, d) }},
	{"resume", func(ctx context.Context, d *Disk) error { return resumeStep(ctx, d) }},
	{"read", func(ctx context.Context, d *Disk) error { return readStep(ctx, d, stepPut) }},
	{"size", func(ctx context.Context, d *Disk) error {
		_, err := d.Present(ctx, []string{stepPut, stepStaged})
		return err
	}},
	{"remove", func(ctx context.Context, d *Disk) error { return d.Remove(ctx, stepRemoved) }},
	{"discard", func(ctx context.Context, d *Disk) error { return d.Discard(ctx, stepDiscarded) }},
	{"walk", func(ctx context.Context, d *Disk) error {
		return d.Walk(ctx, func(string, time.Time) error { return nil })
	}},
	{"ready", func(ctx context.Context, d *Disk) error { return d.Ready(ctx) }},
	{"sweep", func(ctx context.Context, d *Disk) error {
		_, err := d.Sweep(ctx, time.Now().Add(time.Hour))
		return err
	}},
	{"empty trash", func(ctx context.Context, d *Disk) error {
		_, err := d.EmptyTrash(ctx, time.Now().Add(time.Hour))
		return err
	}},
	{"release", func(ctx context.Context, d *Disk) error { return d.Release(ctx, stepOwner) }},
}

// putStep puts bytes. A second try may find those of the first one.
func putStep(ctx context.Context, d *Disk, key string) error {
	_, err := d.Put(ctx, key, bytes.NewReader(stepContent))
	if sluice.CodeOf(err) == sluice.CodeConflict {
		return readStep(ctx, d, key)
	}
	return err
}

func readStep(ctx context.Context, d *Disk, key string) error {
	f, err := d.Open(ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(got, stepContent) {
		err = errors.New("other bytes than were put")
	}
	return err
}

// stageStep saves half of the bytes.
func stageStep(ctx context.Context, d *Disk) error {
	st, err := d.Stage(ctx, stepStaged)
	if err != nil {
		return err
	}
	for _, at := range []int{0, 100_000} {
		if err == nil {
			err = st.Append(ctx, int64(at), bytes.NewReader(stepContent[at:at+100_000]))
		}
		if err == nil {
			err = st.Save(ctx)
		}
	}
	if sluice.CodeOf(err) == sluice.CodeConflict {
		err = nil // the first try was saved
	}
	return errors.Join(err, st.Close())
}

// resumeStep goes on where the last Save was, or from the beginning when the first one failed.
func resumeStep(ctx context.Context, d *Disk) error {
	st, err := d.Resume(ctx, stepStaged)
	switch sluice.CodeOf(err) {
	case sluice.CodeNotFound:
		return putStep(ctx, d, stepStaged)
	case sluice.CodeConflict:
		return readStep(ctx, d, stepStaged)
	}
	if err != nil {
		return err
	}
	at := st.Stored().Size
	err = st.Append(ctx, at, bytes.NewReader(stepContent[at:]))
	if err == nil {
		_, err = st.Commit(ctx)
	}
	if sluice.CodeOf(err) == sluice.CodeConflict {
		err = readStep(ctx, d, stepStaged)
	}
	return errors.Join(err, st.Close())
}

// takeSteps takes the steps, and prints what each try gave.
func takeSteps(dir string) error {
	ctx := context.Background()
	d, err := OpenDisk(dir)
	if err != nil {
		return err
	}
	for _, step := range diskSteps {
		for range 2 {
			err := step.do(ctx, d)
			fmt.Printf("%s: %v\n", step.name, err)
			if err == nil {
				break
			}
		}
	}
	return d.Close()
}

// simpleName gives one name to the files that are named by chance.
func simpleName(path string) string {
	return regexp.MustCompile(`[A-Z2-7]{26}`).ReplaceAllString(path, "RANDOM")
}

// traceSteps runs the steps in a child with a call that fails, and returns what it prints.
func traceSteps(
	t *testing.T, dir string, call syscalltest.Call, how syscalltest.Fault,
) (r syscalltest.Result, out string) {
	t.Helper()
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childSteps+"="+dir)
	cmd.Stdout, cmd.Stderr = said, said
	r, err = syscalltest.Tracing{Cmd: cmd, Below: filepath.Dir(dir), Simplify: simpleName, Fail: call, How: how}.Run()
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
		t.Skipf("this test traces a process: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, readFile(t, said.Name())
}

// TestFaults fails the system calls of all methods, each once and in two ways: it has no effect, or it has one but the
// system says that it failed. No method tells of a success that it had not, the same call succeeds when it is made
// again, and nothing is left but the bytes that were put.
//
// It fails the first call of each kind that changes something. SLUICE_LONG=1 fails all calls; docs/faults.md has the
// results.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("traces a process for each fault, which takes minutes under the race detector")
	}
	recorded, out := traceSteps(t, filepath.Join(t.TempDir(), "blobs"), syscalltest.Call{}, syscalltest.Fault{})
	if recorded.Code != 0 || len(recorded.Calls) < 100 {
		t.Fatalf("exit code %d after %d calls: %s", recorded.Code, len(recorded.Calls), out)
	}
	faults := 0
	for _, call := range recorded.Calls {
		for _, how := range []syscalltest.Fault{{Errno: syscall.EIO}, {Errno: syscall.ENOSPC, Applied: true}} {
			if syscalltest.Skip(call, how) {
				continue
			}
			faults++
			t.Run(fmt.Sprint(call, how), func(t *testing.T) { failStep(t, call, how) })
		}
	}
	t.Logf("%d faults in %d calls", faults, len(recorded.Calls))
}

func failStep(t *testing.T, call syscalltest.Call, how syscalltest.Fault) {
	dir := filepath.Join(t.TempDir(), "blobs")
	r, out := traceSteps(t, dir, call, how)
	if !r.Failed {
		t.Fatal("the call was not made")
	}
	if strings.Contains(out, "goroutine ") || r.Code < 0 {
		t.Fatalf("it ends with %d: %s", r.Code, out)
	}
	d := openDisk(t, dir)
	if r.Code == 0 {
		for _, step := range diskSteps {
			if !strings.Contains(out, step.name+": <nil>\n") {
				t.Errorf("the second try fails as well: %s", out)
			}
		}
		for _, key := range []string{stepPut, stepStaged} {
			blobtest.WantContent(t, d, key, stepContent)
		}
		blobtest.WantKeys(t, d, stepPut, stepStaged)
		for _, key := range []string{stepRemoved, stepDiscarded} {
			_, err := d.Open(t.Context(), key)
			blobtest.WantCode(t, "Open of what was removed", err, sluice.CodeNotFound)
		}
		if owner, err := d.Owner(t.Context()); owner != "" || err != nil {
			t.Errorf("the owner after Release is %q, %v", owner, err)
		}
		if _, err := d.EmptyTrash(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Sweep(t.Context(), time.Now().Add(2*service.StageAge)); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{tempFolder, stageFolder, trashFolder} {
		if folder != trashFolder || r.Code == 0 {
			wantNames(t, filepath.Join(dir, folder))
		}
	}
	for _, step := range diskSteps {
		if err := step.do(t.Context(), d); err != nil {
			t.Errorf("%s in a later run: %v", step.name, err)
		}
	}
}
