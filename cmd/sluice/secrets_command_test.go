//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/service"
)

// New secrets are of the form that a server reads, and never the same.
func TestSecretsNew(t *testing.T) {
	var both [2]secrets
	for i := range both {
		if err := json.Unmarshal([]byte(sluiceRun(t, 0, "secrets", "new")), &both[i]); err != nil {
			t.Fatal(err)
		}
		var c service.Config
		if err := both[i].keys(&c); err != nil || len(c.SigningKeys) != 1 || len(c.LedgerKeys) != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if both[0].SigningKeys[0] == both[1].SigningKeys[0] || both[0].LedgerKeys[0] == both[1].LedgerKeys[0] {
		t.Error("two runs print the same keys")
	}
}

// After a rotation, in one step or in two, links and the log go on, and the file has the owner and mode that it had.
func TestSecretsRotate(t *testing.T) {
	for name, steps := range map[string][][]string{
		"at once":      {{}},
		"in two steps": {{"--step", "add"}, {"--step", "use"}},
	} {
		t.Run(name, func(t *testing.T) {
			data, c := smallInstallation(t)
			path := filepath.Join(data, secretsName)
			if os.Geteuid() == 0 {
				if err := os.Chown(path, 12345, 23456); err != nil {
					t.Fatal(err)
				}
			}
			before, err := readSecrets(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				sluiceRun(t, 0, append([]string{"secrets", "rotate", "--data", data}, step...)...)
				p := startServer(t, data)
				c.verify(t, p.url)
				if err := c.session(p.url); err != nil {
					t.Error(err)
				}
				p.stop()
				if said := sluiceRun(t, 0, "secrets", "check", "--data", data); strings.Contains(said, "warning") {
					t.Errorf("%q: %s", step, said)
				}
				sluiceRun(t, 0, "fsck", "--data", data)
			}
			after, err := readSecrets(path)
			if err != nil || len(after.SigningKeys) != 2 || len(after.LedgerKeys) != 2 ||
				!slices.Equal(after.SigningKeys[1:], before.SigningKeys) ||
				!slices.Equal(after.LedgerKeys[1:], before.LedgerKeys) {
				t.Errorf("the keys are not new ones before the old ones: %v", err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the mode of the file is %v, %v", info, err)
			}
			if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 &&
				(owner.Uid != 12345 || owner.Gid != 23456) {
				t.Errorf("the file belongs to %d:%d", owner.Uid, owner.Gid)
			}
		})
	}
	data, _ := smallInstallation(t)
	said := sluiceRun(t, exitUsage, "secrets", "rotate", "--data", data, "--step", "use")
	if !strings.Contains(said, "run --step add first") {
		t.Errorf("one key of a kind: %s", said)
	}
	if err := os.Chmod(filepath.Join(data, secretsName), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := sluiceRun(t, exitFailed, "secrets", "rotate", "--data", data); !strings.Contains(said, "chmod 600") {
		t.Errorf("a file that others read: %s", said)
	}
}

// A check tells secrets that do not fit from those that do, in lines that say what to do.
func TestSecretsCheck(t *testing.T) {
	data, _ := smallInstallation(t)
	other, _ := smallInstallation(t)
	own, err := readSecrets(filepath.Join(data, secretsName))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := readSecrets(filepath.Join(other, secretsName))
	if err != nil {
		t.Fatal(err)
	}
	added := secrets{slices.Concat(foreign.SigningKeys, own.SigningKeys), own.LedgerKeys}
	for name, c := range map[string]struct {
		file *secrets
		mode os.FileMode
		code int
		want string
	}{
		"own":             {&own, 0o600, 0, "ok       secrets    they belong to the database"},
		"new key":         {&added, 0o600, 0, "warning  secrets    the database does not know the signing key"},
		"group":           {&own, 0o640, 0, "warning  secrets "},
		"everybody":       {&own, 0o644, exitFailed, "failure  secrets "},
		"another's":       {&foreign, 0o600, exitFailed, "failure  secrets    the database was made with other signing keys"},
		"other ledger":    {&secrets{own.SigningKeys, foreign.LedgerKeys}, 0o600, exitFailed, "failure  logs"},
		"without a key":   {&secrets{LedgerKeys: own.LedgerKeys}, 0o600, exitFailed, "it holds no signing key"},
		"without a file":  {nil, 0, exitFailed, "does not exist: restore it from a backup"},
		"not of our form": {&secrets{SigningKeys: []string{"x"}}, 0o600, exitFailed, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.json")
			if c.file != nil {
				text, err := c.file.text()
				if err == nil {
					err = os.WriteFile(path, text, 0o600)
				}
				if err == nil {
					err = os.Chmod(path, c.mode)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			said := sluiceRun(t, c.code, "secrets", "check", "--data", data, "--secrets", path)
			if !strings.Contains(said, c.want) || strings.Contains(said, own.SigningKeys[0]) {
				t.Errorf("%s, want %q", said, c.want)
			}
		})
	}
	var line checkLine
	text := sluiceRun(t, 0, "secrets", "check", "--data", data, "--json")
	if err := json.Unmarshal([]byte(strings.SplitAfter(text, "\n")[0]), &line); err != nil || line.Level != levelOK {
		t.Errorf("%s: %v", text, err)
	}
}
