package backup_test

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// The secrets of a snapshot are read after its database, so that a rotation in between does not leave a database
// that knows a key which the secrets lack.
func TestSecretsAreReadAfterTheDatabase(t *testing.T) {
	f := newFixture(t)
	f.upload(t, "content")
	target := f.claim(t, f.depot)
	secrets := ""
	f.source.Secrets = func() ([]byte, error) {
		copied, err := filepath.Glob(filepath.Join(f.dir, "??", "database_*"))
		if secrets = "rotated"; err != nil || len(copied) != 1 {
			t.Errorf("the secrets are read beside %q, %v; want the database to be there", copied, err)
		}
		return []byte(secrets), nil
	}
	result, err := target.Backup(t.Context(), f.source, 0, silent)
	if err != nil || !result.Secrets {
		t.Fatalf("%+v, %v", result, err)
	}
	snapshot, err := target.Snapshot(t.Context(), result.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := snapshot.ReadSecrets(t.Context()); err != nil || string(text) != "rotated" {
		t.Errorf("the snapshot holds the secrets %q, %v", text, err)
	}

	f.source.Secrets = func() ([]byte, error) { return nil, io.ErrUnexpectedEOF }
	_, err = target.Backup(t.Context(), f.source, 0, silent)
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "target") {
		t.Errorf("secrets that cannot be read: %v", err)
	}
	if names, err := target.Snapshots(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("the snapshots are %q, %v", names, err)
	}
}
