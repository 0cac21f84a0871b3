package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
	"sluice/internal/service"
)

const (
	// MarkerName names the file, or the object below the prefix, that holds the
	// id of the installation that owns the blobs.
	MarkerName = service.MarkerName

	maxInstallation = 64 // characters of an id
)

func checkInstallation(id string) error {
	letterOrDigit := func(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }
	if id == "" || len(id) > maxInstallation || strings.ContainsFunc(id, func(c rune) bool { return !letterOrDigit(c) }) {
		return sluice.Errorf(sluice.CodeValidation, "this is not the id of an installation")
	}
	return nil
}

// readMarker gives the id in a marker.
func readMarker(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInstallation+2))
	if err != nil {
		return "", fmt.Errorf("read the marker of the installation: %w", err)
	}
	id := strings.TrimSuffix(string(text), "\n")
	if checkInstallation(id) != nil {
		return "", fmt.Errorf("the marker %q holds no id of an installation: put it back from a backup, "+
			"or remove it if these files belong to this database", MarkerName)
	}
	return id, nil
}

// claimed compares the owner of a place with the installation that claims it.
func claimed(owner, id string) error {
	if owner != id {
		return sluice.Errorf(sluice.CodeConflict, "the files belong to the installation %s, not to %s", owner, id)
	}
	return nil
}

// Owner reads the marker in the folder.
func (d *Disk) Owner(context.Context) (string, error) {
	f, err := d.root.Open(MarkerName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", diskError("open the marker of the installation", err)
	}
	defer f.Close()
	return readMarker(f)
}

// Claim writes the marker, whole or not at all, and returns once it is durable.
func (d *Disk) Claim(ctx context.Context, id string) error {
	if err := checkInstallation(id); err != nil {
		return err
	}
	owner, err := d.Owner(ctx)
	if err != nil {
		return err
	}
	if owner == "" {
		err := d.writeMarker(id)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if owner, err = d.Owner(ctx); err != nil {
			return err
		}
	}
	if err := claimed(owner, id); err != nil {
		return err
	}
	return d.syncMarker() // another call may have failed to do so
}

func (d *Disk) syncMarker() error {
	if err := d.syncFolder("."); err != nil {
		return diskError("sync the marker of the installation", err)
	}
	return nil
}

func (d *Disk) writeMarker(id string) error {
	temp := path.Join(tempFolder, rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskError("create the marker of the installation", err)
	}
	defer d.root.Remove(temp)
	_, err = io.WriteString(f, id+"\n")
	if err == nil {
		err = d.sync(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.root.Link(temp, MarkerName)
	}
	if err == nil {
		err = d.syncFolder(".")
	}
	if err != nil {
		return diskError("write the marker of the installation", err)
	}
	return nil
}

// Release removes the marker of an installation that owns the folder, durably. The folder of another one is
// CodeConflict; without a marker, Release removes none.
func (d *Disk) Release(ctx context.Context, id string) error {
	owner, err := d.Owner(ctx)
	if err != nil {
		return err
	}
	if owner != "" {
		if err := claimed(owner, id); err != nil {
			return err
		}
		if err := d.root.Remove(MarkerName); err != nil {
			return diskError("remove the marker of the installation", err)
		}
	}
	return d.syncMarker()
}

// Owner reads the marker under the prefix.
func (s *S3) Owner(ctx context.Context) (string, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := s.client.GetObject(asked, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(MarkerName)})
	if isMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", s3Error(ctx, "read the marker of the installation", err)
	}
	defer out.Body.Close()
	return readMarker(out.Body)
}

// Claim writes the marker under the prefix. It never replaces one.
func (s *S3) Claim(ctx context.Context, id string) error {
	if err := checkInstallation(id); err != nil {
		return err
	}
	there, err := s.WriteOnce(ctx, MarkerName, []byte(id+"\n"))
	if err != nil || there == nil {
		return err
	}
	owner, err := readMarker(strings.NewReader(string(there)))
	if err != nil {
		return err
	}
	return claimed(owner, id)
}

// Release removes the marker of an installation that owns the prefix. The prefix of another one is CodeConflict;
// without a marker, Release does nothing.
func (s *S3) Release(ctx context.Context, id string) error {
	owner, err := s.Owner(ctx)
	if err != nil || owner == "" {
		return err
	}
	if err := claimed(owner, id); err != nil {
		return err
	}
	return s.removeObject(ctx, s.name(MarkerName))
}
