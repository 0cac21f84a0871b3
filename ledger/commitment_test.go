package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func TestCommit(t *testing.T) {
	salt := Salt{0: 0xAB, 15: 0xCD}
	for _, n := range []int{0, 1, 11, 1023, 1024, 1025, 70000} {
		value := strings.Repeat("v", n)
		sum := sha256.Sum256(append(salt[:], value...))
		want := "sha256:" + hex.EncodeToString(sum[:])
		if got := Commit(salt, []byte(value)); got != want {
			t.Errorf("Commit of %d bytes = %s, want %s", n, got, want)
		}
		if got := string(AppendCommitment([]byte("x"), salt, value)); got != "x"+want {
			t.Errorf("AppendCommitment of %d bytes = %s, want x%s", n, got, want)
		}
	}
}

func BenchmarkAppendCommitment(b *testing.B) {
	dst := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendCommitment(dst[:0], Salt{1}, "203.0.113.7")
	}
}
