package service

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// StoredFile is an active file, and what is noted as found in place of its
// bytes: "" for a file that is not known to be damaged.
type StoredFile struct {
	sluice.File
	Found string
}

// WholeFile is a file whose bytes were found as they should be.
type WholeFile struct {
	ID    string
	CRC32 uint32
}

// ScrubProgress is how far the scrub has come. It reads the files in the order
// of their ids, in one pass after the other.
type ScrubProgress struct {
	Running   bool      // a pass has begun and has not ended
	Began     time.Time // the newest pass
	Completed time.Time // the newest pass that came to its end; zero: none did
	After     string    // id of the last file that the newest pass has read
	Files     int64     // that it has read
	Bytes     int64
	OfFiles   int64 // that there were when it began
	OfBytes   int64
}

const (
	// ScrubInterval is how long a pass of the scrub takes, and the time from the
	// beginning of one to that of the next, where nothing else is set.
	ScrubInterval = 30 * 24 * time.Hour

	// The scrub reads at least minScrub and at most maxScrub bytes a second. At the
	// least, 5 TB take a month; at the most, 85 TB do.
	minScrub = 2 << 20
	maxScrub = 32 << 20

	// scrubFileCost is what opening a file counts for, in bytes.
	scrubFileCost = 16 << 10
	scrubChunk    = 256 << 10
	scrubPage     = 200 // files that the store is asked for at a time
	// The scrub notes how far it has come after scrubSave, or scrubWhole files of
	// which there is something to note.
	scrubSave  = 10 * time.Second
	scrubWhole = 50
	// scrubTries is how many calls of Scrub in turn fail at one file that is
	// unavailable, while others are not, before it is unreadable.
	scrubTries = 5
	// scrubSlack is how far the scrub may run ahead of its pace.
	scrubSlack = 2 * time.Second
)

// due reports whether there is something to read at a moment. A clock that was
// set back does not keep the scrub from its work.
func (p ScrubProgress) due(now time.Time, interval time.Duration) bool {
	return p.Running || p.Began.IsZero() || now.Before(p.Began) || !now.Before(p.Began.Add(interval))
}

// speed is how many bytes a second are read, so that the pass ends when an
// interval has passed since it began.
func (p ScrubProgress) speed(now time.Time, interval time.Duration) int64 {
	left := min(max(p.Began.Add(interval).Sub(now), time.Second), max(interval, time.Second)) // clocks are set
	rest := p.OfBytes - p.Bytes + (p.OfFiles-p.Files)*scrubFileCost
	return min(max(int64(float64(rest)/left.Seconds()), minScrub), maxScrub)
}

// share is how much of the newest pass is done, from 0 to 1.
func (p ScrubProgress) share() float64 {
	done, all := p.Bytes+p.Files*scrubFileCost, p.OfBytes+p.OfFiles*scrubFileCost
	switch {
	case p.Began.IsZero():
		return 0
	case !p.Running || all == 0:
		return 1
	}
	return min(1, float64(done)/float64(all))
}

// ScrubState is how far the scrub has come, and what it has found.
type ScrubState struct {
	Damaged   int64     // active files that are noted as damaged
	Share     float64   // of the newest pass that is done, from 0 to 1
	Completed time.Time // when the newest pass ended that came to its end; zero: none did
	Read      int64     // bytes that this process has read
}

// scrubWatch is what WatchScrub has seen, and the file at which Scrub failed last.
type scrubWatch struct {
	mu       sync.Mutex
	state    ScrubState
	file     string
	failures int
}

// failed counts a failure at a file, and says how many there were in turn.
func (w *scrubWatch) failed(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != id {
		w.file, w.failures = id, 0
	}
	w.failures++
	return w.failures
}

// WatchScrub looks at how far the scrub has come. Every process calls it now and
// then; ScrubState says what it saw last.
func (s *Service) WatchScrub(ctx context.Context) error {
	var damaged int64
	var p ScrubProgress
	err := s.store.View(ctx, func(r Reader) (err error) {
		if damaged, err = r.DamagedFiles(); err != nil {
			return err
		}
		p, err = r.ScrubProgress()
		return err
	})
	if err != nil {
		return err
	}
	s.scrub.mu.Lock()
	defer s.scrub.mu.Unlock()
	s.scrub.state.Damaged, s.scrub.state.Share, s.scrub.state.Completed = damaged, p.share(), p.Completed
	return nil
}

// ScrubState says what WatchScrub saw last.
func (s *Service) ScrubState() ScrubState {
	s.scrub.mu.Lock()
	defer s.scrub.mu.Unlock()
	return s.scrub.state
}

func (s *Service) countRead(n int64) {
	s.scrub.mu.Lock()
	defer s.scrub.mu.Unlock()
	s.scrub.state.Read += n
}

