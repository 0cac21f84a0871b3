package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// trashFolder holds discarded blobs, each named by its key. No folder made of
// fanOut characters and no key has this name.
const trashFolder = "trash"

// Discard moves the file of key to the folder trash. The file's time becomes the
// time of this call.
func (d *Disk) Discard(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := d.makeFolder(trashFolder); err != nil {
		return diskError("create the trash folder", err)
	}
	folder, name := place(key)
	now := time.Now()
	err := d.root.Chtimes(name, now, now)
	if err == nil {
		err = d.root.Rename(name, path.Join(trashFolder, key))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(d.syncFolder(trashFolder), d.syncFolder(folder))
	}
	if err != nil {
		return diskError("move a blob to the trash", err)
	}
	return nil
}

// EmptyTrash removes the files that came into the folder trash before a moment.
func (d *Disk) EmptyTrash(ctx context.Context, before time.Time) (int, error) {
	if _, err := d.root.Stat(trashFolder); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	removed := 0
	err := d.eachFile(ctx, trashFolder, func(name string, discarded time.Time) error {
		if checkKey(name) != nil || !discarded.Before(before) {
			return nil
		}
		if err := d.root.Remove(path.Join(trashFolder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diskError("remove a blob from the trash", err)
		}
		removed++
		return nil
	})
	return removed, err
}

// maxCopy is the size of the largest object that S3 copies in one request. Larger
// objects are copied in parts of this size.
const maxCopy = 5 << 30

// Discard copies the object of key to the same name below trash/, and then removes
// it. The copy has the time of this call.
func (s *S3) Discard(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.copyToTrash(ctx, key)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return s3Error(ctx, "copy an object to the trash", err)
	}
	return s.Remove(ctx, key)
}

func (s *S3) copyToTrash(ctx context.Context, key string) error {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	head, err := s.client.HeadObject(asked, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if err != nil {
		return err
	}
	size := aws.ToInt64(head.ContentLength)
	copying, cancel := context.WithTimeout(ctx, askTimeout+time.Duration(size/joining)*time.Second)
	defer cancel()
	source := aws.String(s.bucket + "/" + (&url.URL{Path: *s.name(key)}).EscapedPath())
	if size <= maxCopy {
		_, err := s.client.CopyObject(copying, &s3.CopyObjectInput{
			Bucket: &s.bucket, Key: s.name(trashFolder + "/" + key), CopySource: source,
		})
		return err
	}
	return s.copyParts(copying, source, s.name(trashFolder+"/"+key), size)
}

// copyParts copies an object that is too large for one request.
func (s *S3) copyParts(ctx context.Context, source, name *string, size int64) error {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: name})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for from := int64(0); from < size && err == nil; from += maxCopy {
		number := aws.Int32(int32(len(parts) + 1))
		var part *s3.UploadPartCopyOutput
		part, err = s.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: &s.bucket, Key: name, UploadId: begun.UploadId, PartNumber: number, CopySource: source,
			CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, min(from+maxCopy, size)-1)),
		})
		if err == nil {
			parts = append(parts, types.CompletedPart{PartNumber: number, ETag: part.CopyPartResult.ETag})
		}
	}
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: name, UploadId: begun.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		_, _ = s.client.AbortMultipartUpload(ending, &s3.AbortMultipartUploadInput{
			Bucket: &s.bucket, Key: name, UploadId: begun.UploadId,
		})
	}
	return err
}

// EmptyTrash removes the objects that came below trash/ before a moment.
func (s *S3) EmptyTrash(ctx context.Context, before time.Time) (removed int, err error) {
	prefix := *s.name(trashFolder + "/")
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix, MaxKeys: &s.pageSize}
	for {
		page, err := s.list(ctx, in)
		if err != nil {
			return removed, err
		}
		for _, object := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(object.Key), prefix)
			if checkKey(key) != nil || !aws.ToTime(object.LastModified).Before(before) {
				continue
			}
			if err := s.removeObject(ctx, object.Key); err != nil {
				return removed, err
			}
			removed++
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return removed, nil
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}
