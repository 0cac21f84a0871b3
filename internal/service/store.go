package service

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Store is the contract for records. SQLite and PostgreSQL pass one suite,
// internal/store/storetest.
//
//  1. An Update is atomic: its changes and its entries appear together or not
//     at all, on error, panic, cancelled context, and kill.
//  2. An Update that returned nil is durable: it survives kill -9 and loss of
//     power.
//  3. Concurrent Updates may share one commit. Each is isolated: one that
//     fails leaves its neighbours untouched.
//  4. A ledger's seq starts at 0 and has no gap, under any number of
//     goroutines and processes. Taking the ledger's head is the first thing an
//     Update does, so the order of entries is the order of decisions.
//  5. The function given to Update may run again after a failure to serialise,
//     and may run beside no other of its ledger: it touches only its Tx, does
//     no other I/O, and does not wait.
//  6. A View sees one consistent snapshot and cannot write. It reads what
//     every Update that returned before it began has written.
//  7. What is missing, or belongs to another ledger, is CodeNotFound; a
//     duplicate id is CodeConflict, but that of an entry, which nothing looks for.
//  8. Lists run newest first by (created, id), entries in the order of the log, and
//     page in both directions, stable while rows come and go.
//  9. Moments are UTC microseconds; texts and metadata come back byte for
//     byte; a hostile string is data.
//  10. Deleting a file ends its links, and revoking a key ends the links it
//     minted: every reader sees that from the moment of the Update, whose cost
//     does not grow with their number. EndLinks marks the rows of links later.
//     Rows stay, so that cursors and the log hold.
//  11. Migrations only go forward. A schema newer than the program is refused
//     when it is opened.
//
// What the store cannot do now is CodeUnavailable, with RetryAfter; a full disk
// is CodeStorageFull. Either way nothing was changed, except perhaps by an
// Update whose connection broke while it was committed: nobody was told whether
// it was.
type Store interface {
	// Update runs fn once, or again after a failure to serialise, in one
	// transaction on a ledger, and commits it when fn returns nil.
	Update(ctx context.Context, ledger sluice.LedgerID, fn func(Tx) error) error
	// View runs fn on a snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// KeyByHash does what it does in a View, at a third of the price.
	KeyByHash(ctx context.Context, hash sluice.Digest) (sluice.Key, error)
	// Extend stores the tiles that new entries have grown and the checkpoint
	// over them, together. When the newest checkpoint is not the one of size
	// from any more, another process was faster, and it is CodeConflict.
	Extend(ctx context.Context, l sluice.LedgerID, from int64, tiles []ledger.TileData, c Checkpoint) error
	// HandOver stores a rotation that is complete. The same one again changes nothing.
	HandOver(ctx context.Context, l sluice.LedgerID, r Rotation) error
	// KeysUsed notes when keys of any ledger were last used.
	KeysUsed(ctx context.Context, used map[string]time.Time) error
	// ForgetGrants removes the open grants that ended before a moment, and says how many.
	ForgetGrants(ctx context.Context, before time.Time) (int, error)
	// ForgetGuesses removes the guesses of days that began before a moment, and says how many rows that were.
	ForgetGuesses(ctx context.Context, before time.Time) (int, error)
	// ForgetAnswers removes the answers made before a moment, and says how many.
	ForgetAnswers(ctx context.Context, before time.Time) (int, error)
	// Scrubbed notes how far the scrub has come, and of files whose bytes it found
	// as they should be, that they are not damaged, and their CRC-32. It is no
	// change that anyone decided, so no entry tells of it.
	Scrubbed(ctx context.Context, p ScrubProgress, whole []WholeFile) error
	// EndLinks marks some links of revoked keys and deleted files, in short
	// commits, one for each ledger that has any. It says how many, and whether
	// more are left. A ledger whose links cannot be marked stops no other.
	EndLinks(ctx context.Context) (marked int, more bool, err error)
	// Cosign replaces the note of the checkpoint of a size by what add makes of it:
	// the same note, with the signature of a witness. When several add to one note,
	// each sees what the others have added. A size that has no checkpoint is
	// CodeNotFound.
	Cosign(ctx context.Context, l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error)) error
	// Exclusive runs fn unless anybody else is running what has the same name, in
	// this process or another, and says whether it ran. A holder that dies or is
	// frozen loses the right within ten seconds, by the clock of the database;
	// then fn's context ends, and a frozen one may have gone on for a moment
	// beside the next. So fn is work that does no harm when it is done twice.
	Exclusive(ctx context.Context, name string, fn func(context.Context) error) (ran bool, err error)
	// Ready says whether an Update could succeed now: an error is what to show.
	Ready(ctx context.Context) error
	Close() error
}

type foreseenLink struct{}

