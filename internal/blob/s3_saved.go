package blob

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice"
	"sluice/internal/service"
)

const (
	// reservedParts is how many part numbers a handle on a saved stage reserves at
	// a time. A handle that ended without a Save wastes them. With parts of 8 MiB
	// they are the 256 MiB of which service.Stage.Save speaks.
	reservedParts = 32

	// maxRecord is the largest record of a saved stage, in bytes. A record with
	// 10,000 parts has some 700 KiB.
	maxRecord = 4 << 20
)

// stageRecord is how far a saved stage has come. It is kept in an object named by
// the key below staged/: four bytes with the length of the record, the record as
// JSON, and then the tail, the bytes that fill no part yet.
//
// Every write of the object replaces the version that the writer knows, by its
// ETag. So of two handles one loses: it writes no record and commits nothing.
// Before a handle sends parts, it raises Next beyond their numbers. The next
// handle begins there, so that a late part of the first one replaces no part
// that counts.
type stageRecord struct {
	Turn   string       `json:"turn"` // random, so that no two versions have one ETag
	Mark   string       `json:"mark"` // of the object to be
	Upload string       `json:"upload,omitempty"`
	Parts  []stagedPart `json:"parts,omitempty"`
	Next   int          `json:"next"` // the first part number that no handle has reserved
	Tail   int          `json:"tail"` // bytes
	Ending bool         `json:"ending,omitempty"`
	Sums   savedSums    `json:"sums"`
}

type stagedPart struct {
	Number int32  `json:"n"`
	ETag   string `json:"etag"`
}

func (s *S3) stageName(key string) *string { return s.name(stageFolder + "/" + key) }

// Save waits until no part is under way, and then writes record and tail in one
// request. A Save after few bytes writes the tail of up to one part again.
func (st *s3Stage) Save(ctx context.Context) error {
	if err := st.savable(); err != nil {
		return err
	}
	if err := st.settle(ctx); err != nil {
		return err
	}
	return st.save(ctx, false)
}

// settle returns when no part is under way. The end of ctx ends the stage: parts
// that cannot be sent soon are given up.
func (st *s3Stage) settle(ctx context.Context) error {
	if st.upload != nil {
		stop := context.AfterFunc(ctx, st.end)
		defer stop()
		st.upload.sending.Wait()
	}
	return st.failed(ctx, ctx.Err())
}

// save records all bytes of the stage.
func (st *s3Stage) save(ctx context.Context, ending bool) error {
	r := stageRecord{Mark: st.mark, Next: 1, Tail: st.n, Ending: ending}
	if st.upload != nil {
		r.Upload, r.Parts, r.Next = *st.upload.id, st.upload.staged(), st.upload.next
	}
	var err error
	if r.Sums, err = st.sums.save(); err != nil {
		return err
	}
	return st.write(ctx, r)
}

// reserve reserves the numbers of the next parts of a saved stage. What was saved
// stays as it is, as long as no part was sent since; then all is saved.
func (st *s3Stage) reserve(ctx context.Context) error {
	if st.record == nil || st.upload.next < st.record.Next {
		return nil
	}
	r := *st.record
	if len(st.upload.parts) > len(r.Parts) {
		if err := st.settle(ctx); err != nil {
			return err
		}
		var err error
		if r.Sums, err = st.sums.save(); err != nil {
			return err
		}
		r.Parts, r.Tail = st.upload.staged(), st.n
	}
	r.Upload, r.Next = *st.upload.id, st.upload.next+st.s3.reservedParts
	return st.write(ctx, r)
}

// write replaces the record, and the tail by the first bytes of the buffer. When
// the answer is lost, it asks whose record is there.
func (st *s3Stage) write(ctx context.Context, r stageRecord) error {
	r.Turn = rand.Text()
	head, err := r.head()
	if err != nil {
		return err
	}
	var tail []byte
	if r.Tail > 0 {
		tail = st.held.bytes[:r.Tail]
	}
	outliving, cancel := outlive(ctx, timeToSend(len(head)+len(tail)))
	defer cancel()
	in := &s3.PutObjectInput{
		Bucket: &st.s3.bucket, Key: st.s3.stageName(st.key),
		Body: &twoPieces{head: head, tail: tail}, ContentLength: aws.Int64(int64(len(head) + len(tail))),
	}
	if st.tag != nil {
		in.IfMatch = st.tag
	} else {
		in.IfNoneMatch = aws.String("*")
	}
	st.entered = true
	if st.upload != nil {
		st.upload.recorded = true
	}
	out, err := st.s3.client.PutObject(outliving, in, signed)
	if err == nil {
		st.tag = out.ETag
	} else if st.tag, err = st.written(ctx, r, err); err != nil {
		st.broken = err
		return err
	}
	st.record = &r
	return nil
}

