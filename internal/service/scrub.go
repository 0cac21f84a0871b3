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

// Scrub reads the stored bytes of all files, and compares them with the records.
type Scrub struct {
	*core
	blobs Blobs
	watch scrubWatch
}

// StoredFile is an active file. Found is the damage that is noted for its bytes, "" for none.
type StoredFile struct {
	sluice.File
	Found string
}

// WholeFile is a file whose bytes are undamaged.
type WholeFile struct {
	ID    string
	CRC32 uint32
}

// ScrubProgress is the progress of the scrub. It reads the files in the order of their ids, one pass after the other.
type ScrubProgress struct {
	Running   bool      // a pass has begun and has not ended
	Began     time.Time // when the newest pass began
	Completed time.Time // when the last complete pass ended; zero if there was none
	After     string    // id of the last file that the newest pass has read
	Files     int64     // files that it has read
	Bytes     int64     // bytes that it has read
	OfFiles   int64     // files that there were when it began
	OfBytes   int64     // bytes that there were when it began
}

const (
	// ScrubInterval is the default duration of a pass of the scrub, and the default time between the beginnings of two
	// passes.
	ScrubInterval = 30 * 24 * time.Hour

	// The scrub reads between minScrub and maxScrub bytes per second: between 5 TB and 85 TB a month.
	minScrub = 2 << 20
	maxScrub = 32 << 20

	// scrubFileCost is the cost of opening a file, in bytes read.
	scrubFileCost = 16 << 10
	scrubChunk    = 256 << 10
	scrubPage     = 200 // files in one query
	// The scrub saves its progress after scrubSave, or after scrubWhole files whose record changes.
	scrubSave  = 10 * time.Second
	scrubWhole = 50
	// scrubTries is the number of consecutive calls of Run that fail at a file that is unavailable, while the others
	// are available, before the file is considered unreadable.
	scrubTries = 5
	// scrubSlack limits how much lost time the scrub may make up.
	scrubSlack = 2 * time.Second
)

// due reports whether a pass is running or the next one is due. A clock that was set back does not delay the next pass.
func (p ScrubProgress) due(now time.Time, interval time.Duration) bool {
	return p.Running || p.Began.IsZero() || now.Before(p.Began) || !now.Before(p.Began.Add(interval))
}

// speed is the number of bytes to read per second, so that the pass takes an interval.
func (p ScrubProgress) speed(now time.Time, interval time.Duration) int64 {
	left := min(max(p.Began.Add(interval).Sub(now), time.Second), max(interval, time.Second)) // in case a clock was set
	rest := p.OfBytes - p.Bytes + (p.OfFiles-p.Files)*scrubFileCost
	return min(max(int64(float64(rest)/left.Seconds()), minScrub), maxScrub)
}

// share is the part of the newest pass that is done, from 0 to 1.
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

// ScrubState is the progress of the scrub, and what it has found.
type ScrubState struct {
	Damaged   int64     // active files that are noted as damaged
	Share     float64   // part of the newest pass that is done, from 0 to 1
	Completed time.Time // when the last complete pass ended; zero if there was none
	Read      int64     // bytes that this process has read
}

// scrubWatch is what Watch has seen, and the file at which Run failed last.
type scrubWatch struct {
	mu       sync.Mutex
	state    ScrubState
	file     string
	failures int
}

// failed counts a failure at a file, and returns the number of consecutive failures at that file.
func (w *scrubWatch) failed(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != id {
		w.file, w.failures = id, 0
	}
	w.failures++
	return w.failures
}

// Watch reads the progress of the scrub. Every process calls it about once a minute. State returns what it saw last.
func (s *Scrub) Watch(ctx context.Context) error {
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
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	s.watch.state.Damaged, s.watch.state.Share, s.watch.state.Completed = damaged, p.share(), p.Completed
	return nil
}

// State returns what Watch saw last.
func (s *Scrub) State() ScrubState {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.state
}

func (s *Scrub) countRead(n int64) {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	s.watch.state.Read += n
}

