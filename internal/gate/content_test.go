package gate_test

import (
	"io"
	"testing"

	"sluice"
)

// TestReadFile reads a file with a key. The decision is in the log before the
// first byte is sent.
func TestReadFile(t *testing.T) {
	f := newFixture(t)
	file := f.upload("hello")
	g, err := f.ReadFile(ctx, f.caller, file.ID, whole)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Content.Close()
	entries := f.base.Entries(t, f.ledger)
	last := entries[len(entries)-1]
	if last.Action != sluice.FileRead || last.Outcome != sluice.Allowed || last.File.ID != file.ID ||
		last.Actor != f.caller.Actor {
		t.Errorf("the entry is %+v", last)
	}
	content, err := io.ReadAll(g.Content)
	if err != nil || string(content) != "hello" || g.File.ID != file.ID {
		t.Errorf("%q, %v", content, err)
	}

	// files:read does not give access to the bytes.
	_, err = f.ReadFile(
		ctx,
		f.newCaller(f.ledger, sluice.FilesRead, sluice.LinksRead, sluice.LinksWrite),
		file.ID, whole,
	)
	wantCode(t, err, sluice.CodeForbidden)
	other, err := f.ReadFile(ctx, f.newCaller(f.ledger, sluice.FilesContent), file.ID, whole)
	if err != nil {
		t.Fatalf("a key with %s: %v", sluice.FilesContent, err)
	}
	other.Content.Close()
	_, err = f.ReadFile(ctx, f.newCaller(f.base.Ledger(sluice.Live)), file.ID, whole)
	wantCode(t, err, sluice.CodeNotFound)
	if _, err := f.Files.Delete(ctx, f.caller, file.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.ReadFile(ctx, f.caller, file.ID, whole)
	wantCode(t, err, sluice.CodeNotFound)
}