// Scrub reads the bytes of every active file and compares them with the record,
// in constant memory, at a pace by which a pass takes an interval. It goes on
// where an earlier Scrub stopped, in this process or another, returns when the
// pass has ended or ctx does, and does nothing before the next pass is due. It
// says how many files it has read. Of several processes one should run it; two
// do no harm.
//
// Bytes that are missing or not those that were uploaded are noted and recorded
// as FileDamaged, once for as long as the same is found. Where the files cannot
// be reached at all, Scrub fails and notes nothing.
func (s *Service) Scrub(ctx context.Context, interval time.Duration) (read int, err error) {
	run := scrubRun{service: s, interval: interval, stored: s.blobs}
	if c, ok := s.blobs.(Cache); ok {
		run.stored = c.Uncached()
	}
	err = s.store.View(ctx, func(r Reader) (err error) {
		run.progress, err = r.ScrubProgress()
		return err
	})
	if err != nil || !run.progress.due(s.now(), interval) {
		return 0, err
	}
	if !run.progress.Running {
		if err := run.begin(ctx); err != nil {
			return 0, err
		}
	}
	if err = run.all(ctx); err != nil && !errors.Is(err, errScrubNotSaved) {
		err = errors.Join(err, run.stop(ctx))
	}
	return run.read, err
}

// errScrubNotSaved says that what was read could not be noted.
var errScrubNotSaved = errors.New("the progress of the scrub was not noted")

// scrubRun is one Scrub.
type scrubRun struct {
	service  *Service
	stored   Blobs // not from memory
	interval time.Duration
	progress ScrubProgress
	whole    []WholeFile // that are to be noted
	saved    time.Time
	pace     pacer
	read     int
	buf      []byte
}

// begin counts what a new pass has to read.
func (r *scrubRun) begin(ctx context.Context) error {
	p := ScrubProgress{Running: true, Began: r.service.now(), Completed: r.progress.Completed}
	for after := ""; ; {
		page, err := r.page(ctx, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			p.OfFiles++
			p.OfBytes += f.Size
			after = f.ID
		}
	}
	r.progress = p
	return r.save(ctx)
}

func (r *scrubRun) page(ctx context.Context, after string) (files []StoredFile, err error) {
	err = r.service.store.View(ctx, func(reader Reader) (err error) {
		files, err = reader.FilesAfter(after, scrubPage)
		return err
	})
	return files, err
}

// all reads what is left of a pass.
func (r *scrubRun) all(ctx context.Context) error {
	r.buf = make([]byte, scrubChunk)
	for r.saved = time.Now(); ; {
		page, err := r.page(ctx, r.progress.After)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			r.progress.Running, r.progress.Completed = false, r.service.now()
			return r.save(ctx)
		}
		for _, f := range page {
			if err := r.file(ctx, f); err != nil {
				return fmt.Errorf("file %s: %w", f.ID, err)
			}
			r.progress.After = f.ID
			if time.Since(r.saved) < scrubSave && len(r.whole) < scrubWhole {
				continue
			}
			if err := r.save(ctx); err != nil {
				return err
			}
		}
	}
}

// save notes how far the pass has come.
func (r *scrubRun) save(ctx context.Context) error {
	if err := r.service.store.Scrubbed(ctx, r.progress, r.whole); err != nil {
		return fmt.Errorf("%w: %w", errScrubNotSaved, err)
	}
	r.whole, r.saved = r.whole[:0], time.Now()
	return nil
}