// Run reads the bytes of all active files and compares them with the records, in constant memory, at a pace at which a
// pass takes an interval. It continues where an earlier Run of any process stopped, and returns when the pass or ctx
// has ended. Before the next pass is due it does nothing. It returns the number of files that it has read. One of
// several processes should call it; two do no harm.
//
// Bytes that are missing or damaged are noted and recorded as FileDamaged, once for as long as the damage is the same.
// If the files cannot be reached at all, Run fails and notes nothing.
func (s *Scrub) Run(ctx context.Context, interval time.Duration) (read int, err error) {
	run := scrubRun{scrub: s, interval: interval, stored: s.blobs}
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

// errScrubNotSaved means that the progress could not be saved.
var errScrubNotSaved = errors.New("the progress of the scrub was not saved")

// scrubRun is one call of Run.
type scrubRun struct {
	scrub    *Scrub
	stored   Blobs // without the cache
	interval time.Duration
	progress ScrubProgress
	whole    []WholeFile // undamaged files that are not saved yet
	saved    time.Time
	pace     pacer
	read     int
	buf      []byte
}

// begin begins a pass. It counts the files and bytes that the pass has to read.
func (r *scrubRun) begin(ctx context.Context) error {
	p := ScrubProgress{Running: true, Began: r.scrub.now(), Completed: r.progress.Completed}
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
	err = r.scrub.store.View(ctx, func(reader Reader) (err error) {
		files, err = reader.FilesAfter(after, scrubPage)
		return err
	})
	return files, err
}

// all reads the rest of a pass.
func (r *scrubRun) all(ctx context.Context) error {
	r.buf = make([]byte, scrubChunk)
	for r.saved = time.Now(); ; {
		page, err := r.page(ctx, r.progress.After)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			r.progress.Running, r.progress.Completed = false, r.scrub.now()
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

// save saves the progress of the pass.
func (r *scrubRun) save(ctx context.Context) error {
	if err := r.scrub.store.Scrubbed(ctx, r.progress, r.whole); err != nil {
		return fmt.Errorf("%w: %w", errScrubNotSaved, err)
	}
	r.whole, r.saved = r.whole[:0], time.Now()
	return nil
}

// stop saves the progress of a pass that is interrupted, unless another process has taken over: then that one saves it.
func (r *scrubRun) stop(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && cause != context.Canceled {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return r.save(ctx)
}

// file reads one file, and notes the result.
func (r *scrubRun) file(ctx context.Context, f StoredFile) error {
	if f.Created.After(r.progress.Began) && !f.Created.After(r.scrub.now()) {
		return nil // its bytes were hashed when they were uploaded, after the pass began
	}
	found, sum, err := r.inspect(ctx, f.File)
	if found != nil && err == nil { // again, in case the failure was transient
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
		r.scrub.log.Info("a damaged file is whole again", "file", f.ID, "ledger", f.Ledger.String())
	}
	r.read++
	r.progress.Files++
	r.progress.Bytes += f.Size
	return nil
}

// inspect compares the bytes of a file with its record. It fails if the store of the bytes cannot be reached, or if the
// file is unavailable for now.
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
		if sluice.CodeOf(err) == sluice.CodeUnavailable && r.scrub.watch.failed(f.ID) < scrubTries {
			return nil, 0, err
		}
		r.scrub.log.Error("the bytes of a file cannot be read", "file", f.ID, "error", err)
		return &sluice.FoundPart{Problem: sluice.BytesUnreadable}, 0, nil
	}
	return found, sum, nil
}

func (r *scrubRun) compare(
	ctx context.Context, f sluice.File, content io.ReadSeeker,
) (_ *sluice.FoundPart, sum uint32, err error) {
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
	if size != f.Size { // it was truncated meanwhile
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
	p.run.scrub.countRead(int64(n))
	if err == nil {
		err = p.run.wait(p.ctx, int64(n))
	}
	return n, err
}

func (r *scrubRun) wait(ctx context.Context, cost int64) error {
	return r.pace.pay(ctx, cost, r.progress.speed(r.scrub.now(), r.interval))
}

// damaged records damage that is not recorded yet. A file that was deleted meanwhile is not damaged.
func (r *scrubRun) damaged(ctx context.Context, f sluice.File, found sluice.FoundPart) error {
	s := r.scrub
	if err := r.checkOwner(ctx); err != nil {
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
		s.log.Error("a stored file is damaged",
			"file", f.ID, "ledger", f.Ledger.String(), "problem", string(found.Problem))
	}
	return err
}

// checkOwner fails if the bytes are looked for in the wrong place, such as a folder on which nothing is mounted. Then
// no file is missing.
func (r *scrubRun) checkOwner(ctx context.Context) error {
	var id string
	err := r.scrub.store.View(ctx, func(reader Reader) (err error) {
		id, err = reader.Installation()
		return err
	})
	if err != nil {
		return err
	}
	owner, err := r.stored.Owner(ctx)
	if err == nil && owner != id {
		err = fmt.Errorf("the files belong to installation %q, and the database to %q: no damage was recorded",
			owner, id)
	}
	return err
}

// pacer spreads work over time. It uses the monotonic clock.
type pacer struct{ until time.Time }

// pay waits until work of a cost may be done. The speed is the cost per second.
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
