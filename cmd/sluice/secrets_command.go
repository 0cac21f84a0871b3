package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/ledger"
)

type secretsCommand struct {
	New    secretsNewCommand    `cmd:"" help:"Print new secrets: the keys that sign links and checkpoints."`
	Rotate secretsRotateCommand `cmd:"" help:"Add new keys to the secrets file. They sign from the next start of the server; the others stay valid."`
	Seal   secretsSealCommand   `cmd:"" help:"Seal the rows of all keys and links: once, so that servers refuse rows that no server wrote, and before an old signing key is removed."`
	Check  secretsCheckCommand  `cmd:"" help:"Check that the secrets file belongs to the database and that only its owner can read it."`
}

type secretsNewCommand struct{}

// Help returns the details that --help prints.
func (secretsNewCommand) Help() string {
	return "For the --secrets of a new installation. The links and logs of an installation in use need its keys: " +
		"to change them, use sluice secrets rotate."
}

func (secretsNewCommand) Run(out *output) error {
	s, err := newSecrets()
	if err != nil {
		return err
	}
	text, err := s.text()
	if err == nil {
		_, err = out.stdout.Write(text)
	}
	return err
}

// text is the form of the file.
func (s secrets) text() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

type secretsRotateCommand struct {
	place
	Step string `help:"${enum}: all adds keys that sign at once. Several servers need two steps: add, on one machine, adds keys that do not sign yet; once every server has the file and was restarted, use has the newest keys sign." enum:"all,add,use" default:"all"`
}

func (r *secretsRotateCommand) Run(out *output) error {
	if err := r.place.refuseUnfinished(); err != nil {
		return err
	}
	path := r.place.secretsFile()
	if err := checkMode(path, nil); err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	s, err := readSecrets(path)
	if err == nil {
		err = s.keys(&service.Config{})
	}
	if err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	fresh, err := newSecrets()
	if err != nil {
		return err
	}
	if err := s.rotate(fresh, r.Step); err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	text, err := s.text()
	if err == nil {
		err = replaceSecrets(path, text)
	}
	if err != nil {
		return err
	}
	w := &lines{w: out.stdout}
	w.add("%s holds %s and %s now. Copy it to its other places, and restart the servers.", path,
		counted(len(s.SigningKeys), "1 signing key", "%d signing keys"),
		counted(len(s.LedgerKeys), "1 ledger key", "%d ledger keys"))
	return w.err
}

// rotate adds the keys of fresh, or has the keys sign that were added.
func (s *secrets) rotate(fresh secrets, step string) error {
	switch step {
	case "add":
		s.SigningKeys = append(s.SigningKeys, fresh.SigningKeys...)
		s.LedgerKeys = append(s.LedgerKeys, fresh.LedgerKeys...)
		s.Added = &addedKeys{signingKeyID(fresh.SigningKeys[0]), ledgerKeyName(fresh.LedgerKeys[0])}
	case "use":
		return s.use()
	default:
		s.SigningKeys = slices.Concat(fresh.SigningKeys, s.SigningKeys)
		s.LedgerKeys = slices.Concat(fresh.LedgerKeys, s.LedgerKeys)
		s.Added = nil
	}
	return nil
}

// use has the keys sign that were added. A log refuses a ledger key that signed it before, so a second use must not
// move other keys.
func (s *secrets) use() error {
	signing, checkpoints := -1, -1
	if s.Added != nil {
		signing = slices.IndexFunc(s.SigningKeys, func(k string) bool { return signingKeyID(k) == s.Added.SigningKey })
		checkpoints = slices.IndexFunc(s.LedgerKeys, func(k string) bool { return ledgerKeyName(k) == s.Added.LedgerKey })
	}
	if signing < 1 || checkpoints < 1 {
		return usageError{errors.New("it holds no keys that --step add has added and that do not sign yet: " +
			"run --step add first; after a rotation nothing is left to do. The file is unchanged")}
	}
	s.SigningKeys, s.LedgerKeys, s.Added = first(s.SigningKeys, signing), first(s.LedgerKeys, checkpoints), nil
	return nil
}

// first moves a key to the front.
func first(keys []string, i int) []string { return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]) }

// signingKeyID returns the id of a signing key, or "" for a text that is none.
func signingKeyID(text string) string {
	k, err := token.ParseKey(text)
	if err != nil {
		return ""
	}
	return k.ID()
}

// ledgerKeyName returns the verifier key of a ledger key, or "" for a text that is none.
func ledgerKeyName(text string) string {
	s, err := ledger.NewSigner(text, "sluice")
	if err != nil {
		return ""
	}
	return s.VerifierKey()
}