// written gives the ETag of the record if it is there in spite of an error.
func (st *s3Stage) written(ctx context.Context, r stageRecord, cause error) (tag *string, err error) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	there, err := st.s3.openRecord(asking, st.key)
	if err == nil {
		defer there.Close()
		if there.record.Turn == r.Turn {
			return there.tag, nil
		}
	}
	if !isTaken(cause) && !isMissing(cause) {
		return nil, s3Error(ctx, "save an upload", cause)
	}
	st.lost()
	if isMissing(cause) {
		return nil, sluice.Wrap(sluice.CodeNotFound, noStage, cause)
	}
	return nil, inUse(cause)
}

// lost notes that another handle has the stage: its record and its upload are no
// longer this one's to remove. An upload that only this handle knows is not on record.
func (st *s3Stage) lost() {
	st.beaten = true
	if st.upload != nil && (st.record == nil || st.record.Upload != *st.upload.id) {
		st.upload.recorded = false
	}
}

func (r stageRecord) head() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes", len(text))
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...), nil
}

// openedRecord is the record of a saved stage, and a reader of its tail.
type openedRecord struct {
	io.ReadCloser
	record stageRecord
	tag    *string
}

// openRecord reads the record of a saved stage. The caller closes it.
func (s *S3) openRecord(ctx context.Context, key string) (*openedRecord, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.stageName(key)})
	if err != nil {
		return nil, err
	}
	o := &openedRecord{ReadCloser: out.Body, tag: out.ETag}
	if err := o.read(aws.ToInt64(out.ContentLength)); err != nil {
		return nil, errors.Join(fmt.Errorf("read the record of an upload: %w", err), out.Body.Close())
	}
	return o, nil
}

// errNoRecord says that an object is no record, whatever else it is.
var errNoRecord = errors.New("this is no record of an upload")

