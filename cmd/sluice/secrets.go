package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sluice"
)

// secrets is what makes links authentic. It stands in a file of its own, never
// in the database, so that neither a database nor a backup of one opens a file.
type secrets struct {
	SigningKeys []string `json:"signing_keys"` // the first one signs, all are accepted
}

func (s secrets) signingKeys() ([]sluice.SigningKey, error) {
	var keys []sluice.SigningKey
	for _, text := range s.SigningKeys {
		k, err := sluice.ParseSigningKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no signing key in it")
	}
	return keys, nil
}

// loadSecrets reads the secrets at path. With create it makes them when there
// is no such file: whole and durable, or not at all.
func loadSecrets(path string, create bool) ([]sluice.SigningKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		return newSecrets(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	var s secrets
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("secrets %s: %w", path, err)
	}
	keys, err := s.signingKeys()
	if err != nil {
		return nil, fmt.Errorf("secrets %s: %w", path, err)
	}
	return keys, nil
}

func newSecrets(path string) ([]sluice.SigningKey, error) {
	k, err := sluice.NewSigningKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(secrets{SigningKeys: []string{k.Secret()}}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeOnce(path, append(data, '\n')); err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return []sluice.SigningKey{k}, nil
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