// replaceSecrets replaces the file durably, with the owner, group and mode that it has. A new file belongs to the user
// that runs the command, and a server could not read it. A symbolic link stays, and the file that it leads to is
// replaced.
func replaceSecrets(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeOnce(next, text); err != nil {
		return err
	}
	err = keepOwner(next, info)
	if err == nil { // after the group, so that no other group may read it
		err = os.Chmod(next, info.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncFolder(filepath.Dir(path))
}

type secretsCheckCommand struct {
	place
	Heads string `help:"File of the newest signed heads; that of the secrets with .heads at its end when left out." placeholder:"FILE"`
	JSON  bool   `help:"Print JSON: one object for each line." name:"json"`
}

func (c *secretsCheckCommand) Run(ctx context.Context, out *output) error {
	r := &checkup{}
	if i := r.secrets(ctx, c.place, c.Heads); i != nil {
		if err := i.close(); err != nil {
			return err
		}
	}
	return r.print(out, c.JSON)
}

// checkup collects what a check of an installation says.
type checkup struct{ lines []checkLine }

// checkLine is one line: ok, warning or failure.
type checkLine struct {
	Level string `json:"level"`
	Check string `json:"check"`
	Text  string `json:"text"`
}

const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelFailure = "failure"
)

func (r *checkup) ok(check, format string, args ...any) { r.add(levelOK, check, format, args...) }
func (r *checkup) warn(check, format string, args ...any) {
	r.add(levelWarning, check, format, args...)
}
func (r *checkup) fail(check, format string, args ...any) {
	r.add(levelFailure, check, format, args...)
}

func (r *checkup) add(level, check, format string, args ...any) {
	r.lines = append(r.lines, checkLine{level, check, fmt.Sprintf(format, args...)})
}

// print prints the lines, and fails if one of them is a failure.
func (r *checkup) print(out *output, asJSON bool) error {
	failures := 0
	w := &lines{w: out.stdout}
	for _, l := range r.lines {
		if l.Level == levelFailure {
			failures++
		}
		if asJSON {
			if err := printJSON(out.stdout, l); err != nil {
				return err
			}
			continue
		}
		w.add("%-8s %-10s %s", l.Level, l.Check, l.Text)
	}
	if failures > 0 {
		return errors.Join(w.err, errors.New(counted(failures, "1 check failed", "%d checks failed")))
	}
	return w.err
}

// secrets checks the file of secrets, and then the installation with it, which it returns if it could be opened.
func (r *checkup) secrets(ctx context.Context, p place, heads string) *installation {
	path := p.secretsFile()
	if err := checkMode(path, nil); err != nil {
		r.fail("secrets", "%s: %v", path, err)
		return nil
	}
	s, err := readSecrets(path)
	var c service.Config
	if err == nil {
		err = s.keys(&c)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fail("secrets", "%s does not exist: restore it from a backup; without it no link opens", path)
		return nil
	case err != nil:
		r.fail("secrets", "%s cannot be read: %v; restore it from a backup", path, err)
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o040 != 0 {
		r.warn("secrets", "%s is readable by its group: run chmod 600", path)
	}
	r.ok("secrets", "%s holds %s and %s", path, counted(len(s.SigningKeys), "1 signing key", "%d signing keys"),
		counted(len(s.LedgerKeys), "1 ledger key", "%d ledger keys"))
	return r.database(ctx, p, path, heads, c)
}

// database checks that the secrets belong to the database.
func (r *checkup) database(
	ctx context.Context, p place, secretsPath, headsPath string, c service.Config,
) *installation {
	if headsPath == "" {
		headsPath = secretsPath + ".heads"
	}
	heads, err := openHeads(headsPath)
	if err != nil {
		r.fail("heads", "%v", err)
		return nil
	}
	config := service.Config{PublicURL: "http://localhost", Log: slog.New(slog.DiscardHandler), Heads: heads}
	i, err := p.open(ctx, config, opening{})
	if err != nil {
		r.fail("database", "%v", err)
		return nil
	}
	var known []string
	err = i.store.View(ctx, func(reader service.Reader) (err error) {
		known, err = reader.SigningKeys()
		return err
	})
	if err != nil {
		r.fail("database", "%v", err)
		return i
	}
	r.signingKeys(known, c)
	r.seals(ctx, i)
	faults, err := i.service.Ledgers.VerifyHeads(ctx)
	var refused []service.HeadFault
	if err == nil {
		refused, err = i.service.Ledgers.VerifySigner(ctx)
	}
	if err != nil {
		r.fail("logs", "%v", err)
		return i
	}
	for _, f := range faults {
		r.fail("logs", `%s: %v; see "An older backup" in docs/operating.md`, f.Ledger, f.Err)
	}
	for _, f := range refused {
		r.fail("logs", "%s: the first ledger key cannot continue it: %v; "+
			"run sluice secrets rotate, which puts a new key first", f.Ledger, f.Err)
	}
	if len(faults)+len(refused) == 0 {
		r.ok("logs", "the secrets can continue every log, and each extends the head that is remembered")
	}
	return i
}

// signedWith reports of a key whether its id is known.
func signedWith(known []string) func(token.Key) bool {
	return func(k token.Key) bool { return slices.Contains(known, k.ID()) }
}

// seals warns of rows that have the seal of an older signing key.
func (r *checkup) seals(ctx context.Context, i *installation) {
	seals := i.service.Seals()
	if !seals.Required() || !seals.Rotated() {
		return
	}
	switch n, err := fsck.CountUnsealed(ctx, i.store, seals); {
	case err != nil:
		r.fail("database", "the seals of keys, links and sessions cannot be read: %v", err)
	case n > 0:
		r.warn("secrets", "%s sealed with another signing key than the first: remove no signing key before "+
			"every server signs with the first one and sluice secrets seal was run",
			counted(n, "1 key, link or session is", "%d keys, links and sessions are"))
	}
}

func (r *checkup) signingKeys(known []string, c service.Config) {
	if !slices.ContainsFunc(c.SigningKeys, signedWith(known)) {
		r.fail("secrets", "the database was made with other signing keys (%v): use the secrets that belong to it", known)
		return
	}
	for _, k := range c.SigningKeys {
		if !slices.Contains(known, k.ID()) {
			r.warn("secrets", "the database does not know the signing key %s yet: restart the servers", k.ID())
		}
	}
	for _, id := range known {
		if !slices.ContainsFunc(c.SigningKeys, signedWith([]string{id})) {
			r.warn("secrets", "the signing key %s was removed: links that it signed do not open any more", id)
		}
	}
	if !c.RequireSeals {
		r.warn("secrets", "the rows of keys and links need no seal, so that whoever can write to the database can change "+
			"what they allow: once all servers run this version, run sluice secrets seal")
	}
	r.ok("secrets", "they belong to the database")
}
