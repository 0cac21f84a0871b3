package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sluice/internal/maintain/fsck"
	"sluice/internal/seal"
	"sluice/internal/service"
	"sluice/internal/token"
)

type secretsSealCommand struct {
	fsckPlace
	Again bool `help:"Seal the rows although the secrets require seals: after the restore of a database from before."`
}

// Help returns the details that --help prints.
func (secretsSealCommand) Help() string {
	return "Installations of older versions have rows without seals. The command checks the logs and compares all " +
		"rows with them, as sluice fsck does. If nothing is wrong, it seals the rows and writes to the secrets file " +
		"that seals are required. Hashes of secrets and of passwords are not in the log: they are believed as they are " +
		"then. Run it once every server runs this version; it may run beside them. Then copy the file to its other " +
		"places, and restart the servers. Once the secrets require seals, the command seals anew the rows that have the " +
		"seal of an older signing key, and no others: run it after a rotation, before you remove the old key."
}

// Run checks the rows, seals them, and checks that each is sealed before it has servers require it.
func (c *secretsSealCommand) Run(ctx context.Context, out *output) error {
	if err := c.place.refuseUnfinished(); err != nil {
		return err
	}
	path := c.place.secretsFile()
	if err := checkMode(path, nil); err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	s, err := readSecrets(path)
	var config service.Config
	if err == nil {
		err = s.keys(&config)
	}
	if err != nil {
		return fmt.Errorf("secrets %s: %w", path, err)
	}
	if s.Seals == sealsRequired && !c.Again {
		return c.renew(ctx, out, path)
	}
	sealed, err := c.seal(ctx, out, config.SigningKeys)
	if err != nil {
		return err
	}
	s.Seals = sealsRequired
	text, err := s.text()
	if err == nil {
		err = replaceSecrets(path, text)
	}
	if err != nil {
		return err
	}
	w := &lines{w: out.stdout}
	w.add("%s sealed, and %s requires seals now. Copy it to its other places, and restart the servers.",
		counted(sealed, "1 row was", "%d rows were"), path)
	return w.err
}

func (c *secretsSealCommand) open(ctx context.Context, out *output) (*installation, error) {
	var r fsck.Report
	heads, err := c.heads(&r)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return c.place.open(ctx, service.Config{PublicURL: "http://localhost", Log: log, Heads: heads}, opening{})
}

// renew seals the rows anew that have the seal of an older signing key.
func (c *secretsSealCommand) renew(ctx context.Context, out *output, path string) (err error) {
	i, err := c.open(ctx, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	sealed, err := fsck.SealRows(ctx, i.store, i.service.Seals())
	if err != nil {
		return err
	}
	w := &lines{w: out.stdout}
	w.add("%s requires seals already. %s sealed anew with the first signing key.", path,
		counted(sealed, "1 row was", "%d rows were"))
	w.add("A row without a seal was not written by a server; see --again in --help.")
	return w.err
}

func (c *secretsSealCommand) seal(ctx context.Context, out *output, keys token.Keyring) (sealed int, err error) {
	i, err := c.open(ctx, out)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	check := func(run func(*fsck.Report) error) error {
		var r fsck.Report
		if err := run(&r); err != nil || len(r.Findings) == 0 {
			return err
		}
		w := &lines{w: out.stdout}
		for _, f := range r.Findings {
			w.add("%s", f.String())
		}
		return errors.Join(w.err, errors.New(counted(len(r.Findings), "1 problem was found", "%d problems were found")+
			", and seals are not required: correct them first"))
	}
	optional := seal.New(keys, false)
	err = check(func(r *fsck.Report) error { return r.CheckLedgersWith(ctx, i.service, i.store, optional) })
	if err != nil {
		return 0, err
	}
	if sealed, err = fsck.SealRows(ctx, i.store, optional); err != nil {
		return sealed, err
	}
	return sealed, check(func(r *fsck.Report) error { return r.CheckRows(ctx, i.store, seal.New(keys, true)) })
}
