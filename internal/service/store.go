package service

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Store is the contract for records. SQLite and PostgreSQL pass one suite, internal/store/storetest.
//
//  1. An Update is atomic: its changes and its entries appear together or not at all, on error, panic, cancelled
//     context, and kill.
//  2. An Update that returned nil is durable: it survives kill -9 and loss of power.
//  3. Concurrent Updates may share one commit. Each is isolated: an Update that fails does not affect the others.
//  4. The seq of a ledger starts at 0 and has no gap, under any number of goroutines and processes. An Update takes the
//     head of the ledger first, so the order of entries is the order of decisions.
//  5. The function given to Update may run again after a serialization failure. It never runs concurrently with another
//     one of its ledger. It uses only its Tx, does no other I/O, and does not wait.
//  6. A View sees one consistent snapshot and cannot write. It sees the changes of every Update that returned before
//     the View began.
//  7. A record that is missing, or that belongs to another ledger, is CodeNotFound. A duplicate id is CodeConflict,
//     except that of an entry: nothing checks it.
//  8. Lists are ordered newest first by (created, id), entries in the order of the log. They page in both directions,
//     and are stable while rows come and go.
//  9. Times are UTC microseconds. Texts and metadata are returned byte for byte; a hostile string is data.
//  10. Deleting a file ends its links, and revoking a key ends the links that it minted. Every reader sees this after
//     the Update, whose cost does not depend on their number. EndLinks marks the rows of the links later. The rows
//     stay, so that cursors and the log remain valid.
//  11. Migrations only go forward. A schema that is newer than the program is refused when it is opened.
//
// An operation that is not possible now is CodeUnavailable, with RetryAfter; a full disk is CodeStorageFull. Either way
// nothing was changed, with one exception: if the connection of an Update broke during the commit, the Update may have
// been committed.
type Store interface {
	// Update runs fn in one transaction on a ledger, and commits it if fn returns nil. After a serialization failure it
	// runs fn again.
	Update(ctx context.Context, ledger sluice.LedgerID, fn func(Tx) error) error
	// View runs fn on a snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// KeyByHash is Reader.KeyByHash in a View of its own, at a third of the cost.
	KeyByHash(ctx context.Context, hash sluice.Digest) (sluice.Key, error)
	// Extend stores the tiles that new entries have changed, and the checkpoint over them, in one commit. If the size
	// of the newest checkpoint is not from, another process was faster, and the error is CodeConflict.
	Extend(ctx context.Context, l sluice.LedgerID, from int64, tiles []ledger.TileData, c Checkpoint) error
	// StoreTiles stores tiles of a ledger anew while a checkpoint is its newest one. Otherwise it is CodeConflict.
	StoreTiles(ctx context.Context, l sluice.LedgerID, newest Checkpoint, tiles []ledger.TileData) error
	// HandOver stores a rotation with its proof. Storing the same rotation again changes nothing.
	HandOver(ctx context.Context, l sluice.LedgerID, r Rotation) error
	// KeysUsed stores when keys of any ledger were last used.
	KeysUsed(ctx context.Context, used map[string]time.Time) error
	// SessionsUsed stores when sessions of any ledger were last used.
	SessionsUsed(ctx context.Context, used map[string]time.Time) error
	// ForgetSessions removes the sessions that expired before a moment, and returns how many.
	ForgetSessions(ctx context.Context, before time.Time) (int, error)
	// Reseal stores the seals of rows of any ledger, those that were not changed, revoked or ended since they were read.
	// There is no entry for it.
	Reseal(ctx context.Context, rows Sealed) error
	// ForgetGrants removes the open grants that ended before a moment, and returns how many.
	ForgetGrants(ctx context.Context, before time.Time) (int, error)
	// ForgetGuesses removes the guesses of days that began before a moment, and returns the number of rows.
	ForgetGuesses(ctx context.Context, before time.Time) (int, error)
	// ForgetChallenges removes the challenges from before a moment, and returns how many.
	ForgetChallenges(ctx context.Context, before time.Time) (int, error)
	// ForgetResponses removes the responses that were stored before a moment, and returns how many.
	ForgetResponses(ctx context.Context, before time.Time) (int, error)
	// Scrubbed stores the progress of the scrub. It also stores the CRC-32 of undamaged files, and removes the note of
	// damage from them. There is no entry for it.
	Scrubbed(ctx context.Context, p ScrubProgress, whole []WholeFile) error
	// EndLinks marks some links of revoked keys and deleted files, in short commits, one for each ledger. It returns
	// how many it marked, and whether more are left. A ledger whose links cannot be marked does not stop the others.
	EndLinks(ctx context.Context) (marked int, more bool, err error)
	// SetMail replaces the ID, Count and times of a mail by those of next, and removes the mail if next is nil. Events
	// that were added since m was read are added to next.Count, and keep a mail from being removed. A mail that was
	// removed or replaced since stays as it is. There is no entry for it.
	SetMail(ctx context.Context, m Mail, next *Mail) error
	// Cosign replaces the note of the checkpoint of a size by the result of add: the same note with the signature of a
	// witness. Concurrent calls see each other's signatures. A size without a checkpoint is CodeNotFound.
	Cosign(ctx context.Context, l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error)) error
	// Exclusive runs fn unless a process, this one included, is running a function under the same name. It reports
	// whether fn ran. A process that dies or is frozen loses its lease within ten seconds, by the clock of the
	// database. Then the context of its fn ends, but a process that was frozen may run for a moment beside the next
	// one. So fn must do no harm if it runs twice.
	Exclusive(ctx context.Context, name string, fn func(context.Context) error) (ran bool, err error)
	// Ready fails if an Update could not succeed now. The error is to be shown.
	Ready(ctx context.Context) error
	Close() error
}

