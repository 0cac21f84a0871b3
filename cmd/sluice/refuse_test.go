//go:build unix

package main

import (
	"bytes"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// A server that cannot work does not start. It prints the reason in one line,
// without secrets.
func TestRefusedStart(t *testing.T) {
	s3 := sluicetest.NewS3Server(t)
	empty := sluicetest.Postgres(t)
	used := sluicetest.Postgres(t)
	secrets := filepath.Join(t.TempDir(), "secrets.json")
	bucket := s3.URL("refused")
	first := startServer(t, t.TempDir(), "--database-url", used, "--blob-url", bucket, "--secrets", secrets)
	if code := first.stop(); code != 0 {
		t.Fatalf("the first server exits with %d", code)
	}
	newer := sluicetest.Postgres(t)
	startServer(t, t.TempDir(), "--database-url", newer, "--blob-url", s3.URL("newer")).stop()
	execSQL(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)")
	foreign := filepath.Join(t.TempDir(), "secrets.json")
	if _, err := createSecrets(foreign); err != nil {
		t.Fatal(err)
	}

	const password = "hush-hush-47"
	as := func(change func(*url.URL)) string { // another URL of the empty database
		u, err := url.Parse(empty)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	nobody := sluicetest.FreeAddress(t)
	noServer := "postgres://sluice:" + password + "@" + nobody + "/sluice"
	for _, c := range []struct {
		name     string
		database string
		blobs    string
		more     []string
		env      [2]string
		code     int
		want     string
	}{
		{"no blobs", empty, "", nil, [2]string{}, exitUsage, "--database-url and --blob-url require each other"},
		{"no database", "", bucket, nil, [2]string{}, exitUsage, "--database-url and --blob-url require each other"},
		{"redirect without S3", "", "", []string{"--delivery", "redirect"}, [2]string{}, exitUsage,
			"--delivery redirect requires files in S3"},
		{"unreadable database URL", "postgres://sluice:" + password + "@[::/sluice", bucket, nil, [2]string{}, exitFailed,
			"cannot be read"},
		{"unreachable database", noServer, bucket, nil, [2]string{}, exitFailed, "the server cannot be reached"},
		{"password from the environment", "postgres://sluice@" + nobody + "/sluice", bucket, nil,
			[2]string{"PGPASSWORD", password}, exitFailed, "the server cannot be reached"},
		{"wrong password", as(func(u *url.URL) { u.User = url.UserPassword("sluice", password) }), bucket, nil, [2]string{},
			exitFailed, "refuses the password of user sluice"},
		{"no such database", as(func(u *url.URL) { u.Path = "/nowhere" }), bucket, nil, [2]string{}, exitFailed,
			"no such database"},
		{"newer schema", newer, bucket, nil, [2]string{}, exitFailed, "newer"},
		{"no secrets", used, bucket, nil, [2]string{}, exitFailed, "restore the secrets file"},
		{"foreign secrets", used, bucket, []string{"--secrets", foreign}, [2]string{}, exitFailed, "other signing keys"},
		{"secrets nowhere", empty, bucket, []string{"--secrets", filepath.Join(t.TempDir(), "nowhere", "secrets.json")},
			[2]string{}, exitFailed, "nowhere"},
		{"other scheme", empty, "https://" + password + "/bucket", nil, [2]string{}, exitUsage, "--blob-url: "},
		{"no region", empty, "s3://bucket/prefix", nil, [2]string{}, exitUsage, "the region is missing"},
		{"secret in the S3 URL", empty, "s3://key:" + password + "@bucket/prefix?region=x", nil, [2]string{}, exitUsage,
			"credentials do not belong here"},
		{"unknown parameter", empty, "s3://bucket?region=x&secret=" + password, nil, [2]string{}, exitUsage,
			"the parameters are"},
		{"no S3 server", empty, "s3://bucket?region=x&path_style=true&endpoint=http://" + nobody, nil, [2]string{},
			exitFailed, "S3 at http://" + nobody},
		{"no bucket", empty, strings.Replace(bucket, sluicetest.S3Bucket, "another-bucket", 1), nil, [2]string{}, exitFailed,
			"there is no bucket another-bucket"},
		{"wrong S3 secret", empty, bucket, nil, [2]string{"AWS_SECRET_ACCESS_KEY", password}, exitFailed,
			"credentials are refused"},
		{"no S3 credentials", empty, bucket, nil, [2]string{"AWS_ACCESS_KEY_ID", ""}, exitFailed, "no S3 credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env[0] != "" {
				t.Setenv(c.env[0], c.env[1])
			}
			data := filepath.Join(t.TempDir(), "data")
			args := []string{"serve", "--listen", "127.0.0.1:0", "--data", data}
			if c.database != "" {
				args = append(args, "--database-url", c.database)
			}
			if c.blobs != "" {
				args = append(args, "--blob-url", c.blobs)
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append(args, c.more...), &stdout, &stderr)
			said := stderr.String()
			if code != c.code || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, want %d, and stderr %q, want %q in it", code, c.code, said, c.want)
			}
			if !strings.HasPrefix(said, "sluice: ") || strings.Count(said, "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("stdout %q, stderr %q, want one line", stdout.String(), said)
			}
			for _, hidden := range []string{password, "pa55", sluicetest.S3Secret} {
				if strings.Contains(said, hidden) {
					t.Errorf("%q contains a secret", said)
				}
			}
			if _, err := os.Stat(data); code == exitUsage && err == nil {
				t.Error("a wrong use of the command line made a folder")
			}
		})
	}
}

func execSQL(t *testing.T, database, query string) {
	t.Helper()
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}
