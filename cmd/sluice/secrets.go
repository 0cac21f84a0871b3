package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/ledger"
)

// secrets sign links and checkpoints. They are kept in a file and never in the
// database: a database or its backup can then neither open a file nor sign a
// log.
type secrets struct {
	SigningKeys []string `json:"signing_keys"` // for links: the first signs, all verify
	LedgerKeys  []string `json:"ledger_keys"`  // for checkpoints: the first signs, the log rotates from the others to it

	// Seals is "required" if servers refuse keys and links whose rows have no seal: see package seal. It is "" in the file
	// of an older version, whose rows have none.
	Seals string `json:"seals,omitempty"`

	// Added names the newest keys that sluice secrets rotate --step add has added. It is nil once they sign: the order
	// of the keys alone does not tell a key that is new from one that signed before.
	Added *addedKeys `json:"added,omitempty"`
}

// addedKeys are keys by their public names.
type addedKeys struct {
	SigningKey string `json:"signing_key"` // its id
	LedgerKey  string `json:"ledger_key"`  // its verifier key
}

// sealsRequired is the only value of secrets.Seals, beside none.
const sealsRequired = "required"

// newSecrets generates secrets.
func newSecrets() (s secrets, err error) {
	link, err := token.NewKey(rand.Reader)
	if err != nil {
		return s, err
	}
	// Each log replaces the name in the key with its own.
	checkpoint, _, err := ledger.GenerateKey(rand.Reader, "sluice")
	return secrets{SigningKeys: []string{link.Secret()}, LedgerKeys: []string{checkpoint}, Seals: sealsRequired}, err
}

// keys parses all secrets and adds them to c.
func (s secrets) keys(c *service.Config) error {
	for _, text := range s.SigningKeys {
		k, err := token.ParseKey(text)
		if err != nil {
			return err
		}
		c.SigningKeys = append(c.SigningKeys, k)
	}
	for _, text := range s.LedgerKeys {
		if _, err := ledger.NewSigner(text, "sluice"); err != nil {
			return err
		}
	}
	c.LedgerKeys, c.RequireSeals = s.LedgerKeys, s.Seals == sealsRequired
	switch {
	case s.Seals != "" && s.Seals != sealsRequired:
		return fmt.Errorf("seals is %q, and may only be %q", s.Seals, sealsRequired)
	case len(s.SigningKeys) == 0:
		return errors.New("it holds no signing key")
	case len(s.LedgerKeys) == 0:
		return errors.New("it holds no ledger key")
	}
	return nil
}

// loadSecrets reads the secrets at path and adds them to c. With create, a
// missing file is created atomically and durably.
func loadSecrets(path string, create bool, c *service.Config) error {
	if err := checkMode(path, c.Log); err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	s, err := readSecrets(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		s, err = createSecrets(path)
		if errors.Is(err, fs.ErrExist) { // another server was first
			s, err = readSecrets(path)
		}
	}
	if err == nil {
		err = s.keys(c)
	}
	if err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	return nil
}

// checkMode refuses a secrets file that any user of the machine can read or
// change. It logs a warning if the file's group can read it. Windows has no
// such modes.
func checkMode(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" {
		return nil // reading it will report the error
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o027 != 0:
		return fmt.Errorf("its mode %04o lets others read or change it; "+
			"run chmod 600, and rotate the secrets: assume they were read", mode)
	case mode&0o040 != 0 && log != nil:
		log.Warn("the secrets file is readable by its group", "file", path, "mode", fmt.Sprintf("%04o", mode))
	}
	return nil
}

func readSecrets(path string) (s secrets, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

func createSecrets(path string) (secrets, error) {
	s, err := newSecrets()
	if err != nil {
		return s, err
	}
	text, err := s.text()
	if err != nil {
		return s, err
	}
	return s, writeOnce(path, text)
}

// writeOnce creates a file that only its owner can read, durably. It never
// replaces a file.
func writeOnce(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
