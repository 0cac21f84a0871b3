package gate_test

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/gate"
)

// Both ways to read a file refuse bytes whose number differs from the record.
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

// An upload records the CRC-32 of its bytes.
func TestUploadChecksum(t *testing.T) {
	f := newFixture(t)
	for _, content := range []string{"", "content", strings.Repeat("content", 100_000)} {
		file := f.upload(content)
		kept, err := f.Files.Get(ctx, f.caller, file.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := crc32.ChecksumIEEE([]byte(content)); kept.CRC32 == nil || *kept.CRC32 != want {
			t.Errorf("of %d bytes: CRC-32 %v, want %d", len(content), kept.CRC32, want)
		}
	}
}
