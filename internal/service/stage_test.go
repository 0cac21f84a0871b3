package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
)

// commits counts the stages that are committed.
type commits struct {
	service.Blobs
	n int
}

type countedStage struct {
	service.Stage
	commits *commits
}

func (b *commits) Stage(ctx context.Context, key string) (service.Stage, error) {
	stage, err := b.Blobs.Stage(ctx, key)
	return &countedStage{stage, b}, err
}

func (s *countedStage) Commit(ctx context.Context) (service.Stored, error) {
	s.commits.n++
	return s.Stage.Commit(ctx)
}

// TestRefusedUploadIsNotCommitted refuses uploads for what they say: their bytes
// are never visible, and nothing has to be removed.
func TestRefusedUploadIsNotCommitted(t *testing.T) {
	f := newFixture(t)
	blobs := &commits{Blobs: f.base.Blobs}
	f.config.Blobs = blobs
	f.use(nil)
	broken := errors.New("the form is broken")
	wrong := sluice.Digest{1}
	for name, test := range map[string]struct {
		file service.NewFile
		err  error
		want sluice.Code
	}{
		"broken form":     {service.NewFile{}, broken, sluice.CodeInternal},
		"unknown purpose": {service.NewFile{Purpose: "nothing"}, nil, sluice.CodeValidation},
		"wrong digest":    {service.NewFile{Purpose: "generic", SHA256: &wrong}, nil, sluice.CodeDigestMismatch},
		"good":            {service.NewFile{Purpose: "generic"}, nil, ""},
	} {
		blobs.n = 0
		test.file.Filename = "a.txt"
		_, err := f.Files.Create(ctx, f.caller, "", strings.NewReader("content"), func() (service.NewFile, error) {
			return test.file, test.err
		})
		if code := sluice.CodeOf(err); code != test.want || test.err != nil && err != test.err {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if want := err == nil; blobs.n != 0 != want {
			t.Errorf("%s: %d commits", name, blobs.n)
		}
	}
	if keys := f.base.BlobKeys(t); len(keys) != 1 {
		t.Errorf("stored: %q, want the one good file", keys)
	}
}
