package blob

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
	"sluice/internal/service"
)

// putMark is the metadata that holds the random mark of a stage. By it a stage
// recognises its own object when the answer to Commit was lost.
const putMark = "sluice-put"

// Put stores all of r under key. It is Stage, Append and Commit in one call.
func (s *S3) Put(ctx context.Context, key string, r io.Reader) (service.Stored, error) {
	return put(ctx, s, key, r)
}

// s3Stage is a stage whose bytes are in memory until they fill a part, and
// then in a multipart upload.
type s3Stage struct {
	progress
	s3   *S3
	key  string
	mark string

	held   *buffer // takes the next bytes; nil before the first
	n      int     // bytes in held
	upload *upload // nil before the first part

	record  *stageRecord // as it is on the server; nil before the first Save
	tag     *string      // of the record
	entered bool         // a record is on the server, or may be
	beaten  bool         // another handle has the stage

	life context.Context // ends when a part has failed, and with the stage
	end  context.CancelFunc
}

// Stage begins a stage. Nothing is sent before a part is full or Commit is
// called: what fits in one part is stored by a single request, more by a
// multipart upload of which two parts are sent at a time.
//
// A part has 8 MiB, and 128 MiB beyond the first 8,000 MiB of a file. All stages
// together have eight buffers for parts of 8 MiB and one for parts of 128 MiB. A
// stage needs one when it holds more than 256 KiB that were not sent. If none is
// free, Append waits for one before it reads on, until its ctx ends. A stage keeps
// its buffer until Commit or Close, so it must not stay open while nothing comes.
//
// A key of the wrong form is CodeValidation.
func (s *S3) Stage(ctx context.Context, key string) (service.Stage, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return s.newStage(ctx, key), nil
}

func (s *S3) newStage(ctx context.Context, key string) *s3Stage {
	st := &s3Stage{s3: s, key: key, mark: rand.Text(), progress: progress{sums: newSums()}}
	st.life, st.end = context.WithCancel(context.WithoutCancel(ctx))
	return st
}

// Append reads r only in the caller's goroutine, so that a panic of r unwinds
// through the caller. ctx is checked before each Read of r; it does not interrupt
// a Read that blocks. Parts that are full are sent while Append reads on, and
// after it has returned.
func (st *s3Stage) Append(ctx context.Context, offset int64, r io.Reader) error {
	if err := st.appendable(offset); err != nil {
		return err
	}
	going, stop := st.during(ctx)
	defer stop()
	var err error
	for err == nil {
		err = st.fill(going, r)
	}
	if err == io.EOF {
		return nil
	}
	return st.failed(ctx, err)
}

// fill reads r into the buffer, until that is full or r ends.
func (st *s3Stage) fill(ctx context.Context, r io.Reader) error {
	if err := st.makeRoom(ctx); err != nil {
		return err
	}
	room := st.held.bytes[st.n:]
	n, err := readChunk(ctx, r, room)
	st.sums.add(room[:n])
	st.n += n
	return err
}

// makeRoom gives the stage a buffer with room. A full small buffer is moved to
// a part's; a full part is sent.
func (st *s3Stage) makeRoom(ctx context.Context) error {
	if st.held == nil {
		st.held = st.s3.smallBuffer()
	}
	if st.n < len(st.held.bytes) {
		return nil
	}
	if len(st.held.bytes) == smallSize {
		part, err := st.s3.buffer(ctx, st.nextPart())
		if err != nil {
			return err
		}
		copy(part.bytes, st.held.bytes)
		st.held.free()
		st.held = part
		return nil
	}
	if err := st.send(ctx); err != nil {
		return err
	}
	st.held = st.s3.smallBuffer()
	return nil
}

// send hands the held bytes to the upload, and begins the upload first if there
// is none.
func (st *s3Stage) send(ctx context.Context) error {
	if st.upload == nil {
		u, err := st.begin(ctx)
		if err != nil {
			return err
		}
		st.upload = u
	}
	if err := st.reserve(ctx); err != nil {
		return err
	}
	if err := st.upload.send(ctx, st.held, st.n); err != nil {
		return err
	}
	st.held, st.n = nil, 0
	return nil
}

// nextPart is the number of the next part.
func (st *s3Stage) nextPart() int {
	switch {
	case st.upload != nil:
		return st.upload.next
	case st.record != nil:
		return st.record.Next
	}
	return 1
}

// during gives a context that ends with ctx and with the life of the stage.
func (st *s3Stage) during(ctx context.Context) (context.Context, func()) {
	going, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(st.life, cancel)
	return going, func() { stop(); cancel() }
}

// failed gives the reason why a call on the stage failed with err: the caller's
// ctx, a part that could not be sent, or err itself.
func (st *s3Stage) failed(ctx context.Context, err error) error {
	part := st.upload.failure()
	if part != nil {
		st.broken = s3Error(context.WithoutCancel(ctx), "store an object", part)
	}
	switch {
	case ctx.Err() != nil && (err == nil || endedBy(err)):
		return ctx.Err()
	case part != nil:
		return st.broken
	}
	return err
}

