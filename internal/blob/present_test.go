package blob

import (
	"context"
	"slices"
	"testing"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

type depot interface {
	service.Blobs
	Present(context.Context, []string) (map[string]int64, error)
	Release(context.Context, string) error
}

func depots(t *testing.T) map[string]func(*testing.T) depot {
	return map[string]func(*testing.T) depot{
		"disk": func(t *testing.T) depot { return openDisk(t, t.TempDir()) },
		"S3": func(t *testing.T) depot {
			s := openSharedS3(t, sharedGateway(t))
			s.pageSize = 3
			return s
		},
	}
}

// Present tells the sizes of what is stored, among others and over several pages of a list.
func TestPresent(t *testing.T) {
	for name, open := range depots(t) {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			var keys []string
			for n := range 12 {
				keys = append(keys, blobtest.Key(n))
			}
			slices.Sort(keys)
			want := map[string]int64{}
			for n, key := range keys {
				if n%3 == 2 {
					continue
				}
				blobtest.Put(t, d, key, blobtest.Content(n, n))
				if n > 0 && n < 10 { // neither the first nor the last are asked for
					want[key] = int64(n)
				}
			}
			got, err := d.Present(t.Context(), keys[1:10])
			if err != nil || len(got) != len(want) {
				t.Fatalf("%v, %v, want %v", got, err, want)
			}
			for key, size := range want {
				if got[key] != size {
					t.Errorf("%s has %d bytes, want %d", key, got[key], size)
				}
			}
			if got, err := d.Present(t.Context(), nil); err != nil || len(got) != 0 {
				t.Errorf("of no keys: %v, %v", got, err)
			}
			_, err = d.Present(t.Context(), []string{"../a"})
			blobtest.WantCode(t, "Present of a hostile key", err, sluice.CodeValidation)
		})
	}
}

// A place that was released can be claimed by another installation. Only its owner releases it.
func TestRelease(t *testing.T) {
	for name, open := range depots(t) {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			if err := d.Release(t.Context(), "one"); err != nil {
				t.Errorf("without a claim: %v", err)
			}
			if err := d.Claim(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			blobtest.WantCode(t, "Release by another", d.Release(t.Context(), "two"), sluice.CodeConflict)
			if err := d.Release(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			if err := d.Claim(t.Context(), "two"); err != nil {
				t.Errorf("after a Release: %v", err)
			}
		})
	}
}