// Sealed are rows with new seals.
type Sealed struct {
	Keys     []sluice.Key
	Links    []sluice.Link
	Sessions []sluice.Session
}

type prefetchedLink struct{}

// Prefetch announces that an Update will read a link and its file. A Store that is far away may fetch the links of all
// Updates that share a commit in one query. The result of the Update does not depend on it.
func Prefetch(ctx context.Context, link string) context.Context {
	return &prefetching{ctx, link}
}

// Prefetched returns the link that was given to Prefetch, or "".
func Prefetched(ctx context.Context) (link string) {
	if p, ok := ctx.Value(prefetchedLink{}).(*prefetching); ok {
		return p.link
	}
	return ""
}

// prefetching is a context with the link of Prefetch. Each download makes one, and context.WithValue takes two
// allocations.
type prefetching struct {
	context.Context
	link string
}

func (p *prefetching) Value(key any) any {
	if key == (prefetchedLink{}) {
		return p
	}
	return p.Context.Value(key)
}

type ending struct{}

// Ending marks an Update as a revocation or deletion. A Store may allow it on a disk that is too full for others.
func Ending(ctx context.Context) context.Context { return context.WithValue(ctx, ending{}, true) }

// IsEnding reports whether the Update was marked by Ending.
func IsEnding(ctx context.Context) bool { return ctx.Value(ending{}) != nil }

