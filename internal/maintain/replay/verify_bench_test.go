package replay_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice/ledger"
)

// BenchmarkVerify has sluice audit verify a folder with a log of REPLAY_ENTRIES entries, a million if it is not set, as
// BenchmarkReplay makes them. It reports the processor time and the largest memory of the command. The folder takes
// 600 bytes for an entry.
func BenchmarkVerify(b *testing.B) {
	n, err := strconv.ParseInt(os.Getenv("REPLAY_ENTRIES"), 10, 64)
	if err != nil {
		n = 1_000_000
	}
	dir := b.TempDir()
	writeLog(b, dir, n)
	sluice := filepath.Join(b.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-o", sluice, "sluice/cmd/sluice").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for b.Loop() {
		cmd, began := exec.Command(sluice, "audit", "verify", dir), time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		used := cmd.ProcessState
		b.ReportMetric(time.Since(began).Seconds(), "s/op")
		b.ReportMetric((used.UserTime() + used.SystemTime()).Seconds(), "cpu-s/op")
		b.ReportMetric(float64(used.SysUsage().(*syscall.Rusage).Maxrss)/1024, "peak-MiB")
	}
	b.ReportMetric(0, "ns/op")
}

// writeLog writes an exported log of at least n entries.
func writeLog(b *testing.B, dir string, n int64) {
	b.Helper()
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	tree := &ledger.Tree{}
	var bundle []byte
	flush := func() {
		width := (tree.Size()-1)%ledger.TileWidth + 1
		tile := ledger.Tile{Level: ledger.EntriesLevel, Index: (tree.Size() - 1) / ledger.TileWidth, Width: int(width)}
		write(tile.Path(), bundle)
		bundle = bundle[:0]
	}
	entries(b, n, false, func(leaf []byte) {
		var err error
		if bundle, err = ledger.AppendEntry(bundle, leaf); err != nil {
			b.Fatal(err)
		}
		if tree.Append(ledger.LeafHash(leaf)); tree.Size()%ledger.TileWidth == 0 {
			flush()
		}
		if tree.Size()%(1<<18) == 0 {
			for _, t := range tree.Changes() {
				write(t.Tile.Path(), t.Data)
			}
		}
	})
	if len(bundle) > 0 {
		flush()
	}
	for _, t := range tree.Changes() {
		write(t.Tile.Path(), t.Data)
	}
	skey, vkey, err := ledger.GenerateKey(rand.Reader, "example.com/acct_1/test")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := ledger.NewSigner(skey, "example.com/acct_1/test")
	if err != nil {
		b.Fatal(err)
	}
	signed, err := signer.Sign(tree.Size(), tree.Root())
	if err != nil {
		b.Fatal(err)
	}
	write("checkpoint", signed)
	write("key", []byte(vkey+"\n"))
	write("rotations", nil)
	write("disclosures.ndjson", nil)
}