// stop notes how far a pass has come that is to go on later. Where ctx was ended
// because another process has taken over, that one notes it.
func (r *scrubRun) stop(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && cause != context.Canceled {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return r.save(ctx)
}

// file reads one file, and notes what it found.
func (r *scrubRun) file(ctx context.Context, f StoredFile) error {
	if f.Created.After(r.progress.Began) && !f.Created.After(r.service.now()) {
		return nil // its bytes were hashed when it came, after the pass began
	}
	found, sum, err := r.inspect(ctx, f.File)
	if found != nil && err == nil { // twice, so that a passing failure is none
		found, sum, err = r.inspect(ctx, f.File)
	}
	if err != nil {
		return err
	}
	if found != nil {
		if err := r.damaged(ctx, f.File, *found); err != nil {
			return err
		}
	} else if f.CRC32 == nil || f.Found != "" {
		r.whole = append(r.whole, WholeFile{ID: f.ID, CRC32: sum})
	}
	if found == nil && f.Found != "" {
		r.service.log.Info("a damaged file is whole again", "file", f.ID, "ledger", f.Ledger.String())
	}
	r.read++
	r.progress.Files++
	r.progress.Bytes += f.Size
	return nil
}

// inspect compares the bytes of a file with its record. It fails where the place
// of the bytes cannot be reached, or the file cannot be read for now.
func (r *scrubRun) inspect(ctx context.Context, f sluice.File) (found *sluice.FoundPart, sum uint32, err error) {
	if err := r.wait(ctx, scrubFileCost); err != nil {
		return nil, 0, err
	}
	content, err := r.stored.Open(ctx, f.ID)
	if err == nil {
		defer content.Close()
		found, sum, err = r.compare(ctx, f, content)
	}
	switch {
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return &sluice.FoundPart{Problem: sluice.BytesMissing}, 0, nil
	case err != nil:
		if down := r.stored.Ready(ctx); down != nil {
			return nil, 0, errors.Join(err, down)
		}
		if sluice.CodeOf(err) == sluice.CodeUnavailable && r.service.scrub.failed(f.ID) < scrubTries {
			return nil, 0, err
		}
		r.service.log.Error("the bytes of a file cannot be read", "file", f.ID, "error", err)
		return &sluice.FoundPart{Problem: sluice.BytesUnreadable}, 0, nil
	}
	return found, sum, nil
}

func (r *scrubRun) compare(ctx context.Context, f sluice.File, content io.ReadSeeker) (_ *sluice.FoundPart, sum uint32, err error) {
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, err
	}
	if size != f.Size {
		return &sluice.FoundPart{Problem: sluice.WrongSize, Size: &size}, 0, nil
	}
	digest, check := sha256.New(), crc32.NewIEEE()
	size, err = io.CopyBuffer(io.MultiWriter(digest, check), &paced{ctx, r, io.LimitReader(content, f.Size)}, r.buf)
	if err != nil {
		return nil, 0, err
	}
	if size != f.Size { // it was cut meanwhile
		return &sluice.FoundPart{Problem: sluice.WrongSize, Size: &size}, 0, nil
	}
	if got := sluice.Digest(digest.Sum(nil)); got != f.SHA256 {
		return &sluice.FoundPart{Problem: sluice.WrongDigest, Size: &size, SHA256: got.String()}, 0, nil
	}
	return nil, check.Sum32(), nil
}

// paced reads at the pace of the pass.
type paced struct {
	ctx context.Context
	run *scrubRun
	r   io.Reader
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.run.service.countRead(int64(n))
	if err == nil {
		err = p.run.wait(p.ctx, int64(n))
	}
	return n, err
}

func (r *scrubRun) wait(ctx context.Context, cost int64) error {
	return r.pace.pay(ctx, cost, r.progress.speed(r.service.now(), r.interval))
}

// damaged records damage that is not recorded yet. A file that was deleted
// meanwhile is not damaged.
func (r *scrubRun) damaged(ctx context.Context, f sluice.File, found sluice.FoundPart) error {
	s := r.service
	if err := r.placeIsOurs(ctx); err != nil {
		return err
	}
	by := system(f.Ledger, "scrub")
	err := s.changeBySystem(ctx, by, func(tx Tx, now time.Time) error {
		e := s.entry(by, sluice.FileDamaged, now)
		e.File = audit.FilePart(f)
		e.File.Found = &found
		return tx.FileDamaged(f.ID, audit.FoundText(found), e)
	})
	if sluice.CodeOf(err) == sluice.CodeNotFound { // deleted, or recorded before
		return nil
	}
	if err == nil {
		s.log.Error("a stored file is damaged", "file", f.ID, "ledger", f.Ledger.String(), "problem", string(found.Problem))
	}
	return err
}

// placeIsOurs fails where the bytes are looked for in the wrong place, such as a
// folder on which nothing is mounted: no file is missing then.
func (r *scrubRun) placeIsOurs(ctx context.Context) error {
	var id string
	err := r.service.store.View(ctx, func(reader Reader) (err error) {
		id, err = reader.Installation()
		return err
	})
	if err != nil {
		return err
	}
	owner, err := r.stored.Owner(ctx)
	if err == nil && owner != id {
		err = fmt.Errorf("the files belong to installation %q, and the database to %q: no damage was recorded", owner, id)
	}
	return err
}

// pacer spreads work over time. It goes by this machine's own measure of time,
// which nobody sets.
type pacer struct{ until time.Time }

// pay waits until work of a cost may be done at a speed, in cost a second.
func (p *pacer) pay(ctx context.Context, cost, speed int64) error {
	now := time.Now()
	if earliest := now.Add(-scrubSlack); p.until.Before(earliest) {
		p.until = earliest
	}
	p.until = p.until.Add(time.Duration(float64(cost) / float64(speed) * float64(time.Second)))
	if !p.until.After(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(p.until.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