// Reader reads records. A method sees one ledger only, unless its comment says otherwise.
type Reader interface {
	// Accounts returns all accounts, oldest first.
	Accounts() ([]sluice.Account, error)
	// Installation returns the id of the installation that the records belong to. A new database has a new random id. A
	// copy of a database has the same id.
	Installation() (string, error)
	// SigningKeys returns the ids of the signing keys that this database was used with, oldest first.
	SigningKeys() ([]string, error)

	// KeyByHash finds a key in any ledger by the hash of its secret or of its old secret.
	KeyByHash(hash sluice.Digest) (sluice.Key, error)
	Key(ledger sluice.LedgerID, id string) (sluice.Key, error)
	Keys(ledger sluice.LedgerID, page sluice.Page) (sluice.List[sluice.Key], error)

	// SessionsByHash returns the sessions of any ledger with a token, by its hash, at most one of each ledger.
	SessionsByHash(hash sluice.Digest) ([]sluice.Session, error)
	// SessionByID returns a session, active or ended.
	SessionByID(ledger sluice.LedgerID, id string) (sluice.Session, error)
	// SessionsOfPerson returns the sessions of a person in any ledger that have neither ended nor expired at now, the
	// newest first, at most 1000, without those that it is to skip.
	SessionsOfPerson(issuer, subject string, now time.Time, skip int) ([]sluice.Session, error)
	// Sessions returns sessions, active and ended, that are not removed yet.
	Sessions(ledger sluice.LedgerID, page sluice.Page) (sluice.List[sluice.Session], error)

	// File returns a file, active or deleted.
	File(ledger sluice.LedgerID, id string) (sluice.File, error)
	Files(ledger sluice.LedgerID, filter FileFilter, page sluice.Page) (sluice.List[sluice.File], error)
	// AnyFile reports whether any ledger has a file, active or deleted.
	AnyFile() (bool, error)
	// KnownFiles looks up to 500 ids up in all ledgers. For each id of a file it returns whether the file is active.
	KnownFiles(ids []string) (active map[string]bool, err error)

	// FilesAfter returns up to limit active files of all ledgers with ids after one, in the order of their ids.
	FilesAfter(id string, limit int) ([]StoredFile, error)
	// DamagedFiles is the number of active files of all ledgers that are noted as damaged.
	DamagedFiles() (int64, error)
	// ScrubProgress returns what Scrubbed stored last, or zero if nothing is stored.
	ScrubProgress() (ScrubProgress, error)

	// ExpiredFiles returns up to limit active files of all ledgers that are not held and whose retention period has
	// ended. Those whose period ended first come first.
	ExpiredFiles(now time.Time, limit int) ([]sluice.File, error)

	// Link returns a link, active or ended.
	Link(ledger sluice.LedgerID, id string) (sluice.Link, error)
	// Links leaves out the links that their owner has ended.
	Links(ledger sluice.LedgerID, filter LinkFilter, page sluice.Page) (sluice.List[sluice.Link], error)

	// OpenGrant returns the grant of a bearer of a link, active or ended.
	OpenGrant(ledger sluice.LedgerID, link string, bearer sluice.Digest) (OpenGrant, error)

	// Guesses returns how often a link's password was guessed wrongly from an address on a day. Without a guess it
	// returns a zero count and no error.
	Guesses(ledger sluice.LedgerID, link string, address sluice.Digest, day time.Time) (Guesses, error)

	// Challenge returns a challenge of a link.
	Challenge(ledger sluice.LedgerID, link, id string) (Challenge, error)
	// ChallengeCounts counts challenges around a moment: of a link and of an address there, and those of a network and
	// all that were sent, in all ledgers.
	ChallengeCounts(ledger sluice.LedgerID, link string, address, network sluice.Digest, now time.Time) (
		ChallengeCounts, error)

	// MailsDue returns up to limit mails of all ledgers and of one rank whose time has come, those that are longest due
	// first.
	MailsDue(rank int64, now time.Time, limit int) ([]Mail, error)
	// MailState returns how many mails of all ledgers wait to be sent now.
	MailState(now time.Time) (MailState, error)

	// Erasure returns an erasure, also one that has ended.
	Erasure(ledger sluice.LedgerID, id string) (PendingErasure, error)
	// PendingErasures returns up to limit erasures of all ledgers that have not ended, oldest first.
	PendingErasures(limit int) ([]PendingErasure, error)
	// ErasureTerm returns what stands for a value in PendingErasure.Term: a keyed hash of the address of a person.
	ErasureTerm(by sluice.ErasedBy, value string) (string, error)
	// SealedEntries lists entries as Entries does, and does not decode them: a leaf may be damaged.
	SealedEntries(l sluice.LedgerID, f EntryFilter, p sluice.Page) (sluice.List[ErasableEntry], error)
	// FindErasable returns up to limit entries of an erasure from a seq on, in the order of the log, the seq to go on
	// from, and whether the log has entries from there on.
	FindErasable(l sluice.LedgerID, by sluice.ErasedBy, term string, from int64, limit int) (
		found []ErasableEntry, next int64, more bool, err error)

	// StoredResponse returns the stored response to a request with an idempotency key, by the API key that sent it.
	StoredResponse(keyID, idempotencyKey string) (StoredResponse, error)

	// Unsigned returns the ledgers that have entries beyond their newest checkpoint.
	Unsigned() ([]sluice.LedgerID, error)
	// Logs returns the size of each ledger.
	Logs() ([]LogSize, error)
	// Size is the number of entries of a ledger.
	Size(l sluice.LedgerID) (int64, error)
	// Leaves returns up to limit sealed entries, beginning at seq from, in order.
	Leaves(l sluice.LedgerID, from int64, limit int) ([]audit.SealedEntry, error)
	// LeafHashes returns the leaf hashes of up to limit entries, beginning at seq from, in order.
	LeafHashes(l sluice.LedgerID, from int64, limit int) ([]ledger.Hash, error)
	// Tiles returns hash tiles, each at least as wide as requested. A tile that is missing or narrower is CodeNotFound.
	Tiles(l sluice.LedgerID, tiles []ledger.Tile) ([][]byte, error)
	// Checkpoint returns the smallest checkpoint of at least a size. If size is negative it returns the newest one.
	Checkpoint(l sluice.LedgerID, size int64) (Checkpoint, error)
	// Rotations returns the rotations of a ledger, oldest first.
	Rotations(l sluice.LedgerID) ([]Rotation, error)
	// Sealed returns an entry as it is stored.
	Sealed(l sluice.LedgerID, id string) (seq int64, e audit.SealedEntry, err error)

	// Entry returns an entry. A redemption tells how its download ended, if that is recorded by then: see
	// sluice.DeliveryPart.
	Entry(ledger sluice.LedgerID, id string) (sluice.Entry, error)
	// Entries returns entries as Entry does. An entry of deliveries is among those of each of its files and links.
	Entries(ledger sluice.LedgerID, filter EntryFilter, page sluice.Page) (sluice.List[sluice.Entry], error)
}

