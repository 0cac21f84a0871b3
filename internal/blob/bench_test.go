package blob

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

// BenchmarkUpload stores blobs in a folder and on the S3 server of the tests.
func BenchmarkUpload(b *testing.B) {
	b.Run("disk", func(b *testing.B) {
		// os.TempDir may be in memory; the bytes must go where a Sync costs something.
		dir, err := os.MkdirTemp(".", "bench")
		if err != nil {
			b.Fatal(err)
		}
		defer os.RemoveAll(dir)
		benchmarkUpload(b, openDisk(b, dir), 4<<10, 1<<20, 64<<20)
	})
	b.Run("s3", func(b *testing.B) {
		g := sharedGateway(b)
		benchmarkUpload(b, mustOpenS3(b, g.options(b)), 4<<10, 64<<20)
	})
}

func benchmarkUpload(b *testing.B, blobs service.Blobs, sizes ...int) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			p := blobtest.Content(size, size)
			b.SetBytes(int64(size))
			n := 0
			for b.Loop() {
				n++
				if _, err := blobs.Put(b.Context(), blobtest.Key(n), bytes.NewReader(p)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := blobs.Remove(b.Context(), blobtest.Key(n)); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
