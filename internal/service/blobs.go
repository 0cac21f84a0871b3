package service

import (
	"context"
	"io"
	"time"

	"sluice"
)

// Blobs is the contract for bytes. Disk and S3 pass one suite, internal/blob/blobtest.
//
//  1. Put streams in constant memory and returns the size, SHA-256 and CRC-32
//     of what it stored, not of what it was promised.
//  2. Put returns only when the bytes are durable. They are visible whole or
//     not at all.
//  3. A Put that failed, was cancelled, or whose reader broke off leaves
//     nothing that can be opened. Bytes land before the record that names
//     them; what a crash leaves between the two is an orphan that Sweep
//     removes.
//  4. Open gives any range of the bytes and is undisturbed by a Remove that
//     comes after it, but that S3, when it must ask again for another range or
//     over another connection, then says CodeNotFound.
//  5. Keys are ids of Sluice's own making, never a user's. A key that is none
//     is refused before anything is touched. Missing is CodeNotFound; Remove
//     of what is missing succeeds.
//  6. A place belongs to at most one installation: to the first that claims
//     it. The marker of the claim is none of the keys.
//
// A full disk is CodeStorageFull; an error of the reader given to Put is
// returned as it came.
type Blobs interface {
	// Put stores all of r under key. A key that is taken is CodeConflict.
	Put(ctx context.Context, key string, r io.Reader) (Stored, error)
	// Open gives the bytes under key. Reading them may end with ctx. The caller
	// closes it.
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Size gives the number of bytes under key, and reads none of them.
	Size(ctx context.Context, key string) (int64, error)
	// Remove ends the bytes under key.
	Remove(ctx context.Context, key string) error
	// Discard moves the bytes under key to the trash, from where an operator may
	// bring them back. Then they are as missing as after Remove. To discard what
	// is missing succeeds.
	Discard(ctx context.Context, key string) error
	// EmptyTrash removes what was discarded before a moment, and says how many.
	EmptyTrash(ctx context.Context, before time.Time) (int, error)
	// Walk calls fn for every key stored, in no order, with a time that is not
	// later than the end of its Put but may be as early as its beginning. Keys
	// that come or go meanwhile may be missed or named. It ends with fn's first
	// error.
	Walk(ctx context.Context, fn func(key string, written time.Time) error) error
	// Sweep removes what unfinished Puts left behind before a moment, and
	// says how many such leftovers there were.
	Sweep(ctx context.Context, before time.Time) (int, error)
	// Ready says whether a Put could succeed now: an error is what to show.
	Ready(ctx context.Context) error

	// Owner gives the id of the installation that claimed this place, from the
	// marker named MarkerName, "" when none did.
	Owner(ctx context.Context) (id string, err error)
	// Claim makes an installation the owner of this place, durably. Of several
	// that claim it at once, one succeeds. A place that another owns is
	// CodeConflict; the owner may claim it again. An id has 1 to 64 letters and
	// digits; any other is CodeValidation.
	Claim(ctx context.Context, id string) error
}

// MarkerName names the marker of the owner of a place for blobs: a file in their
// folder, or an object below their prefix.
const MarkerName = "installation"

// Verifier is what Open may give besides: bytes that are in memory as a whole,
// so that all of them can be checked before the first one leaves.
type Verifier interface {
	// Verify reports whether the bytes have a digest. Blobs keep in memory, for
	// the next Open, only bytes that were verified, and do not hash them again.
	Verify(want sluice.Digest) bool
}

// Cache is what Blobs may be besides: one that gives bytes from memory.
type Cache interface {
	// Uncached gives the Blobs behind the cache.
	Uncached() Blobs
}

// Presigner is what Blobs may be besides: bytes that clients fetch from where
// they are kept. Disk is none; S3 is one.
type Presigner interface {
	// Presign gives a URL by which whoever holds it gets the bytes under key,
	// without Sluice hearing of it. Whether there are any is not looked at. A
	// key of the wrong form is CodeValidation.
	Presign(ctx context.Context, key string, p Presigned) (url string, err error)
}

// Presigned says what a presigned URL gives.
type Presigned struct {
	Type        string        // the Content-Type of the answer; the store's own when ""
	Disposition string        // the Content-Disposition of the answer; none when ""
	Lifetime    time.Duration // in whole seconds, from one to MaxPresigned
}

// MaxPresigned is the longest lifetime of a presigned URL that S3 signs.
const MaxPresigned = 7 * 24 * time.Hour

// Stored is what a Put has written.
type Stored struct {
	Size   int64
	SHA256 sluice.Digest
	CRC32  uint32 // IEEE 802.3, as ZIP has it
}