func (o *openedRecord) read(size int64) error {
	var length uint32
	const head = 4 // bytes of length
	if size < head {
		return fmt.Errorf("%w: the object has %d bytes", errNoRecord, size)
	}
	if err := binary.Read(o, binary.BigEndian, &length); err != nil {
		return err
	}
	if length > maxRecord || int64(length) > size-head {
		return fmt.Errorf("%w: it has %d bytes in an object of %d", errNoRecord, length, size)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(o, text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &o.record); err != nil {
		return fmt.Errorf("%w: %w", errNoRecord, err)
	}
	return nil
}

// Resume reads the record and the tail of a saved stage. Another handle that uses
// the stage is noticed later, when one of the two sends parts, saves or commits.
func (s *S3) Resume(ctx context.Context, key string) (service.Stage, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	asked, cancel := context.WithTimeout(ctx, timeToSend(s.hugeSize))
	defer cancel()
	o, err := s.openRecord(asked, key)
	if isMissing(err) {
		return nil, s.notStaged(ctx, key)
	}
	if err != nil {
		return nil, s3Error(ctx, "read an upload", err)
	}
	defer o.Close()
	if o.record.Ending {
		if err := s.notStaged(ctx, key); sluice.CodeOf(err) != sluice.CodeNotFound {
			return nil, err
		}
	}
	st := s.newStage(ctx, key)
	if err := st.load(asked, o); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// notStaged says why there is no stage to resume. A crash in Commit may have left
// a record; it is removed when the bytes are there.
func (s *S3) notStaged(ctx context.Context, key string) error {
	_, err := s.Size(ctx, key)
	switch {
	case err == nil:
		_ = s.removeObject(ctx, s.stageName(key))
		return sluice.Errorf(sluice.CodeConflict, keyTaken)
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return sluice.Errorf(sluice.CodeNotFound, noStage)
	}
	return err
}

// load brings a stage to the state of its record.
func (st *s3Stage) load(ctx context.Context, o *openedRecord) (err error) {
	r := o.record
	if st.sums, err = r.Sums.load(); err != nil {
		return err
	}
	st.mark, st.ending, st.tag, st.record, st.entered = r.Mark, r.Ending, o.tag, &r, true
	if r.Upload != "" {
		st.upload = st.newUpload(r.Upload)
		st.upload.next, st.upload.recorded = r.Next, true
		for _, p := range r.Parts {
			st.upload.parts = append(st.upload.parts, types.CompletedPart{PartNumber: &p.Number, ETag: &p.ETag})
		}
	}
	if r.Tail == 0 {
		return nil
	}
	st.held = st.s3.smallBuffer()
	if r.Tail > smallSize {
		st.held.free()
		if st.held, err = st.s3.buffer(ctx, r.Next); err != nil {
			return err
		}
	}
	if r.Tail < 0 || r.Tail > len(st.held.bytes) {
		return fmt.Errorf("the record of an upload has a tail of %d bytes", r.Tail)
	}
	if _, err := io.ReadFull(o, st.held.bytes[:r.Tail]); err != nil {
		return s3Error(ctx, "read the tail of an upload", err)
	}
	st.n = r.Tail
	return nil
}

// Abort removes the stage, saved or not, and closes it. The record goes first:
// Sweep ends an upload that has none. A stage that another handle has is left to it.
func (st *s3Stage) Abort(ctx context.Context) error {
	if st.closed || st.committed || st.beaten {
		return st.Close()
	}
	var err error
	if st.entered {
		err = st.s3.removeObject(ctx, st.s3.stageName(st.key))
	}
	if err == nil && st.upload != nil {
		st.upload.recorded = false
	}
	return errors.Join(err, st.Close())
}

// sweepStages removes the stages that were last saved before a moment.
func (s *S3) sweepStages(ctx context.Context, before time.Time) (swept int, err error) {
	prefix := *s.stageName("")
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix, MaxKeys: &s.pageSize}
	for {
		page, err := s.list(ctx, in)
		if err != nil {
			return swept, err
		}
		for _, object := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(object.Key), prefix)
			if checkKey(key) != nil || !aws.ToTime(object.LastModified).Before(before) {
				continue
			}
			if err := s.sweepStage(ctx, key); err != nil {
				return swept, err
			}
			swept++
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return swept, nil
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

// sweepStage ends the upload of a stage and removes its record, also one that
// cannot be read.
func (s *S3) sweepStage(ctx context.Context, key string) error {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	o, err := s.openRecord(asked, key)
	if isMissing(err) {
		return nil
	}
	if err != nil && !errors.Is(err, errNoRecord) {
		return s3Error(ctx, "read an upload", err)
	}
	if err == nil {
		defer o.Close()
	}
	if err == nil && o.record.Upload != "" {
		_, err := s.client.AbortMultipartUpload(asked, &s3.AbortMultipartUploadInput{
			Bucket: &s.bucket, Key: s.name(key), UploadId: &o.record.Upload,
		})
		if err != nil && !isOver(err) {
			return s3Error(ctx, "end an upload that was given up", err)
		}
	}
	return s.removeObject(ctx, s.stageName(key))
}

// isStaged reports whether a saved stage of a key is there.
func (s *S3) isStaged(ctx context.Context, key string) (bool, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := s.client.HeadObject(asked, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.stageName(key)})
	if isMissing(err) {
		return false, nil
	}
	return err == nil, err
}

// twoPieces is a request body of two pieces of memory, without WriteTo as that of
// newBody.
type twoPieces struct {
	head, tail []byte
	at         int64
}

func (b *twoPieces) Read(p []byte) (int, error) {
	rest := b.tail
	if n := int64(len(b.head)); b.at < n {
		rest = b.head[b.at:]
	} else {
		rest = rest[min(b.at-n, int64(len(rest))):]
	}
	if len(rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, rest)
	b.at += int64(n)
	return n, nil
}

func (b *twoPieces) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += int64(len(b.head) + len(b.tail))
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a body")
	}
	b.at = offset
	return offset, nil
}