// Commit makes the bytes visible as an object. A taken key is CodeConflict. A
// request under way has five more seconds to end when ctx ends. When the server
// cannot be reached, what was begun is left to Sweep; if it cannot be asked
// whether the last request took effect either, Commit fails and the bytes may be
// visible.
func (st *s3Stage) Commit(ctx context.Context) (service.Stored, error) {
	if st.committed {
		return st.Stored(), nil
	}
	if err := st.usable(); err != nil {
		return service.Stored{}, err
	}
	st.ending = true
	if err := st.makeVisible(ctx); err != nil {
		return service.Stored{}, err
	}
	st.committed = true
	st.freeHeld()
	if st.record != nil { // what cannot be removed is left to Resume and Sweep
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		_ = st.s3.removeObject(ending, st.s3.stageName(st.key))
	}
	return st.Stored(), nil
}

// makeVisible stores the object. The record of a saved stage says so first, so
// that no other handle goes on.
func (st *s3Stage) makeVisible(ctx context.Context) error {
	if err := st.sendAll(ctx); err != nil {
		return err
	}
	if st.record != nil {
		if err := st.save(ctx, true); err != nil {
			return err
		}
	}
	if st.upload == nil {
		return st.storeWhole(ctx)
	}
	return st.store(ctx, askTimeout+time.Duration(st.sums.size/joining)*time.Second, st.upload.complete)
}

// storeWhole stores bytes that fit in one request.
func (st *s3Stage) storeWhole(ctx context.Context) error {
	var b []byte
	if st.held != nil {
		b = st.held.bytes[:st.n]
	}
	return st.store(ctx, timeToSend(len(b)), func(ctx context.Context) error {
		_, err := st.s3.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &st.s3.bucket, Key: st.s3.name(st.key), IfNoneMatch: aws.String("*"),
			Body: newBody(b), ContentLength: aws.Int64(int64(len(b))), Metadata: map[string]string{putMark: st.mark},
		}, signed)
		return err
	})
}

// sendAll sends the last bytes of an upload in parts, and returns when no part is
// under way.
func (st *s3Stage) sendAll(ctx context.Context) error {
	if st.upload == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, st.end)
	defer stop()
	going, cancel := st.during(ctx)
	defer cancel()
	if st.n > 0 {
		if err := st.send(going); err != nil {
			return st.failed(ctx, err)
		}
	}
	return st.settle(ctx)
}

// store does what makes the bytes visible. When the answer is lost or doubtful,
// it asks the object itself whose it is. A refusal because the key is taken is
// CodeConflict only if the object of another is seen: a server also refuses the
// repetition of a write that it did not answer, or that it is still busy with.
func (st *s3Stage) store(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	outliving, cancel := outlive(ctx, limit)
	defer cancel()
	err := do(outliving)
	if err == nil {
		return nil
	}
	switch taken := isTaken(err); st.whose(ctx, taken) {
	case ours:
		return nil
	case another:
		if taken {
			return sluice.Errorf(sluice.CodeConflict, keyTaken)
		}
	case unknown:
		if taken && ctx.Err() == nil {
			return &sluice.Error{
				Code: sluice.CodeUnavailable, Detail: "the store that keeps the bytes of files cannot tell what it has",
				RetryAfter: retryAfter, Err: fmt.Errorf("store an object: %w", err),
			}
		}
	}
	return s3Error(ctx, "store an object", err)
}

// owner says whose the object under a key is.
type owner int

const (
	unknown owner = iota // nobody's, or the server does not say
	ours
	another
)

// whose asks for the object under the key. With wait, it asks again until there
// is one, for five seconds at most.
func (st *s3Stage) whose(ctx context.Context, wait bool) owner {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	for {
		head, err := st.s3.client.HeadObject(asking, &s3.HeadObjectInput{
			Bucket: &st.s3.bucket, Key: st.s3.name(st.key),
		})
		switch {
		case err == nil && head.Metadata[putMark] == st.mark && aws.ToInt64(head.ContentLength) == st.sums.size:
			return ours
		case err == nil:
			return another
		case !wait:
			return unknown
		}
		select {
		case <-time.After(askPause):
		case <-asking.Done():
			return unknown
		}
	}
}

// askPause lies between two questions for an object that a server is busy with.
const askPause = 100 * time.Millisecond

// Close waits until no part is under way, and ends the upload unless it was
// committed, or may be on record.
func (st *s3Stage) Close() error {
	if st.closed {
		return nil
	}
	st.closed = true
	st.end()
	if st.upload != nil {
		st.upload.sending.Wait()
		if !st.committed && !st.upload.recorded {
			st.upload.abort()
		}
	}
	st.freeHeld()
	return nil
}

func (st *s3Stage) freeHeld() {
	if st.held != nil {
		st.held.free()
		st.held = nil
	}
}
