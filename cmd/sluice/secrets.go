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

// secrets is what makes links and checkpoints authentic. It stands in a file of
// its own, never in the database, so that neither a database nor a backup of one
// opens a file or signs a log.
type secrets struct {
	SigningKeys []string `json:"signing_keys"` // of links: the first one signs, all are accepted
	LedgerKeys  []string `json:"ledger_keys"`  // of checkpoints: the first one signs, the others hand over to it
}

// newSecrets makes secrets that nobody had before.
func newSecrets() (s secrets, err error) {
	link, err := token.NewKey(rand.Reader)
	if err != nil {
		return s, err
	}
	// Each log puts its own name in the place of the key's.
	checkpoint, _, err := ledger.GenerateKey(rand.Reader, "sluice")
	return secrets{SigningKeys: []string{link.Secret()}, LedgerKeys: []string{checkpoint}}, err
}

// keys reads the secrets into the configuration of a service, which must be
// able to work with each of them.
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
	c.LedgerKeys = s.LedgerKeys
	switch {
	case len(s.SigningKeys) == 0:
		return errors.New("no signing key in it")
	case len(s.LedgerKeys) == 0:
		return errors.New("no ledger key in it")
	}
	return nil
}

// loadSecrets reads the secrets at path into the configuration of a service.
// With create it makes them when there is no such file: whole and durable, or
// not at all.
func loadSecrets(path string, create bool, c *service.Config) error {
	if err := checkMode(path, c.Log); err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	s, err := readSecrets(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		s, err = createSecrets(path)
		if errors.Is(err, fs.ErrExist) { // another server that starts now was first
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

// checkMode refuses a file of secrets that any user of this machine can read or
// change, and warns of one that a group can read. Windows has no such modes.
func checkMode(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" {
		return nil // reading it tells what is wrong
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o027 != 0:
		return fmt.Errorf("its mode %04o lets others read or change it; "+
			"run chmod 600, and rotate the secrets: assume they were read", mode)
	case mode&0o040 != 0 && log != nil:
		log.Warn("a group can read the secrets", "file", path, "mode", fmt.Sprintf("%04o", mode))
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
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, err
	}
	return s, writeOnce(path, append(data, '\n'))
}

// writeOnce makes a file that only its owner may read, durable when it
// returns. It never replaces one.
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
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
