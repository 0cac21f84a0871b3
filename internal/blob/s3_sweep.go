package blob

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/service"
)

// Sweep ends the multipart uploads under the prefix, copies to the trash among
// them, that began before a moment and got no part since, unless a saved stage
// needs them; and it removes the saved stages whose last Save is service.StageAge
// before that moment. A stage that is still under way, was not saved and sent no
// part since then loses its upload: its Commit fails. MinIO lists no uploads by
// prefix, and ends them by itself after a day.
func (s *S3) Sweep(ctx context.Context, before time.Time) (int, error) {
	swept, err := s.sweepStages(ctx, before.Add(-service.StageAge))
	if err != nil {
		return swept, err
	}
	stale, err := s.staleUploads(ctx, before)
	if err != nil {
		return swept, err
	}
	for _, u := range stale {
		ended, err := s.sweepUpload(ctx, u, before)
		if err != nil {
			return swept, err
		}
		if ended {
			swept++
		}
	}
	return swept, nil
}

// staleUploads lists the uploads of this store that began before a moment. It pages
// by key alone, because not every server takes the id of an upload as a marker. If
// a key has several uploads, some may be left to the next Sweep.
func (s *S3) staleUploads(ctx context.Context, before time.Time) (stale []types.MultipartUpload, err error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &s.prefix, MaxUploads: &s.pageSize}
	for {
		page, err := s.listUploads(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Uploads {
			if s.isUpload(u.Key) && u.Initiated != nil && u.Initiated.Before(before) {
				stale = append(stale, u)
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextKeyMarker == nil {
			return stale, nil
		}
		in.KeyMarker = page.NextKeyMarker
	}
}

// isUpload reports whether a stage or Discard uploads objects of this name.
func (s *S3) isUpload(name *string) bool {
	rest, ok := strings.CutPrefix(aws.ToString(name), s.prefix)
	return ok && checkKey(strings.TrimPrefix(rest, trashFolder+"/")) == nil
}

func (s *S3) listUploads(
	ctx context.Context, in *s3.ListMultipartUploadsInput,
) (*s3.ListMultipartUploadsOutput, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	page, err := s.client.ListMultipartUploads(asked, in)
	if err != nil {
		return nil, s3Error(ctx, "list the unfinished uploads", err)
	}
	return page, nil
}

// sweepUpload ends an upload unless it is over, has got a part since, or belongs
// to a saved stage.
func (s *S3) sweepUpload(ctx context.Context, u types.MultipartUpload, before time.Time) (ended bool, err error) {
	last, err := s.lastPart(ctx, u)
	if err != nil && !isOver(err) {
		return false, s3Error(ctx, "list the parts of an upload", err)
	}
	if err != nil || !last.Before(before) {
		return false, nil
	}
	staged, err := s.isStaged(ctx, strings.TrimPrefix(aws.ToString(u.Key), s.prefix))
	if err != nil {
		return false, s3Error(ctx, "look for a saved upload", err)
	}
	if staged {
		return false, nil
	}
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err = s.client.AbortMultipartUpload(asked, &s3.AbortMultipartUploadInput{
		Bucket: &s.bucket, Key: u.Key, UploadId: u.UploadId,
	})
	if err != nil && !isOver(err) {
		return false, s3Error(ctx, "end an unfinished upload", err)
	}
	return err == nil, nil
}

// isOver reports whether an upload was completed or aborted meanwhile.
func isOver(err error) bool {
	code, _ := answer(err)
	return code == "NoSuchUpload"
}

// lastPart gives the time of the newest part of an upload, or of its beginning.
func (s *S3) lastPart(ctx context.Context, u types.MultipartUpload) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last := *u.Initiated
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.bucket, Key: u.Key, UploadId: u.UploadId})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return last, err
		}
		for _, part := range page.Parts {
			if part.LastModified != nil && part.LastModified.After(last) {
				last = *part.LastModified
			}
		}
	}
	return last, nil
}