// Foresee says of an Update that it will ask for a link and its file. A Store
// that is far away fetches those of all Updates that share a commit at once; to
// an Update that asks for others it makes no difference.
func Foresee(ctx context.Context, link string) context.Context {
	return context.WithValue(ctx, foreseenLink{}, link)
}

// Foreseen gives what Foresee was told, "" for nothing.
func Foreseen(ctx context.Context) (link string) {
	link, _ = ctx.Value(foreseenLink{}).(string)
	return link
}

type ending struct{}

// Ending marks an Update as a revocation or deletion. A Store may let it through
// where a disk is too full for others.
func Ending(ctx context.Context) context.Context { return context.WithValue(ctx, ending{}, true) }

// IsEnding reports what Ending was told.
func IsEnding(ctx context.Context) bool { return ctx.Value(ending{}) != nil }

// Reader reads records. Every method but those that say otherwise sees one
// ledger only.
type Reader interface {
	// Accounts gives every account, oldest first.
	Accounts() ([]sluice.Account, error)
	// Installation gives the id of the installation whose records these are. A
	// new database has a new random one; a copy of a database has the same, also
	// one that was made before there were such ids.
	Installation() (string, error)
	// SigningKeys gives the ids of the signing keys that this database has
	// been used with, oldest first.
	SigningKeys() ([]string, error)

	// KeyByHash finds a key in any ledger by the hash of its secret, or of the
	// one before it.
	KeyByHash(hash sluice.Digest) (sluice.Key, error)
	Key(ledger sluice.LedgerID, id string) (sluice.Key, error)
	Keys(ledger sluice.LedgerID, page sluice.Page) (sluice.List[sluice.Key], error)

	// File gives a file, active or deleted.
	File(ledger sluice.LedgerID, id string) (sluice.File, error)
	Files(ledger sluice.LedgerID, filter FileFilter, page sluice.Page) (sluice.List[sluice.File], error)
	// AnyFile reports whether any ledger has a file, active or deleted.
	AnyFile() (bool, error)
	// KnownFiles gives those of up to 500 ids that are files, in any ledger, and
	// whether each is active. The ids of no file are left out.
	KnownFiles(ids []string) (active map[string]bool, err error)

	// FilesAfter gives up to limit active files of any ledger whose ids come after
	// one, in the order of their ids.
	FilesAfter(id string, limit int) ([]StoredFile, error)
	// DamagedFiles is the number of active files of all ledgers that are noted as
	// damaged.
	DamagedFiles() (int64, error)
	// ScrubProgress gives what Scrubbed noted last, zero when it never did.
	ScrubProgress() (ScrubProgress, error)

	// ExpiredFiles gives up to limit active files of any ledger whose time of
	// retention has passed and that are not held, longest expired first.
	ExpiredFiles(now time.Time, limit int) ([]sluice.File, error)

	// Link gives a link, also one that has ended.
	Link(ledger sluice.LedgerID, id string) (sluice.Link, error)
	// Links leaves out the links that were ended by their owner.
	Links(ledger sluice.LedgerID, filter LinkFilter, page sluice.Page) (sluice.List[sluice.Link], error)

	// OpenGrant gives the grant that a bearer of a link has, also one that has ended.
	OpenGrant(ledger sluice.LedgerID, link string, bearer sluice.Digest) (OpenGrant, error)

	// Guesses gives how often a link's password was guessed wrongly from an
	// address on a day; none at all is no error.
	Guesses(ledger sluice.LedgerID, link string, address sluice.Digest, day time.Time) (Guesses, error)

	// Answer gives what was remembered of a request, by key and idempotency key.
	Answer(keyID, onceKey string) (Answer, error)

	// Unsigned gives the ledgers that have entries beyond their newest checkpoint.
	Unsigned() ([]sluice.LedgerID, error)
	// Logs says how far each ledger has come.
	Logs() ([]LogSize, error)
	// Size is the number of entries of a ledger.
	Size(l sluice.LedgerID) (int64, error)
	// Leaves gives up to limit sealed entries from seq on, in order.
	Leaves(l sluice.LedgerID, from int64, limit int) ([]audit.SealedEntry, error)
	// LeafHashes gives the leaf hashes of up to limit entries from seq on, in order.
	LeafHashes(l sluice.LedgerID, from int64, limit int) ([]ledger.Hash, error)
	// Tiles gives hash tiles, each at least as wide as asked for. One that is
	// missing or narrower is CodeNotFound.
	Tiles(l sluice.LedgerID, tiles []ledger.Tile) ([][]byte, error)
	// Checkpoint gives the smallest checkpoint of at least a size, or with a
	// negative one the newest.
	Checkpoint(l sluice.LedgerID, size int64) (Checkpoint, error)
	// Rotations gives the rotations of a ledger, oldest first.
	Rotations(l sluice.LedgerID) ([]Rotation, error)
	// Sealed gives an entry as it is stored.
	Sealed(l sluice.LedgerID, id string) (seq int64, e audit.SealedEntry, err error)

	Entry(ledger sluice.LedgerID, id string) (sluice.Entry, error)
	Entries(ledger sluice.LedgerID, filter EntryFilter, page sluice.Page) (sluice.List[sluice.Entry], error)
}