// Tx changes records. Every change takes its audit entry; there is no other way to change anything. The seq of entries
// follows the order of the calls.
type Tx interface {
	Reader

	CreateAccount(sluice.Account, sluice.Entry) error
	// AddSigningKey stores that a signing key is used with this database.
	AddSigningKey(id string, now time.Time, e sluice.Entry) error

	CreateKey(sluice.Key, sluice.Entry) error
	// UpdateKey replaces all fields of a key except those that identify it, and Used.
	UpdateKey(sluice.Key, sluice.Entry) error
	// RevokeKey ends a key and all links that it minted: see point 10.
	RevokeKey(id string, now time.Time, e sluice.Entry) error

	CreateSession(sluice.Session, sluice.Entry) error
	// EndSession ends a session before its time. One that has ended so is CodeNotFound.
	EndSession(id string, now time.Time, e sluice.Entry) error

	CreateFile(sluice.File, sluice.Entry) error
	// UpdateFile replaces Filename, Title, Metadata, Linked, Held and Updated.
	UpdateFile(sluice.File, sluice.Entry) error
	// DeleteFile marks a file as deleted and ends its links: see point 10.
	DeleteFile(id string, now time.Time, e sluice.Entry) error

	// FileDamaged notes the damage that was found in the bytes of a file. A file that is deleted, or for which the same
	// damage is noted already, is CodeNotFound.
	FileDamaged(id, found string, e sluice.Entry) error

	// CreateLink stores a link. If the link expires, it expires after it was created.
	CreateLink(sluice.Link, sluice.Entry) error
	// UpdateLink replaces Reason, Metadata, MaxDownloads, AllowedIPs, Access, Expires, Revoked, Ended and Updated.
	UpdateLink(sluice.Link, sluice.Entry) error
	// Redeemed counts a download of a link.
	Redeemed(id string, now time.Time, e sluice.Entry) error
	// Delivered records how downloads ended. It takes back those that are returned: one that Redeemed counted for each
	// time that a link is named.
	Delivered(returned []string, e sluice.Entry) error

	// SetGrant replaces the open grant of a bearer of a link. The entry of the redemption records it.
	SetGrant(OpenGrant) error

	// SetGuesses replaces the count of wrong guesses of a password. The entry of the refusal records it.
	SetGuesses(Guesses) error

	// SetChallenge adds a challenge, or replaces its Tries. The entry of the code, of the proof or of the refusal records
	// it.
	SetChallenge(Challenge) error
	// DropUnsentChallenge removes the oldest challenge of a link for which no code was sent, to make room for another.
	DropUnsentChallenge(link string) error
	// EndChallenges sets the Tries of all challenges of an address at a link to TriesEnded. The entry of the redaction
	// records it.
	EndChallenges(link string, address sluice.Digest) error

	// QueueMail queues a mail about an entry of the Update. If its link already has one of its kind and challenge, a
	// code changes nothing; a first download is added to its Count, unless that is 0; downloads or refusals are added
	// to its Count and take the place of its Entry; any other kind is replaced.
	QueueMail(Mail) error
	// RemoveMail removes the mail of a link, kind and challenge, if there is one and, unless m.ID is "", has that ID.
	RemoveMail(m Mail) (removed bool, err error)

	// Redact erases disclosures of an entry, and what rows have of the same.
	Redact(r RedactedRows, e sluice.Entry) error
	// CreateErasure stores an erasure that begins.
	CreateErasure(p PendingErasure, e sluice.Entry) error
	// EraseStep erases disclosures of some entries, and what rows have of the same, and stores the progress of the
	// erasure. The entry of CreateErasure records it.
	EraseStep(s ErasureStep) error
	// Record adds an entry without a change, such as that of a refusal.
	Record(sluice.Entry) error

	// StoreResponse stores the response to a request, and replaces an older one with the same keys. There is no entry
	// for it.
	StoreResponse(StoredResponse) error
	// EraseResponse replaces the stored response to a request by an error, by the request's id and the time of its
	// change. Without one it does nothing. The entry of a redaction records it.
	EraseResponse(requestID string, created time.Time, failure *sluice.Error) error
}

