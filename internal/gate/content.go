package gate

import (
	"context"

	"sluice"
	"sluice/internal/service"
)

// ReadFile opens the bytes of a file without a link, as the APIs of some vendors
// allow. It requires the scope files:content. The read is committed to the log
// before ReadFile returns. The Grant has no Link. Its Content is the whole file
// whatever the Plan selects, and the caller closes it.
func (gate *Gate) ReadFile(ctx context.Context, c service.Caller, id string, want Want) (*Grant, error) {
	f, err := gate.service.Files.RecordRead(ctx, c, id)
	if err != nil {
		return nil, err
	}
	content, err := gate.openBytes(ctx, f)
	if sluice.CodeOf(err) == sluice.CodeGone { // deleted since
		err = service.NoSuch("file", id)
	}
	if err != nil {
		return nil, err
	}
	return &Grant{File: f, Plan: want.Plan(f), Content: content}, nil
}
