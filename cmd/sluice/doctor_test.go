package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// lineOf returns the first line of a check at a level.
func lineOf(said, level, check string) string {
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, level) && strings.HasPrefix(strings.TrimSpace(line[len(level):]), check) {
			return line
		}
	}
	return ""
}

// Beside a running server everything is well, and nothing is left behind.
func TestDoctor(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	address := strings.TrimPrefix(p.url, "http://")
	said := sluiceRun(t, 0, "doctor", "--data", data, "--listen", address)
	for _, check := range []string{"flags", "disk", "secrets", "logs", "database", "files", "public URL"} {
		if lineOf(said, levelOK, check) == "" {
			t.Errorf("%s is not well:\n%s", check, said)
		}
	}
	if strings.Contains(said, levelFailure) {
		t.Errorf("it prints\n%s", said)
	}
	left, err := filepath.Glob(filepath.Join(data, "blobs", "*", "doctor_*"))
	if hidden, _ := filepath.Glob(filepath.Join(data, ".doctor*")); err != nil || len(left)+len(hidden) > 0 {
		t.Errorf("it leaves %v %v, %v", left, hidden, err)
	}
	var line checkLine
	text := sluiceRun(t, 0, "doctor", "--data", data, "--listen", address, "--json")
	for one := range strings.Lines(text) {
		if err := json.Unmarshal([]byte(one), &line); err != nil || line.Level == "" || line.Text == "" {
			t.Errorf("%q: %v", one, err)
		}
	}
	t.Setenv("SLUICE_LISTEN", address) // as the server has it
	t.Setenv("SLUICE_PUBLIC_URL", "http://files.example.invalid")
	said = sluiceRun(t, exitFailed, "doctor", "--data", data)
	if lineOf(said, levelFailure, "public URL") == "" || lineOf(said, levelWarning, "flags") == "" ||
		!strings.Contains(said, "--trusted-proxies is not set") {
		t.Errorf("a public URL that leads nowhere:\n%s", said)
	}
}

// Each fault is a failure that says what to do.
func TestDoctorFinds(t *testing.T) {
	data, _ := smallInstallation(t)
	other, _ := smallInstallation(t)
	marker := filepath.Join(data, blobsName, "installation")
	own, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other, blobsName, "installation"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args        []string
		before      func() error
		after       func() error
		check, want string
	}{
		"flags":     {args: []string{"--listen", "0.0.0.0:8080"}, check: "flags", want: "give --public-url"},
		"no folder": {args: []string{"--data", filepath.Join(data, "none")}, check: "disk", want: "no such file"},
		"secrets": {args: []string{"--secrets", filepath.Join(other, secretsName)}, check: "secrets",
			want: "other signing keys"},
		"files of another": {check: "files", want: "check --data or --blob-url",
			before: func() error { return os.WriteFile(marker, foreign, 0o600) },
			after:  func() error { return os.WriteFile(marker, own, 0o600) }},
		"database": {check: "database", want: "holds no Sluice data",
			before: func() error { return os.Rename(filepath.Join(data, databaseName), filepath.Join(data, "away")) },
			after:  func() error { return os.Rename(filepath.Join(data, "away"), filepath.Join(data, databaseName)) }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.before != nil {
				if err := c.before(); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.after(); err != nil {
						t.Error(err)
					}
				}()
			}
			said := sluiceRun(t, exitFailed, append([]string{"doctor", "--data", data}, c.args...)...)
			if line := lineOf(said, levelFailure, c.check); !strings.Contains(line, c.want) {
				t.Errorf("it prints\n%s", said)
			}
		})
	}
}

// A restored folder, which a server refuses at first, is a failure until the server is told.
func TestDoctorOfARestoredFolder(t *testing.T) {
	data, _ := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	to := filepath.Join(t.TempDir(), "copy")
	sluiceRun(t, 0, b.restore(to)...)
	said := sluiceRun(t, exitFailed, "doctor", "--data", to)
	if line := lineOf(said, levelFailure, "restore"); !strings.Contains(line, "start once with --accept-rollback") {
		t.Errorf("it prints\n%s", said)
	}
	sluiceRun(t, 0, "doctor", "--data", to, "--accept-rollback")
	startServer(t, to, "--accept-rollback").stop()
	if said := sluiceRun(t, 0, "doctor", "--data", to); lineOf(said, levelFailure, "restore") != "" {
		t.Errorf("after a start it prints\n%s", said)
	}
}

// The same with PostgreSQL and S3; a bucket that is not reached is a failure.
func TestDoctorOfACluster(t *testing.T) {
	server := sluicetest.NewS3Server(t)
	dir := t.TempDir()
	flags := []string{"--database-url", sluicetest.Postgres(t), "--blob-url", server.URL("files"),
		"--secrets", filepath.Join(dir, secretsName)}
	p := startServer(t, filepath.Join(dir, "unused"), flags...)
	flags = append([]string{"doctor", "--listen", strings.TrimPrefix(p.url, "http://")}, flags...)
	said := sluiceRun(t, 0, flags...)
	for _, check := range []string{"flags", "secrets", "logs", "database", "files", "public URL"} {
		if lineOf(said, levelOK, check) == "" {
			t.Errorf("%s is not well:\n%s", check, said)
		}
	}
	server.Stop(t)
	if said := sluiceRun(t, exitFailed, flags...); lineOf(said, levelFailure, "database") == "" {
		t.Errorf("without the bucket it prints\n%s", said)
	}
	server.Start(t)
}
