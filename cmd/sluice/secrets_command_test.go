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
				sluiceRun(t, 0, "secrets", "seal", "--data", data)
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

			wrong := secrets{SigningKeys: after.SigningKeys, LedgerKeys: slices.Clone(after.LedgerKeys)}
			slices.Reverse(wrong.LedgerKeys)
			said := sluiceRun(t, exitFailed, "secrets", "check", "--data", data, "--secrets", writeSecrets(t, wrong, 0o600),
				"--heads", path+".heads")
			if !strings.Contains(said, "the first ledger key cannot continue it") || strings.Contains(said, "ok       logs") {
				t.Errorf("an old key in front: %s", said)
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

// writeSecrets writes a secrets file with a mode.
func writeSecrets(t *testing.T, s secrets, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.json")
	text, err := s.text()
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func freshSecrets(t *testing.T) secrets {
	t.Helper()
	s, err := newSecrets()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Only keys that were added and do not sign yet are put in front. A step that is repeated, or that follows another
// rotation, fails and leaves the file as it is: the log refuses a key that signed before.
func TestSecretsUseTwice(t *testing.T) {
	for name, steps := range map[string][]string{
		"twice":                  {"add", "use"},
		"after all at once":      {"all"},
		"after both":             {"add", "use", "all"},
		"after both, the others": {"add", "all"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeSecrets(t, freshSecrets(t), 0o600)
			for _, step := range steps {
				sluiceRun(t, 0, "secrets", "rotate", "--data", t.TempDir(), "--secrets", path, "--step", step)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			said := sluiceRun(t, exitUsage, "secrets", "rotate", "--data", t.TempDir(), "--secrets", path, "--step", "use")
			if !strings.Contains(said, "do not sign yet") {
				t.Error(said)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	old := freshSecrets(t)
	path := writeSecrets(t, old, 0o600)
	for _, step := range []string{"add", "add", "use"} {
		sluiceRun(t, 0, "secrets", "rotate", "--data", t.TempDir(), "--secrets", path, "--step", step)
	}
	s, err := readSecrets(path)
	if err != nil || len(s.LedgerKeys) != 3 || s.LedgerKeys[1] != old.LedgerKeys[0] ||
		s.SigningKeys[1] != old.SigningKeys[0] || s.Added != nil {
		t.Errorf("after two keys were added, not the newest one signs: %v", err)
	}
}

// A rotation keeps the mode of the file, which may let the group of the server read it, and replaces the file that a
// symbolic link leads to.
func TestSecretsRotateKeepsModeAndLink(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o400} {
		path := writeSecrets(t, freshSecrets(t), mode)
		link := filepath.Join(t.TempDir(), secretsName)
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		sluiceRun(t, 0, "secrets", "rotate", "--data", t.TempDir(), "--secrets", link)
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
			t.Errorf("the link became %v, %v", info, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("the mode %v became %v, %v", mode, info, err)
		}
		if s, err := readSecrets(path); err != nil || len(s.LedgerKeys) != 2 {
			t.Errorf("the file that the link leads to was not rotated: %v", err)
		}
		for _, folder := range []string{filepath.Dir(path), filepath.Dir(link)} {
			if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
				t.Errorf("%s holds %v, %v", folder, left, err)
			}
		}
	}
}

// Secrets in a folder into which a restore has not finished are left as they are: it would write them again.
func TestSecretsRotateUnfinishedRestore(t *testing.T) {
	data := t.TempDir()
	text, err := freshSecrets(t).text()
	if err == nil {
		err = os.WriteFile(filepath.Join(data, secretsName), text, 0o600)
	}
	if err == nil {
		err = restoredMark{Snapshot: "s"}.write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	said := sluiceRun(t, exitRefused, "secrets", "rotate", "--data", data)
	if !strings.Contains(said, "has not finished") {
		t.Error(said)
	}
	if now, err := os.ReadFile(filepath.Join(data, secretsName)); err != nil || string(now) != string(text) {
		t.Errorf("the secrets were changed: %v", err)
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
	added := secrets{SigningKeys: slices.Concat(foreign.SigningKeys, own.SigningKeys), LedgerKeys: own.LedgerKeys}
	unsigned := secrets{SigningKeys: own.SigningKeys, LedgerKeys: foreign.LedgerKeys}
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
		"other ledger":    {&unsigned, 0o600, exitFailed, "failure  logs"},
		"without a key":   {&secrets{LedgerKeys: own.LedgerKeys}, 0o600, exitFailed, "it holds no signing key"},
		"without a file":  {nil, 0, exitFailed, "does not exist: restore it from a backup"},
		"not of our form": {&secrets{SigningKeys: []string{"x"}}, 0o600, exitFailed, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.json")
			if c.file != nil {
				path = writeSecrets(t, *c.file, c.mode)
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
