package service

import (
	"context"
	"io"
	"time"

	"sluice"
)

// Blobs is the contract for bytes. Disk and S3 pass one suite, internal/blob/blobtest.
//
//  1. Bytes and record are two steps. Bytes are staged: Stage begins an upload
//     under a key, Append adds bytes to it, and Commit makes them visible. The
//     record that names them is committed after that. Every upload takes this
//     path; Put is Stage, Append and Commit in one call.
//  2. Append streams in constant memory. A stage counts and hashes the bytes that
//     arrived: size, SHA-256 and CRC-32 do not depend on what a caller declared.
//  3. Nothing is visible before Commit: Open, Size and Walk do not know a key that
//     is only staged. Commit returns when the bytes are durable. They are visible
//     whole or not at all.
//  4. A stage that was saved can be resumed, also after its process ended. Any
//     other stage ends with its handle and leaves nothing. Sweep removes what a
//     crash left, and saved stages that nobody continued for StageAge. Bytes that
//     were committed and got no record because of a crash are orphans;
//     Sweep removes them.
//  5. Open gives any range of the bytes. A later Remove does not disturb it, with
//     one exception: S3 returns CodeNotFound when it must send another request for
//     the rest.
//  6. Keys are ids that Sluice makes, never a user's. A malformed key is
//     CodeValidation, before anything is touched. A missing key is CodeNotFound;
//     Remove of a missing key succeeds.
//  7. A place belongs to at most one installation: to the first that claims it.
//     The marker of the claim is not a key.
//
// A full disk is CodeStorageFull. An error of the reader given to Put or Append
// is returned as it came.
type Blobs interface {
	// Put stores all of r under key. A taken key is CodeConflict.
	Put(ctx context.Context, key string, r io.Reader) (Stored, error)
	// Stage begins an upload under key. Several may be under way for one key; the
	// first Commit wins. The caller closes the stage.
	Stage(ctx context.Context, key string) (Stage, error)
	// Resume opens a saved stage in the state of its last Save. It may be called in
	// another process. CodeNotFound means that no stage of the key is saved.
	// CodeConflict means that the bytes of the key were committed, or that another
	// handle uses the stage and the place can tell so. The caller closes the stage.
	Resume(ctx context.Context, key string) (Stage, error)
	// Open gives the bytes under key. Reading them may end with ctx. The caller
	// closes it.
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Size gives the number of bytes under key without reading them.
	Size(ctx context.Context, key string) (int64, error)
	// Remove removes the bytes under key.
	Remove(ctx context.Context, key string) error
	// Discard moves the bytes under key to the trash, from where an operator may
	// bring them back. After that they are missing, as after Remove. Discard of a
	// missing key succeeds.
	Discard(ctx context.Context, key string) error
	// EmptyTrash removes what was discarded before a moment, and returns how many.
	EmptyTrash(ctx context.Context, before time.Time) (int, error)
	// Walk calls fn for every key stored, in no order. The time it gives is not
	// later than the Commit and not earlier than the first Append. Keys that come
	// or go meanwhile may or may not be included. Walk ends with fn's first error.
	Walk(ctx context.Context, fn func(key string, written time.Time) error) error
	// Sweep removes what unfinished uploads left behind before a moment: stages
	// that were not saved and got no byte since, and stages whose last Save is
	// StageAge before that moment. It returns how many there were.
	Sweep(ctx context.Context, before time.Time) (int, error)
	// Ready reports whether an upload could succeed now. An error is what to show.
	Ready(ctx context.Context) error

	// Owner gives the id of the installation that claimed this place, from the
	// marker named MarkerName, or "" when none did.
	Owner(ctx context.Context) (id string, err error)
	// Claim makes an installation the owner of this place, durably. Of several
	// that claim it at once, one succeeds. A place that another installation owns
	// is CodeConflict; the owner may claim it again. An id has 1 to 64 letters and
	// digits; any other is CodeValidation.
	Claim(ctx context.Context, id string) error
}