// Tx changes records. Every change takes the entry that tells of it, and there
// is no other way to change anything: seq is given in the order of the calls.
type Tx interface {
	Reader

	CreateAccount(sluice.Account, sluice.Entry) error
	// AddSigningKey notes that a signing key is in use with this database.
	AddSigningKey(id string, now time.Time, e sluice.Entry) error

	CreateKey(sluice.Key, sluice.Entry) error
	// UpdateKey replaces all of a key but what identifies it and Used.
	UpdateKey(sluice.Key, sluice.Entry) error
	// RevokeKey ends a key and every link it minted that is still good: see point 10.
	RevokeKey(id string, now time.Time, e sluice.Entry) error

	CreateFile(sluice.File, sluice.Entry) error
	// UpdateFile replaces Filename, Title, Metadata, Linked, Held and Updated.
	UpdateFile(sluice.File, sluice.Entry) error
	// DeleteFile marks a file as deleted and ends its links: see point 10.
	DeleteFile(id string, now time.Time, e sluice.Entry) error

	// FileDamaged notes what was found in place of the bytes of a file. A file that
	// is deleted, or of which the same is noted already, is CodeNotFound.
	FileDamaged(id, found string, e sluice.Entry) error

	// CreateLink stores a link, which expires after it was created if it does.
	CreateLink(sluice.Link, sluice.Entry) error
	// UpdateLink replaces Reason, Metadata, MaxDownloads, AllowedIPs, Expires,
	// Revoked, Ended and Updated.
	UpdateLink(sluice.Link, sluice.Entry) error
	// Redeemed counts one download of a link.
	Redeemed(id string, now time.Time, e sluice.Entry) error
	// Returned takes back one download that Redeemed counted.
	Returned(id string, e sluice.Entry) error

	// SetGrant keeps what a bearer of a link may still ask for, in place of what
	// was kept. The entry of the redemption that it follows from tells of it.
	SetGrant(OpenGrant) error

	// SetGuesses keeps how often a password was guessed wrongly, in place of what
	// was kept. The entry of the refusal tells of it.
	SetGuesses(Guesses) error

	// Redact erases disclosures of an entry: those named, as JSON Pointers.
	Redact(id string, fields []string, e sluice.Entry) error
	// Record adds an entry that tells of no change, such as a refusal.
	Record(sluice.Entry) error

	// Remember keeps the answer to a request, in place of an older one to the
	// same keys. It is no change that anyone decided, so no entry tells of it.
	Remember(Answer) error
}

// FileFilter narrows a list of files; its zero value narrows it to active ones.
type FileFilter struct {
	Purpose  string
	Purposes []string // one of these
	Filename string
	Title    string
	Type     string
	Types    []string // one of these
	SHA256   *sluice.Digest
	Size     sluice.Range[int64]
	Linked   *sluice.Resource
	Status   FileStatus
	IDs      []string
	Created  sluice.TimeRange
}

// FileStatus says which files a list holds.
type FileStatus string

// The statuses.
const (
	ActiveFiles  FileStatus = "" // also on the wire when nothing is asked for
	DeletedFiles FileStatus = "deleted"
)

// LinkFilter narrows a list of links; its zero value narrows nothing.
type LinkFilter struct {
	FileID  string
	IDs     []string
	Created sluice.TimeRange
	Expires sluice.TimeRange
	Expired *bool     // by Now
	Revoked *bool     // ended before its time
	Over    *bool     // expired by Now, or ended before its time
	Now     time.Time // with Expired and Over
}

// EntryFilter narrows a list of entries; its zero value narrows nothing.
type EntryFilter struct {
	FileID    string
	LinkID    string
	KeyID     string // see Entry.KeyID
	Action    sluice.Action
	Outcome   sluice.Outcome
	RequestID string
	IDs       []string
	Created   sluice.TimeRange
}

// OpenGrant is what a bearer of a link with a number of downloads may still ask
// for without being counted again.
type OpenGrant struct {
	LinkID  string
	Bearer  sluice.Digest // of their cookie, or of their address and user agent
	Expires time.Time
	Left    int64 // bytes
}

// Guesses say how often the password of a link was guessed wrongly on a day,
// from one address or, with a zero Address, from all.
type Guesses struct {
	LinkID  string
	Address sluice.Digest // of the link and the network
	Day     time.Time
	N       int64
	Last    time.Time
}

// GuessDay is the day on which a guess is counted.
func GuessDay(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour) }
