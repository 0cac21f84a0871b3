// Package backup copies an installation to a target while its servers run, and brings it back.
//
// A target holds objects, each written once and never changed, unless it was cut and the source still has its bytes:
//
//	file_ULID      the bytes of a file, under its id; shared by all snapshots
//	database_NAME  the database, as a file of SQLite
//	secrets_NAME   the secrets, where they were asked for
//	list_NAME      the ids of the files that the snapshot needs
//	manifest_NAME  what the snapshot consists of, with sizes and digests
//
// A snapshot exists when its manifest does, which is written last. A target belongs to one installation, and all its
// objects but the lists are encrypted to the same recipients, or none is. The marker of the target says so.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"sluice"
	"sluice/internal/service"
)

// Depot is a place for the objects of a target, or for the bytes of restored files.
type Depot interface {
	service.Blobs
	// Present gives the sizes of the blobs under some keys, which are in ascending order. It leaves out keys without
	// a blob, and may leave out others.
	Present(ctx context.Context, keys []string) (map[string]int64, error)
	// Release ends the claim of an installation on the place.
	Release(ctx context.Context, id string) error
}

// Target is where backups are.
type Target struct {
	depot      Depot
	owner      owner
	recipients Recipients
	identities Identities
	opened     atomic.Bool // an identity has opened an object, so one that none opens is damaged
}

// owner is what the marker of a target says.
type owner struct {
	installation string
	recipients   string // fingerprint; "" when objects are not encrypted
}

// The marker of a target is no id of an installation, so that no server takes a target for its own files.
const (
	plainOwner     = "backupplain"
	encryptedOwner = "backupage"
)

func (o owner) marker() string {
	if o.recipients == "" {
		return plainOwner + o.installation
	}
	return encryptedOwner + o.recipients + o.installation
}

// parseOwner reads a marker. A marker of anything but a target is not ok.
func parseOwner(marker string) (o owner, ok bool) {
	if id, ok := strings.CutPrefix(marker, plainOwner); ok && id != "" {
		return owner{installation: id}, true
	}
	rest, ok := strings.CutPrefix(marker, encryptedOwner)
	if !ok || len(rest) <= fingerprintLen {
		return owner{}, false
	}
	return owner{installation: rest[fingerprintLen:], recipients: rest[:fingerprintLen]}, true
}

// Claim opens a target for the backups of an installation. Only the first backup decides whether and to whom a target
// is encrypted. Claim refuses a target of another installation or of other recipients, and a place that is not empty
// and no target.
func Claim(ctx context.Context, depot Depot, installation string, to Recipients) (*Target, error) {
	t := &Target{depot: depot, owner: owner{installation, to.fingerprint}, recipients: to}
	marker, err := depot.Owner(ctx)
	if err != nil {
		return nil, err
	}
	switch is, ok := parseOwner(marker); {
	case marker == "":
		if err := requireEmpty(ctx, depot); err != nil {
			return nil, err
		}
	case !ok:
		return nil, refused("it holds the files of installation %s, not backups; choose another folder or prefix", marker)
	case is.installation != installation:
		return nil, refused("it holds the backups of installation %s, and this is installation %s; "+
			"choose another folder or prefix", is.installation, installation)
	case is.recipients != to.fingerprint && is.recipients == "":
		return nil, refused("its backups are not encrypted; leave out --recipient, or choose another folder or prefix")
	case is.recipients != to.fingerprint && to.fingerprint == "":
		return nil, refused("its backups are encrypted; give the same --recipient again, " +
			"or choose another folder or prefix")
	case is.recipients != to.fingerprint:
		return nil, refused("its backups are encrypted to other recipients; give the same --recipient again, " +
			"or choose another folder or prefix")
	}
	return t, depot.Claim(ctx, t.owner.marker())
}

func refused(format string, args ...any) error {
	return sluice.Errorf(sluice.CodeForbidden, format, args...)
}

func requireEmpty(ctx context.Context, depot Depot) error {
	return depot.Walk(ctx, func(key string, _ time.Time) error {
		return refused("it is not empty (%s is stored) and holds no backups; choose another folder or prefix", key)
	})
}

// Open opens a target to restore from it. The identities open encrypted objects. The names of snapshots can be listed
// without.
func Open(ctx context.Context, depot Depot, identities Identities, onlyList bool) (*Target, error) {
	marker, err := depot.Owner(ctx)
	if err != nil {
		return nil, err
	}
	is, ok := parseOwner(marker)
	switch {
	case !ok:
		return nil, sluice.Errorf(sluice.CodeNotFound, "it holds no backups")
	case is.recipients != "" && len(identities) == 0 && !onlyList:
		return nil, errEncrypted
	}
	return &Target{depot: depot, owner: is, identities: identities}, nil
}

