package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
)

type auditRedact struct {
	serverFlags
	ID        string   `arg:"" optional:"" name:"entry-id" help:"The id of one entry."`
	Recipient string   `help:"All entries about the person with this e-mail address." placeholder:"EMAIL"`
	ClientIP  string   `help:"All entries of requests from this address." name:"client-ip" placeholder:"ADDRESS"`
	FileID    string   `help:"All entries of this file." placeholder:"FILE_ID"`
	LinkID    string   `help:"All entries of this link." placeholder:"LINK_ID"`
	KeyID     string   `help:"All entries about this key, or of requests with it." placeholder:"KEY_ID"`
	Fields    []string `help:"Fields to erase, such as recipient or client_ip. See Redaction in docs/audit.md for those that are erased by default." placeholder:"FIELD"`
	NoWait    bool     `help:"Do not wait until many entries are erased: the server goes on."`
	JSON      bool     `help:"Print JSON." name:"json"`
}

func (a *auditRedact) Run(ctx context.Context, out *output) error {
	if err := a.check(); err != nil {
		return usageError{err}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if a.ID != "" {
		return a.redactOne(ctx, c, out)
	}
	ask := api.NewErasure{
		Recipient: a.Recipient, ClientIP: a.ClientIP, FileID: a.FileID, LinkID: a.LinkID, KeyID: a.KeyID,
	}
	if a.Fields != nil {
		ask.Fields = &a.Fields
	}
	e, err := c.BeginErasure(ctx, ask)
	if err == nil && !a.NoWait {
		e, err = awaitErasure(ctx, c, e)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, e)
	}
	text := fmt.Sprintf("erased %s from %s, %s and %s", strings.Join(e.Fields, ", "),
		counted(e.Entries, "1 entry", "%d entries"), counted(e.Links, "1 link", "%d links"),
		counted(e.Files, "1 file", "%d files"))
	if e.State == api.ErasureEnded {
		text += ", recorded as entry " + e.EntryID
	} else {
		text = "erasing " + strings.Join(e.Fields, ", ") + ": " + e.ID
	}
	_, err = fmt.Fprintln(out.stdout, printable(text))
	return err
}

// check wants exactly one of what names entries.
func (a *auditRedact) check() error {
	given := 0
	for _, value := range []string{a.ID, a.Recipient, a.ClientIP, a.FileID, a.LinkID, a.KeyID} {
		if value != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("give the id of an entry, or one of --recipient, --client-ip, --file-id, --link-id and --key-id")
	}
	for _, id := range []struct{ flag, prefix, value string }{
		{"--file-id", sluice.PrefixFile, a.FileID}, {"--link-id", sluice.PrefixLink, a.LinkID},
		{"--key-id", sluice.PrefixKey, a.KeyID},
	} {
		if id.value == "" {
			continue
		}
		if err := checkID(id.prefix, id.value); err != nil {
			return fmt.Errorf("%s: %w", id.flag, err)
		}
	}
	return nil
}

func (a *auditRedact) redactOne(ctx context.Context, c *client.Client, out *output) error {
	done, err := c.RedactFields(ctx, a.ID, a.Fields)
	if err != nil {
		return err
	}
	if a.JSON {
		return printJSON(out.stdout, done)
	}
	_, err = fmt.Fprintf(out.stdout, "erased %s of %s, recorded as entry %s\n",
		printable(strings.Join(done.Fields, ", ")), printable(done.EntryID), printable(done.ID))
	return err
}

// awaitErasure asks how far an erasure has come until it has ended, once a second at most.
func awaitErasure(ctx context.Context, c *client.Client, e api.Erasure) (api.Erasure, error) {
	for pause := 100 * time.Millisecond; e.State != api.ErasureEnded; pause = min(2*pause, time.Second) {
		select {
		case <-ctx.Done():
			return e, fmt.Errorf("not waited for the end of %s: the server goes on with it", e.ID)
		case <-time.After(pause):
		}
		var err error
		if e, err = c.Erasure(ctx, e.ID); err != nil {
			return e, err
		}
	}
	return e, nil
}
