package gate

import (
	"context"

	"sluice"
	"sluice/internal/service"
)

// ReadFile gives the bytes of a file to a caller who needs no link for them,
// for the vendors whose contract has that. It needs files:content: files:read
// gives no bytes. Who read what is committed to the log before ReadFile returns.
// The Grant has no Link; the caller closes its Content, which is all of the file
// whatever the Plan says.
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
