package follow

import (
	"context"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/service"
)

// ToBucket anchors a checkpoint in a bucket.
func ToBucket(ctx context.Context, bucket *blob.S3, l sluice.LedgerID, c service.Checkpoint) error {
	return toBucket(bucket)(ctx, nil, l, c, 0)
}
