package blob

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
)

// Present gives the sizes of the bytes that are stored under some keys. A key without bytes is left out. A key of the
// wrong form is CodeValidation.
func (d *Disk) Present(ctx context.Context, keys []string) (map[string]int64, error) {
	sizes := make(map[string]int64, len(keys))
	for _, key := range keys {
		size, err := d.Size(ctx, key)
		switch {
		case err == nil:
			sizes[key] = size
		case sluice.CodeOf(err) != sluice.CodeNotFound:
			return nil, err
		}
	}
	return sizes, nil
}

// Present gives the sizes of the objects under some keys, which are in ascending order. It lists the objects from the
// first key to the last, a thousand in a request. A key without an object is left out, and so may be any other on a
// server that does not list objects in the order of their names. A key of the wrong form is CodeValidation.
func (s *S3) Present(ctx context.Context, keys []string) (map[string]int64, error) {
	sizes := make(map[string]int64, len(keys))
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return sizes, nil
	}
	first, last := keys[0], keys[len(keys)-1]
	wanted := make(map[string]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
	}
	// A part of a name comes before the name.
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: &s.pageSize,
		StartAfter: s.name(first[:len(first)-1])}
	for {
		page, err := s.list(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, object := range page.Contents {
			name := strings.TrimPrefix(aws.ToString(object.Key), s.prefix)
			if wanted[name] {
				sizes[name] = aws.ToInt64(object.Size)
			}
			if name >= last {
				return sizes, nil
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return sizes, nil
		}
		in.ContinuationToken, in.StartAfter = page.NextContinuationToken, nil
	}
}
