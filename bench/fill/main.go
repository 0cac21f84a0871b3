// Fill fills a data folder with a year's data of an account: files, links in
// every state, and their audit entries. It is only for benchmarks: the files
// have no bytes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/objectid"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
)

// span is the period in which the objects are created. It ends now.
const span = 365 * 24 * time.Hour

func main() {
	log.SetFlags(0)
	log.SetPrefix("fill: ")
	var f filler
	dir := flag.String("data", "", "data folder on which sluice serve was started once")
	flag.IntVar(&f.links, "links", 10_000_000, "number of links")
	flag.IntVar(&f.files, "files", 100_000, "number of files")
	keys := flag.Int("keys", 20, "number of keys")
	flag.IntVar(&f.group, "group", 2000, "links per Update")
	flag.Parse()
	if err := f.run(context.Background(), *dir, *keys); err != nil {
		log.Fatal(err)
	}
}

// filler creates the same objects in each run, except for ids and times.
type filler struct {
	links, files, group int

	store   *store.Store
	ledger  sluice.LedgerID
	signing string
	keys    []sluice.Key
	made    []sluice.File
	random  *rand.Rand
	begin   time.Time
	seen    map[string][]string // a sample of the ids of each kind, for other programs
}

func (f *filler) run(ctx context.Context, dir string, keys int) (err error) {
	path := filepath.Join(dir, "sluice.db")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w; run sluice serve --data %s once", err, dir)
	}
	if f.store, err = store.OpenSQLite(path, store.Options{}); err != nil {
		return err
	}
	f.random = rand.New(rand.NewPCG(1, 2))
	f.begin = time.Now().Add(-span)
	f.seen = map[string][]string{}

	secret, err := f.makeKeys(ctx, dir, keys)
	if err == nil {
		err = requireNoSeals(filepath.Join(dir, "secrets.json"))
	}
	start := time.Now()
	if err == nil {
		err = f.fill(ctx)
	}
	if err := errors.Join(err, f.store.Close()); err != nil {
		return err
	}
	took := time.Since(start)
	for name, lines := range map[string][]string{"bench-key": {secret}, "bench-files": f.seen["file"],
		"bench-links": f.seen["link"]} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return err
		}
	}
	size, err := sizeOf(dir)
	if err != nil {
		return err
	}
	fmt.Printf("| %d links, %d files | %s | %.0f links/s | %.2f GB |\n",
		f.links, f.files, took.Round(100*time.Millisecond), float64(f.links)/took.Seconds(), float64(size)/1e9)
	return nil
}