// StageAge is how long a saved stage can be resumed after its last Save.
const StageAge = 24 * time.Hour

// Stage is an upload under way: bytes that are not visible yet. One goroutine at
// a time may use it.
//
// A stage holds memory or an open file until Close. A caller closes it soon, and
// in any case, also after a Commit or an error.
//
// A stage that was saved outlives its handle and its process: Blobs.Resume opens
// it again. The hash states are saved with the bytes, so that nothing is read
// again to resume or to commit. Two handles on one saved stage never mix their
// bytes. One of them, at the latest at its Save or Commit, fails with
// CodeConflict or CodeNotFound; what the other one saved stays whole.
type Stage interface {
	// Append adds all of r. Offset must be the number of bytes staged so far;
	// any other is CodeConflict, and the error names the right one.
	//
	// An error of r, or the end of ctx, keeps the bytes that came before it, and
	// the next Append continues after them. After any other error, such as
	// CodeStorageFull, the stage can only be aborted or closed.
	Append(ctx context.Context, offset int64, r io.Reader) error
	// Stored gives size and digests of the bytes staged so far. It reads nothing.
	Stored() Stored
	// Save makes the bytes staged so far durable, and has Resume find the stage.
	// A caller acknowledges an offset only after Save. Bytes that were appended
	// since the last Save are lost when the stage is closed or its process ends;
	// a place may keep some of them once there are more than 256 MiB. After an
	// error of Save the stage can only be aborted or closed; Resume then tells
	// what was saved. Of two stages of one key, only the first can be saved; the
	// other is CodeConflict.
	Save(ctx context.Context) error
	// Commit makes the bytes durable and visible under the key, and gives their
	// size and digests. A taken key is CodeConflict. A Commit that failed may be
	// tried again, on this stage or, if it was saved, on one that Resume gives;
	// after the end of ctx in a Save or a Commit, only on one that Resume gives.
	// After a Commit that succeeded, another one gives the same answer.
	// Append and Save are CodeConflict once Commit was called. After a crash in
	// Commit, Resume is CodeConflict if the bytes are visible; else it gives a
	// stage that may be committed, and may refuse to take more bytes.
	Commit(ctx context.Context) (Stored, error)
	// Abort removes the stage, saved or not, and closes it. Bytes that were
	// committed stay.
	Abort(ctx context.Context) error
	// Close ends the use of the stage. Bytes that were neither saved nor committed
	// are removed.
	Close() error
}

// MarkerName names the marker of the owner of a place for blobs: a file in their
// folder, or an object below their prefix.
const MarkerName = "installation"

// Verifier is what Open may give besides: bytes that are all in memory, so that
// they can be checked before the first one leaves.
type Verifier interface {
	// Verify reports whether the bytes have a digest. A cache keeps only bytes
	// that were verified, and does not hash them again.
	Verify(want sluice.Digest) bool
}

// Cache is implemented by Blobs that serve bytes from memory.
type Cache interface {
	// Uncached gives the Blobs behind the cache.
	Uncached() Blobs
}

// Presigner is implemented by Blobs whose bytes clients can fetch from the place
// itself. S3 implements it; Disk does not.
type Presigner interface {
	// Presign gives a URL that lets its holder get the bytes under key, without a
	// request to Sluice. Presign does not check that the bytes exist. A key of the
	// wrong form is CodeValidation.
	Presign(ctx context.Context, key string, p Presigned) (url string, err error)
}

// Presigned describes a presigned URL.
type Presigned struct {
	Type        string        // the Content-Type of the answer; the store's own when ""
	Disposition string        // the Content-Disposition of the answer; none when ""
	Lifetime    time.Duration // in whole seconds, from one to MaxPresigned
}

// MaxPresigned is the longest lifetime of a presigned URL that S3 signs.
const MaxPresigned = 7 * 24 * time.Hour

// Stored describes bytes that were staged or committed.
type Stored struct {
	Size   int64
	SHA256 sluice.Digest
	CRC32  uint32 // IEEE 802.3, as ZIP has it
}
