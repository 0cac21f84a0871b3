package service_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/service"
)

// scrubbed is a fixture whose folder is claimed by its database.
type scrubbed struct{ *fixture }

func newScrubbed(t *testing.T) scrubbed {
	t.Helper()
	f := newFixture(t)
	f.config.Blobs = blob.Cached(f.base.Blobs)
	f.Service = f.withPurposes(nil)
	s := scrubbed{f}
	s.claim(s.installation())
	return s
}

func (s scrubbed) installation() (id string) {
	s.Helper()
	err := s.store.View(ctx, func(r service.Reader) (err error) {
		id, err = r.Installation()
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return id
}

func (s scrubbed) claim(id string) {
	s.Helper()
	if err := s.base.Blobs.Claim(ctx, id); err != nil {
		s.Fatal(err)
	}
}

func (s scrubbed) path(f sluice.File) string {
	return filepath.Join(s.base.Dir, "blobs", f.ID[len(f.ID)-2:], f.ID)
}

// pass advances the clock by a month, and reads all files.
func (s scrubbed) pass() (read int) {
	s.Helper()
	s.base.Clock.Advance(service.ScrubInterval)
	read, err := s.Scrub.Run(ctx, service.ScrubInterval)
	if err != nil {
		s.Fatal(err)
	}
	return read
}

// damage returns the entries of damaged files, as "file problem size sha256".
func (s scrubbed) damage() (lines []string) {
	s.Helper()
	for _, e := range s.base.Entries(s.T, s.ledger) {
		if e.Action != sluice.FileDamaged {
			continue
		}
		if e.Actor != (sluice.Actor{Type: sluice.ActorSystem, Name: "scrub"}) || e.File.Found == nil {
			s.Errorf("the entry is %+v", e)
			continue
		}
		size := "-"
		if found := e.File.Found; found.Size != nil {
			size = fmt.Sprint(*found.Size)
		}
		line := fmt.Sprintf("%s %s %s %.4s", e.File.ID, e.File.Found.Problem, size, e.File.Found.SHA256)
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func (s scrubbed) wantDamage(want ...string) {
	s.Helper()
	if got := s.damage(); !slices.Equal(got, want) {
		s.Errorf("the log has %q, want %q", got, want)
	}
}

func (s scrubbed) wantDamaged(want int64) {
	s.Helper()
	if err := s.Scrub.Watch(ctx); err != nil {
		s.Fatal(err)
	}
	state := s.Scrub.State()
	if state.Damaged != want || state.Share != 1 || !state.Completed.Equal(s.Now()) || state.Read == 0 {
		s.Errorf("the state is %+v, want %d damaged files", state, want)
	}
}

func (s scrubbed) write(f sluice.File, content string) {
	s.Helper()
	if err := errors.Join(os.RemoveAll(s.path(f)), os.WriteFile(s.path(f), []byte(content), 0o600)); err != nil {
		s.Fatal(err)
	}
}

// The scrub finds any damage of stored bytes, records it once and logs it, even if the original bytes are in the cache.
func TestScrubFindsDamage(t *testing.T) {
	const size = 5000
	content := strings.Repeat("x", size)
	flipped := func(place int) func(s scrubbed, f sluice.File) error {
		return func(s scrubbed, f sluice.File) error {
			b := []byte(content)
			b[place] ^= 1
			return os.WriteFile(s.path(f), b, 0o600)
		}
	}
	replaced := func(with func(path string) error) func(s scrubbed, f sluice.File) error {
		return func(s scrubbed, f sluice.File) error { return errors.Join(os.Remove(s.path(f)), with(s.path(f))) }
	}
	for name, c := range map[string]struct {
		damage func(s scrubbed, f sluice.File) error
		want   string
	}{
		"first byte": {flipped(0), "sha256 5000 6622"},
		"last byte":  {flipped(size - 1), "sha256 5000 48bf"},
		"cut":        {func(s scrubbed, f sluice.File) error { return os.Truncate(s.path(f), 17) }, "size 17"},
		"empty":      {func(s scrubbed, f sluice.File) error { return os.Truncate(s.path(f), 0) }, "size 0"},
		"grown":      {func(s scrubbed, f sluice.File) error { return os.Truncate(s.path(f), size+1) }, "size 5001"},
		"missing":    {func(s scrubbed, f sluice.File) error { return os.Remove(s.path(f)) }, "missing -"},
		"folder":     {replaced(func(path string) error { return os.Mkdir(path, 0o700) }), "unreadable -"},
		"symlink":    {replaced(func(path string) error { return os.Symlink("/etc/passwd", path) }), "unreadable -"},
		"dead link":  {replaced(func(path string) error { return os.Symlink("nowhere", path) }), "missing -"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScrubbed(t)
			good, f := s.upload("good"), s.upload(content)
			_, token := s.mint(f)
			if got, err := s.redeem(token); err != nil || got != content { // it is in memory now
				t.Fatal(err)
			}
			held := true
			if _, err := s.Files.Update(ctx, s.caller, f.ID, nil, service.FileChange{Held: &held}); err != nil {
				t.Fatal(err)
			}
			if n := s.pass(); n != 2 {
				t.Errorf("%d files were read", n)
			}
			s.wantDamage()
			s.wantDamaged(0)

			if err := c.damage(s, f); err != nil {
				t.Fatal(err)
			}
			want := f.ID + " " + c.want
			s.pass()
			s.wantDamage(want)
			s.wantDamaged(1)
			if !strings.Contains(s.base.Log.String(), "level=ERROR msg=\"a stored file is damaged\" file="+f.ID) {
				t.Error("the log does not name the file")
			}
			s.pass() // the same is found
			s.wantDamage(want)

			s.write(f, content[:3]) // something else is found
			s.pass()
			s.wantDamage(want, f.ID+" size 3")
			s.write(f, content)
			s.pass()
			s.wantDamage(want, f.ID+" size 3")
			s.wantDamaged(0)
			s.write(f, content[:3]) // the same as before, after a repair
			s.pass()
			s.wantDamage(want, f.ID+" size 3", f.ID+" size 3")
			s.write(good, "hood")
			s.pass()
			s.wantDamaged(2)
		})
	}
}

// watchedBlobs calls a function before each Open.
type watchedBlobs struct {
	service.Blobs
	before  func(key string) error
	content func(io.ReadSeekCloser) io.ReadSeekCloser
	down    error
}

func (b *watchedBlobs) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if b.before != nil {
		if err := b.before(key); err != nil {
			return nil, err
		}
	}
	content, err := b.Blobs.Open(ctx, key)
	if err == nil && b.content != nil {
		content = b.content(content)
	}
	return content, err
}

func (b *watchedBlobs) Ready(context.Context) error { return b.down }

func (s scrubbed) watch() *watchedBlobs {
	b := &watchedBlobs{Blobs: s.base.Blobs}
	s.config.Blobs = b
	s.Service = s.withPurposes(nil)
	return b
}

type brokenContent struct {
	io.ReadSeekCloser
	fail func() error
}

func (c brokenContent) Read([]byte) (int, error) { return 0, c.fail() }

// A file that is deleted before or while it is read is not damaged. Neither are bytes without a record.
func TestScrubSparesDeleted(t *testing.T) {
	s := newScrubbed(t)
	early, late := s.upload("deleted before it is opened"), s.upload("deleted while it is read")
	b := s.watch()
	remove := func(f sluice.File) {
		if _, err := s.Files.Delete(ctx, s.caller, f.ID, nil); err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
			t.Error(err)
		}
	}
	b.before = func(key string) error {
		b.content = nil
		if key == early.ID {
			remove(early)
		} else {
			b.content = func(c io.ReadSeekCloser) io.ReadSeekCloser {
				return brokenContent{c, func() error {
					remove(late)
					return sluice.Errorf(sluice.CodeNotFound, "no bytes are stored under this key")
				}}
			}
		}
		return nil
	}
	uncommitted := strings.NewReader("of an upload that is not committed")
	if _, err := b.Put(ctx, "file_"+strings.Repeat("0", 26), uncommitted); err != nil {
		t.Fatal(err)
	}
	if n := s.pass(); n != 2 {
		t.Errorf("%d files were read", n)
	}
	s.wantDamage()
	if strings.Contains(s.base.Log.String(), "damaged") {
		t.Error("damage was logged")
	}
}

// A pass continues where it was stopped, and does not read a file twice.
func TestScrubGoesOn(t *testing.T) {
	for _, stop := range []string{"stopped", "unavailable", "killed"} {
		t.Run(stop, func(t *testing.T) {
			s := newScrubbed(t)
			var files []sluice.File
			for i := range 6 {
				files = append(files, s.upload(fmt.Sprint("content ", i)))
			}
			s.write(files[1], "c")
			b := s.watch()
			var opened []string
			work, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			b.before = func(key string) error {
				opened = append(opened, key)
				if key != files[3].ID {
					return nil
				}
				switch stop {
				case "stopped":
					cancel(context.Canceled)
				case "killed":
					cancel(errors.New("killed"))
				default:
					b.down = sluice.Errorf(sluice.CodeUnavailable, "the store is made to fail")
				}
				return sluice.Errorf(sluice.CodeUnavailable, "the store is made to fail")
			}
			if n, err := s.Scrub.Run(work, service.ScrubInterval); n != 3 || err == nil {
				t.Errorf("%d files, %v", n, err)
			}
			s.wantDamage(files[1].ID + " size 1")
			opened, b.down, b.before = nil, nil, func(key string) error {
				opened = append(opened, key)
				return nil
			}
			s.Service = s.withPurposes(nil) // another process
			want := 3
			if stop == "killed" {
				want = 6
			}
			if n, err := s.Scrub.Run(ctx, service.ScrubInterval); n != want || err != nil {
				t.Errorf("%d files, %v", n, err)
			}
			if want == 3 && (len(opened) != 3 || opened[0] != files[3].ID) {
				t.Errorf("it went on with %q", opened)
			}
			s.wantDamage(files[1].ID + " size 1")
		})
	}
}

// A file that stays unavailable while others are available delays the scrub for a few minutes, not forever.
func TestScrubPassesUnavailable(t *testing.T) {
	s := newScrubbed(t)
	f, next := s.upload("content"), s.upload("more")
	b := s.watch()
	b.before = func(key string) error {
		if key == f.ID {
			return sluice.Errorf(sluice.CodeUnavailable, "the store is made to fail")
		}
		return nil
	}
	s.write(next, "less")
	for range 4 {
		if n, err := s.Scrub.Run(ctx, service.ScrubInterval); n != 0 || sluice.CodeOf(err) != sluice.CodeUnavailable {
			t.Errorf("%d files, %v", n, err)
		}
		s.wantDamage()
	}
	if n, err := s.Scrub.Run(ctx, service.ScrubInterval); n != 2 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
	if got := s.damage(); len(got) != 2 || got[0] != f.ID+" unreadable -" {
		t.Errorf("the log has %q", got)
	}
}

// losing is a Store that loses calls of Scrubbed, or their results.
type losing struct {
	service.Store
	applied bool
}

func (s losing) Scrubbed(ctx context.Context, p service.ScrubProgress, whole []service.WholeFile) error {
	var err error
	if s.applied {
		err = s.Store.Scrubbed(ctx, p, whole)
	}
	return errors.Join(err, errors.New("the store is made to fail"))
}

// Damage that was recorded before a kill is not recorded again, even if the result of the commit was lost.
func TestScrubRecordsOnce(t *testing.T) {
	s := newScrubbed(t)
	f := s.upload("content")
	s.write(f, "Content")
	want := f.ID + " sha256 7 47bd"
	for _, applied := range []bool{false, true} {
		s.config.Store = losing{s.store, applied}
		if _, err := s.withPurposes(nil).Scrub.Run(ctx, service.ScrubInterval); err == nil {
			t.Error("nothing failed")
		}
	}
	s.config.Store = s.store
	for _, fail := range []string{"after", "before"} {
		s.store.fail = fail
		if _, err := s.Scrub.Run(ctx, service.ScrubInterval); err == nil {
			t.Errorf("%s: nothing failed", fail)
		}
		s.store.fail = ""
	}
	if _, err := s.Scrub.Run(ctx, service.ScrubInterval); err != nil {
		t.Error(err)
	}
	s.wantDamage(want)
}

// If the files are looked for in the wrong place, nothing is recorded.
func TestScrubOfAnotherPlace(t *testing.T) {
	s := newScrubbed(t)
	f := s.upload("content")
	blobs, away := filepath.Join(s.base.Dir, "blobs"), t.TempDir()
	empty, err := blob.OpenDisk(away)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	for _, owner := range []string{"", "other"} {
		if owner != "" {
			if err := empty.Claim(ctx, owner); err != nil {
				t.Fatal(err)
			}
		}
		s.config.Blobs = empty
		_, err := s.withPurposes(nil).Scrub.Run(ctx, service.ScrubInterval)
		if err == nil || !strings.Contains(err.Error(), "no damage was recorded") {
			t.Errorf("%q: %v", owner, err)
		}
	}
	s.wantDamage()
	if n, err := s.Scrub.Run(ctx, service.ScrubInterval); n != 1 || err != nil {
		t.Errorf("%s: %d files of %s, %v", f.ID, n, blobs, err)
	}
	s.wantDamage()
}

// A pass begins once in an interval, even if the clock is set.
func TestScrubIsDue(t *testing.T) {
	const day = 24 * time.Hour
	s := newScrubbed(t)
	s.upload("content")
	for i, c := range []struct {
		advance time.Duration
		read    int
	}{
		{0, 1}, {0, 0}, {29 * day, 0}, {day, 1}, {0, 0},
		{100 * 365 * day, 1}, {0, 0}, // the clock is set forth,
		{-100 * 365 * day, 1}, {0, 0}, // and back
		{29 * day, 0}, {day, 1},
	} {
		s.base.Clock.Advance(c.advance)
		if n, err := s.Scrub.Run(ctx, service.ScrubInterval); n != c.read || err != nil {
			t.Errorf("step %d: %d files, %v, want %d", i, n, err, c.read)
		}
	}
	if n, err := s.Scrub.Run(ctx, time.Hour); n != 0 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
	s.base.Clock.Advance(time.Hour)
	if n, err := s.Scrub.Run(ctx, time.Hour); n != 1 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
}

// The scrub stores the CRC-32 of undamaged files that lack it.
func TestScrubFillsChecksums(t *testing.T) {
	s := newScrubbed(t)
	s.base.Tampered = true // the entries of its files do not describe them
	made := 0
	older := func(content string) sluice.File {
		f := s.upload(content)
		made++
		f.ID, f.CRC32 = fmt.Sprintf("file_%026d", made), nil
		if _, err := s.base.Blobs.Put(ctx, f.ID, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		err := s.store.Update(ctx, s.ledger, func(tx service.Tx) error {
			return tx.CreateFile(f, sluice.Entry{
				ID: "aud_" + f.ID, Ledger: s.ledger, Time: s.Now(), Action: sluice.FileCreated, Outcome: sluice.Allowed,
				Actor: sluice.Actor{Type: sluice.ActorCLI}, File: &sluice.FilePart{ID: f.ID},
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	var files []sluice.File
	content := func(i int) string { return strings.Repeat("content", i) } // the first file is empty
	for i := range 120 {
		files = append(files, older(content(i)))
	}
	damaged := older("damaged")
	s.write(damaged, "Damaged")
	s.pass()
	for i, f := range files {
		kept, err := s.Files.Get(ctx, s.caller, f.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := crc32.ChecksumIEEE([]byte(content(i))); kept.CRC32 == nil || *kept.CRC32 != want {
			t.Errorf("file %d: CRC-32 %v, want %d", i, kept.CRC32, want)
		}
		if kept.Version() != f.Version() {
			t.Errorf("file %d has another version", i)
		}
	}
	if kept, err := s.Files.Get(ctx, s.caller, damaged.ID); err != nil || kept.CRC32 != nil {
		t.Errorf("the damaged file has CRC-32 %v, %v", kept.CRC32, err)
	}
}

// The scrub spreads its work over the interval, within bounds.
func TestScrubSpeed(t *testing.T) {
	const tb, day = 1e12, 24 * time.Hour
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		done, all float64
		at        time.Duration
		want      float64
	}{
		"all of it":               {0, 20 * tb, 0, 20 * tb / (30 * 86400)},
		"half of it, in time":     {10 * tb, 20 * tb, 15 * day, 20 * tb / (30 * 86400)},
		"half of it, late":        {10 * tb, 20 * tb, 20 * day, 30 * tb / (30 * 86400)},
		"little":                  {0, tb / 1000, 0, 2 << 20},
		"more than was counted":   {30 * tb, 20 * tb, day, 2 << 20},
		"too much":                {0, 1000 * tb, 0, 32 << 20},
		"after its time":          {0, 20 * tb, 31 * day, 32 << 20},
		"a clock that was set":    {0, 20 * tb, -1000 * day, 20 * tb / (30 * 86400)},
		"a clock that was set on": {0, 20 * tb, 1000 * day, 32 << 20},
	} {
		p := service.ScrubProgress{Running: true, Began: began, Bytes: int64(c.done), OfBytes: int64(c.all)}
		got := float64(p.Speed(began.Add(c.at), service.ScrubInterval))
		if got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("%s: %.0f bytes a second, want %.0f", name, got, c.want)
		}
	}
}

// A pass keeps its pace.
func TestScrubPace(t *testing.T) {
	s := newScrubbed(t)
	s.upload(strings.Repeat("0123456789abcdef", 6<<20/16))
	began := time.Now()
	if n := s.pass(); n != 1 {
		t.Errorf("%d files were read", n)
	}
	if took := time.Since(began); took < 900*time.Millisecond { // 6 MiB at 2 MiB/s, 2 s ahead
		t.Errorf("6 MiB were read in %v", took)
	}
}