// requireNoSeals has a server believe rows without a seal: what is filled in has none.
func requireNoSeals(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	secrets := map[string]any{}
	if err := json.Unmarshal(text, &secrets); err != nil {
		return err
	}
	delete(secrets, "seals")
	if text, err = json.MarshalIndent(secrets, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// makeKeys creates keys in test mode of the first account and returns the
// secret of the first.
func (f *filler) makeKeys(ctx context.Context, dir string, n int) (secret string, err error) {
	blobs, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	unused, err := token.NewKey(zeros{}) // required by the service, but it mints nothing
	if err != nil {
		return "", err
	}
	svc, err := service.New(service.Config{
		Store: f.store, Blobs: blobs, SigningKeys: []token.Key{unused}, PublicURL: "http://localhost",
	})
	if err != nil {
		return "", err
	}
	err = f.store.View(ctx, func(r service.Reader) error {
		accounts, err := r.Accounts()
		if err != nil {
			return err
		}
		signing, err := r.SigningKeys()
		if err != nil {
			return err
		}
		if len(accounts) == 0 || len(signing) == 0 {
			return errors.New("the folder has no account yet: run sluice serve on it once")
		}
		f.ledger = sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test}
		f.signing = signing[len(signing)-1]
		return nil
	})
	for i := 0; i < n && err == nil; i++ {
		var k service.CreatedKey
		n := service.NewKey{Name: fmt.Sprintf("bench %d", i)}
		if k, err = svc.Keys.Create(ctx, service.Operator(f.ledger), n); i == 0 {
			secret = k.Secret
		}
		f.keys = append(f.keys, k.Key)
	}
	return secret, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fill creates files and links in chronological order.
func (f *filler) fill(ctx context.Context) error {
	for i := 0; i < f.links; i += f.group {
		err := f.store.Update(ctx, f.ledger, func(tx service.Tx) error {
			for n := i; n < min(i+f.group, f.links); n++ {
				at := f.begin.Add(time.Duration(float64(span) * float64(n) / float64(f.links)))
				for len(f.made) < f.files && len(f.made) <= n*f.files/f.links {
					if err := f.makeFile(tx, at); err != nil {
						return err
					}
				}
				if err := f.makeLink(tx, at, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if i/f.group%500 == 499 {
			log.Printf("%d of %d links", i+f.group, f.links)
		}
	}
	return nil
}

// one returns true once in n calls on average.
func (f *filler) one(n int) bool { return f.random.IntN(n) == 0 }

var purposes = []string{"attachment", "invoice", "tax_document", "signed_agreement", "report", "evidence", "export",
	"generic"}

var types = []string{"application/pdf", "image/png", "image/jpeg", "text/csv", "text/plain; charset=utf-8",
	"application/zip"}

// makeFile creates a file. One in ten has a common name and a title, one in ten
// belongs to a common resource, and one in a hundred is deleted.
func (f *filler) makeFile(tx service.Tx, at time.Time) error {
	n := len(f.made)
	file := sluice.File{
		ID: f.id(sluice.PrefixFile, at), Ledger: f.ledger, Purpose: purposes[f.random.IntN(len(purposes))],
		Filename: fmt.Sprintf("document-%07d.pdf", n), Type: types[f.random.IntN(len(types))],
		Size: int64(1) << f.random.IntN(30), Metadata: sluice.Metadata{"customer": fmt.Sprint(f.random.IntN(10_000))},
		Linked: []sluice.Resource{{Type: "order", ID: fmt.Sprint(n)}}, Created: at, Updated: at,
	}
	file.Size += f.random.Int64N(file.Size)
	for i := range file.SHA256 {
		file.SHA256[i] = byte(f.random.Uint32())
	}
	if f.one(10) {
		file.Filename, file.Title = "invoice.pdf", "Invoice"
	}
	if f.one(10) {
		file.Linked = append(file.Linked, sluice.Resource{Type: "tenant", ID: "common"})
	}
	if n > 0 && f.one(100) {
		file.Deleted = at.Add(time.Second)
	}
	f.made = append(f.made, file)
	if file.Active() {
		f.sample("file", file.ID, n, f.files)
	}
	return tx.CreateFile(file, f.entry(sluice.FileCreated, at, f.key(), file, nil))
}

// sample keeps about ten thousand ids of each kind.
func (f *filler) sample(kind, id string, n, of int) {
	if n%max(1, of/10_000) == 0 {
		f.seen[kind] = append(f.seen[kind], id)
	}
}

// key returns the first key in half of the calls, and a random one in the
// others.
func (f *filler) key() sluice.Key {
	if f.one(2) {
		return f.keys[0]
	}
	return f.keys[f.random.IntN(len(f.keys))]
}

// makeLink creates a link. One in five belongs to the first file, the others to
// recent files. Of a hundred, eight were revoked, six ended with their key, ten
// were redeemed, and four were refused after expiry.
func (f *filler) makeLink(tx service.Tx, at time.Time, n int) error {
	k, file := f.key(), f.made[0]
	if !f.one(5) {
		back := min(int(f.random.ExpFloat64()*float64(f.files)/100), len(f.made)-1)
		file = f.made[len(f.made)-1-back]
	}
	l := sluice.Link{
		ID: f.id(sluice.PrefixLink, at), Ledger: f.ledger, FileID: file.ID, KeyID: k.ID, SigningKey: f.signing,
		Reason:   "sent to the customer",
		Metadata: sluice.Metadata{"case": fmt.Sprint(f.random.IntN(1_000_000))}, Created: at, Updated: at,
		Disposition: sluice.Attachment,
	}
	if lifetime := f.lifetime(); lifetime != 0 {
		l.Expires = at.Add(lifetime)
	}
	soon := at.Add(time.Second)
	var later sluice.Action
	switch luck := f.random.IntN(100); {
	case !file.Active():
		l.Revoked, l.Updated, l.Ended = soon, soon, sluice.FileDeleted
	case luck < 8:
		l.Revoked, l.Updated, l.Ended, later = soon, soon, sluice.Revoked, sluice.LinkEnded
	case luck < 14:
		l.Revoked, l.Updated, l.Ended = soon, soon, sluice.KeyRevoked
	case luck < 24:
		l.Downloads, l.Redeemed, later = 1, soon, sluice.LinkRedeemed
	case luck < 28:
		later = sluice.LinkRefused
	}
	if l.Ended != sluice.Revoked {
		f.sample("link", l.ID, n, f.links)
	}
	if err := tx.CreateLink(l, f.entry(sluice.LinkCreated, at, k, file, &l)); err != nil || later == "" {
		return err
	}
	e := f.entry(later, soon, k, file, &l)
	if later == sluice.LinkRefused {
		e.Outcome, e.Refusal = sluice.Refused, sluice.Expired
	}
	return tx.Record(e)
}

// lifetime is usually an hour or a day. One in ten is random, up to a day, and
// one in fifty has no end.
func (f *filler) lifetime() time.Duration {
	switch luck := f.random.IntN(100); {
	case luck < 2:
		return 0
	case luck < 12:
		return time.Duration(60+f.random.IntN(86340)) * time.Second
	case luck < 32:
		return 24 * time.Hour
	case luck < 37:
		return 5 * time.Minute
	}
	return time.Hour
}

// entry returns the audit entry of an action by a key.
func (f *filler) entry(a sluice.Action, at time.Time, k sluice.Key, file sluice.File, l *sluice.Link) sluice.Entry {
	e := sluice.Entry{
		ID: f.id(sluice.PrefixEntry, at), Ledger: f.ledger, Time: at, Action: a, Outcome: sluice.Allowed,
		Actor: sluice.Actor{Type: sluice.ActorKey, ID: k.ID, Name: k.Name},
		File: &sluice.FilePart{
			ID: file.ID, Filename: file.Filename, Size: file.Size, Type: file.Type, SHA256: file.SHA256.String(),
			Purpose: file.Purpose, Metadata: file.Metadata,
		},
		Request: &sluice.Request{
			ID: f.id(sluice.PrefixRequest, at), Method: "POST", Route: "/v1/files/{id}/links",
			IP: "192.0.2.7", UserAgent: "bench/1",
		},
	}
	if l != nil {
		e.Link = &sluice.LinkPart{ID: l.ID, Expires: l.Expires, Reason: l.Reason, Metadata: l.Metadata}
	}
	return e
}

// id returns an id in Sluice's form: a ULID of a time and 80 random bits.
func (f *filler) id(prefix string, at time.Time) string {
	var raw [16]byte
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	for i := 6; i < len(raw); i++ {
		raw[i] = byte(f.random.Uint32())
	}
	return objectid.Format(prefix, raw)
}

// sizeOf returns the total size of the files in a folder in bytes.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	})
	return size, err
}