// RedactedRows are an entry with JSON Pointers to the fields that a redaction erases, and what it replaces of rows: of
// links Access, Reason, Metadata, Filename and Updated, of files what UpdateFile replaces.
type RedactedRows struct {
	EntryID  string
	Pointers []string
	Links    []sluice.Link
	Files    []sluice.File
}

// PendingErasure is an erasure as it is stored.
type PendingErasure struct {
	sluice.Erasure
	Term string // see Reader.ErasureTerm; "" once it has ended
	Next int64  // entries before that seq are done
}

// ErasableEntry is an entry that an erasure has found.
type ErasableEntry struct {
	Seq    int64
	Sealed audit.SealedEntry
}

// ErasedEntry is an entry with JSON Pointers to the fields to erase.
type ErasedEntry struct {
	Seq      int64
	Pointers []string
}

// ErasureStep is what one commit of an erasure changes. Links and Files are as in RedactedRows.
type ErasureStep struct {
	Erasure PendingErasure
	Entries []ErasedEntry // in the order of the log
	Links   []sluice.Link
	Files   []sluice.File
}

// FileFilter selects files. Its zero value selects all active files.
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

// FileStatus selects files by their status.
type FileStatus string

// The statuses of files.
const (
	ActiveFiles  FileStatus = "" // the default
	DeletedFiles FileStatus = "deleted"
)

// LinkFilter selects links. Its zero value selects all links.
type LinkFilter struct {
	FileID  string
	IDs     []string
	Created sluice.TimeRange
	Expires sluice.TimeRange
	Expired *bool     // by Now
	Revoked *bool     // ended before its time
	Over    *bool     // expired by Now, or ended before its time
	Now     time.Time // with Expired and Over

	Recipient string // canonical address of the recipient
}

// EntryFilter selects entries. Its zero value selects all entries.
type EntryFilter struct {
	FileID    string
	LinkID    string
	KeyID     string // see Entry.KeyID
	PersonID  string // see Entry.PersonID
	Action    sluice.Action
	Outcome   sluice.Outcome
	RequestID string
	IDs       []string
	Created   sluice.TimeRange

	Recipient string // canonical address of the entry's or link's recipient
	ClientIP  string // as in the entry
}

// OpenGrant is the part of a counted download that the bearer of a link has not received yet. A bearer may request it
// without being counted again.
type OpenGrant struct {
	LinkID  string
	Bearer  sluice.Digest // of the bearer's cookie, or of address and user agent
	Expires time.Time
	Left    int64 // bytes
	// Seq is that of the entry that counted the download. It tells the grants of one bearer apart. It is 0 once the
	// grant is closed, and -1 for a grant that an older version opened.
	Seq int64
}

// Guesses counts how often the password of a link was guessed wrongly on a day, from one network or, with a zero
// Address, from all networks.
type Guesses struct {
	LinkID  string
	Address sluice.Digest // of the link and the network
	Day     time.Time
	N       int64
	Last    time.Time
}

// GuessDay is the day on which a guess is counted, in UTC.
func GuessDay(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour) }