var errEncrypted = sluice.Errorf(sluice.CodeValidation, "the backups are encrypted; give --identity, "+
	"the file with an age identity (AGE-SECRET-KEY-…) of one of their recipients")

// Encrypted reports whether the objects are encrypted.
func (t *Target) Encrypted() bool { return t.owner.recipients != "" }

// Installation is the id of the installation whose backups these are.
func (t *Target) Installation() string { return t.owner.installation }

// errTaken means that an object exists already.
var errTaken = errors.New("the object exists already")

// put stores an object, encrypted where the target is. It does not become visible when check refuses what was read.
func (t *Target) put(ctx context.Context, key string, from io.Reader, check func(content) error) (content, error) {
	return t.putOver(ctx, key, from, check, stays)
}

// putOver is put for an object that may exist. See stage for taken.
func (t *Target) putOver(
	ctx context.Context, key string, from io.Reader, check func(content) error, taken func() error,
) (content, error) {
	read := newSummed(from)
	var body io.Reader = read
	if t.Encrypted() {
		var err error
		if body, err = age.EncryptReader(read, t.recipients.list...); err != nil {
			return content{}, err
		}
	}
	if err := stage(ctx, t.depot, key, body, func() error { return check(read.content()) }, taken); err != nil {
		return content{}, err
	}
	return read.content(), nil
}

// stage stores bytes that do not become visible when check refuses them, which is asked once all are staged. If the
// key is taken then, it calls taken, which removes what is there, or returns an error to keep it. So what is there goes
// only when all of its successor but the name is stored. If the place fails in that moment, neither is there.
func stage(
	ctx context.Context, depot service.Blobs, key string, from io.Reader, check func() error, taken func() error,
) error {
	s, err := depot.Stage(ctx, key)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Append(ctx, 0, from); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	_, err = s.Commit(ctx)
	if sluice.CodeOf(err) == sluice.CodeConflict {
		if err := taken(); err != nil {
			return err
		}
		_, err = s.Commit(ctx)
	}
	if sluice.CodeOf(err) == sluice.CodeConflict {
		return errTaken
	}
	return err
}

// stays keeps the object under a key that is taken.
func stays() error { return errTaken }

// accept is a check that refuses nothing.
func accept(content) error { return nil }

// DamagedError says which object of a target is missing or is not what was written.
type DamagedError struct {
	Object string
	Why    string
}

// Error implements error.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the backup is damaged: %s %s", e.Object, e.Why)
}

// open gives what an object holds. A missing object is a *DamagedError, and so is an error of the reader that says
// that an encrypted object was changed.
func (t *Target) open(ctx context.Context, key string) (io.ReadCloser, error) {
	f, err := t.depot.Open(ctx, key)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil, &DamagedError{key, "is missing"}
	}
	if err != nil || !t.Encrypted() {
		return f, err
	}
	from := &source{Reader: f}
	clear, err := age.Decrypt(from, t.identities...)
	if err != nil {
		return nil, errors.Join(t.decryptError(key, from, err), f.Close())
	}
	t.opened.Store(true)
	return &decrypted{target: t, key: key, from: from, clear: clear, Closer: f}, nil
}

// source remembers the error of what it reads.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// decrypted reads an encrypted object.
type decrypted struct {
	target *Target
	key    string
	from   *source
	clear  io.Reader
	io.Closer
}

func (d *decrypted) Read(p []byte) (int, error) {
	n, err := d.clear.Read(p)
	if err != nil && err != io.EOF {
		err = d.target.decryptError(d.key, d.from, err)
	}
	return n, err
}

// decryptError tells an object that cannot be read from one that cannot be opened.
func (t *Target) decryptError(key string, from *source, err error) error {
	var none *age.NoIdentityMatchError
	switch {
	case from.err != nil:
		return fmt.Errorf("read %s: %w", key, from.err)
	case errors.As(err, &none) && !t.opened.Load():
		return refused("no identity in --identity opens %s: it is encrypted to others, or damaged", key)
	}
	return &DamagedError{key, fmt.Sprintf("cannot be decrypted (%v)", err)}
}

// remove removes objects, as far as they exist.
func (t *Target) remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := t.depot.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
