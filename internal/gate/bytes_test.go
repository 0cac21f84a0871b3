package gate_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice"
	"sluice/internal/gate"
)

// Bytes of another size than was recorded are refused, by both ways to get them.
func TestDamagedSize(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut":    func(path string) error { return os.Truncate(path, 3) },
		"empty":  func(path string) error { return os.Truncate(path, 0) },
		"grown":  func(path string) error { return os.Truncate(path, 70_000) },
		"folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			file := f.upload("content")
			_, token := f.mint(file)
			path := filepath.Join(f.base.Dir, "blobs", file.ID[len(file.ID)-2:], file.ID)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			_, err := f.ReadFile(ctx, f.caller, file.ID, whole)
			wantCode(t, err, sluice.CodeInternal)
			_, err = f.grant(token, gate.Bearer{Address: here})
			wantCode(t, err, sluice.CodeInternal)
		})
	}
}
