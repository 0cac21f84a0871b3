package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// usedData returns a data folder with files and without a running server.
func usedData(t *testing.T) (data string, stored []string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	for range 3 {
		if _, err := c.upload(p.url, []byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	return data, storedFiles(t, data)
}

func storedFiles(t *testing.T, data string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "blobs", "??", "file_*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file is stored in %s: %v", data, err)
	}
	return files
}

// refuses starts a server that must refuse to start, and returns the line that
// it prints.
func refuses(t *testing.T, data string, flags ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...), &stdout,
		&stderr)
	said := stderr.String()
	if code != exitFailed || strings.Count(said, "\n") != 1 || stdout.Len() > 0 {
		t.Fatalf("exit code %d, stdout %q, stderr %q, want %d and one line", code, stdout.String(), said, exitFailed)
	}
	return said
}

// A server does not start if only the database is gone, because it would treat
// every file as an orphan.
func TestLostDatabase(t *testing.T) {
	removeDatabase := func(t *testing.T, data string) {
		files, err := filepath.Glob(filepath.Join(data, databaseName+"*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, lose := range map[string]func(t *testing.T, data string){
		"no database": removeDatabase,
		"a database of 0 bytes": func(t *testing.T, data string) {
			removeDatabase(t, data)
			if err := os.WriteFile(filepath.Join(data, databaseName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"files alone": func(t *testing.T, data string) {
			removeDatabase(t, data)
			if err := os.Remove(filepath.Join(data, secretsName)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(data, blobsName, "installation")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, stored := usedData(t)
			lose(t, data)
			before, _ := filepath.Glob(filepath.Join(data, "*"))
			said := refuses(t, data)
			if want := "restore the database from a backup"; !strings.Contains(said, want) {
				t.Errorf("got %q, want %q in it", said, want)
			}
			if after, _ := filepath.Glob(filepath.Join(data, "*")); len(after) != len(before) {
				t.Errorf("made something in the folder: %v, there was %v", after, before)
			}
			if left := storedFiles(t, data); len(left) != len(stored) {
				t.Errorf("%d of %d files are left", len(left), len(stored))
			}
		})
	}
}

// The server refuses records and files of different installations.
func TestForeignFiles(t *testing.T) {
	data, _ := usedData(t)
	marker := filepath.Join(data, blobsName, "installation")

	t.Run("a new database", func(t *testing.T) {
		other := t.TempDir()
		if err := os.Symlink(filepath.Join(data, blobsName), filepath.Join(other, blobsName)); err != nil {
			t.Fatal(err)
		}
		if said := refuses(t, other); !strings.Contains(said, "restore the database") {
			t.Errorf("says %q", said)
		}
	})
	t.Run("a used database", func(t *testing.T) {
		other, _ := usedData(t)
		if err := os.RemoveAll(filepath.Join(other, blobsName)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(data, blobsName), filepath.Join(other, blobsName)); err != nil {
			t.Fatal(err)
		}
		said := refuses(t, other)
		for _, want := range []string{"belong to installation", `the marker "installation" beside them`,
			"remove the marker"} {
			if !strings.Contains(said, want) {
				t.Errorf("got %q, want %q in it", said, want)
			}
		}
	})
	t.Run("files without a marker are adopted", func(t *testing.T) {
		id, err := os.ReadFile(marker)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(marker); err != nil {
			t.Fatal(err)
		}
		startServer(t, data).stop()
		if again, err := os.ReadFile(marker); err != nil || !bytes.Equal(again, id) {
			t.Errorf("the marker is %q, %v, want %q", again, err, id)
		}
	})
	t.Run("a new database and another's bucket", func(t *testing.T) {
		bucket := sluicetest.S3(t)
		flags := func(database string) []string { return []string{"--database-url", database, "--blob-url", bucket} }
		startServer(t, t.TempDir(), flags(sluicetest.Postgres(t))...).stop()
		if said := refuses(t, t.TempDir(), flags(sluicetest.Postgres(t))...); !strings.Contains(said,
			"belong to installation") {
			t.Errorf("says %q", said)
		}
	})
}

// downgrade removes what the newest migrations created, as in a copy of the
// database from before an upgrade.
var downgrade = []string{
	"DROP TABLE installation",
	"DROP TABLE ending",
	"DROP INDEX ledger_with_endings",
	"ALTER TABLE ledger DROP COLUMN endings",
	"DROP TABLE guess",
	"DROP INDEX file_damaged",
	"ALTER TABLE file DROP COLUMN damage",
	"ALTER TABLE file DROP COLUMN crc32",
	"DROP TABLE scrub",
	"DROP TABLE challenge",
	"ALTER TABLE key DROP COLUMN seal",
	"ALTER TABLE link DROP COLUMN seal",
	"DROP INDEX link_by_recipient",
	"ALTER TABLE link DROP COLUMN recipient_hash",
	"ALTER TABLE link DROP COLUMN access",
	"ALTER TABLE ledger DROP COLUMN personal_from",
	"DROP TABLE mail",
	"DROP TABLE session",
	"DROP TABLE erasure",
	"ALTER TABLE file DROP COLUMN personal",
	"ALTER TABLE open_grant DROP COLUMN seq",
	"DELETE FROM goose_db_version WHERE version_id > 5",
}

// After an upgrade, a copy of the database from before it is restored. The
// files still belong to its installation.
func TestBackupFromBeforeUpgrade(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	key := p.key
	signedUp(t, p, key, data)
	p.stop()
	stored := storedFiles(t, data)
	database, marker := filepath.Join(data, databaseName), filepath.Join(data, blobsName, "installation")
	backup := filepath.Join(t.TempDir(), "backup.db")
	withoutSeals(t, data)
	change(t, data, downgrade...)
	change(t, data, "VACUUM INTO '"+backup+"'")
	for _, later := range []string{marker, filepath.Join(data, secretsName+".heads")} {
		if err := os.Remove(later); err != nil {
			t.Fatal(err)
		}
	}

	p = startServer(t, data)
	signedUp(t, p, key, data)
	p.stop()
	owner, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(database + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(backup, database); err != nil {
		t.Fatal(err)
	}
	p = startServer(t, data, "--accept-rollback")
	signedUp(t, p, key, data)
	p.stop()
	if again, err := os.ReadFile(marker); err != nil || !bytes.Equal(again, owner) {
		t.Errorf("the marker is %q, %v, want %q", again, err, owner)
	}
	if left := storedFiles(t, data); len(left) != len(stored)+2 {
		t.Errorf("%d files are stored, want %d", len(left), len(stored)+2)
	}
}
