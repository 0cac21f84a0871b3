package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
)

// entryFlags filter audit entries.
type entryFlags struct {
	FileID    string `help:"Only entries of this file." placeholder:"FILE_ID"`
	LinkID    string `help:"Only entries of this link." placeholder:"LINK_ID"`
	KeyID     string `help:"Only entries about this key, or of requests with it." placeholder:"KEY_ID"`
	PersonID  string `help:"Only entries of requests by the person with this id at the OpenID Connect provider." placeholder:"ID"`
	Action    string `help:"Only entries with this action, such as link.redeemed." placeholder:"ACTION"`
	Outcome   string `help:"Only entries with this outcome: allowed or refused." placeholder:"OUTCOME"`
	RequestID string `help:"Only entries of this request." placeholder:"REQ_ID"`
	Recipient string `help:"Only entries about the person with this e-mail address." placeholder:"EMAIL"`
	ClientIP  string `help:"Only entries of requests from this address." name:"client-ip" placeholder:"ADDRESS"`
	Since     string `help:"Only entries made at or after this date, RFC 3339 time or age, such as 24h or 30d." placeholder:"WHEN"`
	Until     string `help:"Only entries made before this date, time or age." placeholder:"WHEN"`
}

func (f *entryFlags) filter(now time.Time) (filter api.EntryFilter, err error) {
	if err := f.check(); err != nil {
		return filter, usageError{err}
	}
	filter = api.EntryFilter{FileID: f.FileID, LinkID: f.LinkID, KeyID: f.KeyID, PersonID: f.PersonID,
		Action: f.Action, Outcome: f.Outcome, RequestID: f.RequestID, Recipient: f.Recipient, ClientIP: f.ClientIP}
	if filter.CreatedGTE, err = parseWhen(f.Since, now); err != nil {
		return filter, usageError{fmt.Errorf("--since: %w", err)}
	}
	if filter.CreatedLT, err = parseWhen(f.Until, now); err != nil {
		return filter, usageError{fmt.Errorf("--until: %w", err)}
	}
	return filter, nil
}

// check refuses values that no entry can have, which would silently match
// nothing.
func (f *entryFlags) check() error {
	for _, id := range []struct{ flag, prefix, value string }{
		{"--file-id", sluice.PrefixFile, f.FileID}, {"--link-id", sluice.PrefixLink, f.LinkID},
		{"--key-id", sluice.PrefixKey, f.KeyID}, {"--request-id", sluice.PrefixRequest, f.RequestID},
	} {
		if id.value == "" {
			continue
		}
		if err := checkID(id.prefix, id.value); err != nil {
			return fmt.Errorf("%s: %w", id.flag, err)
		}
	}
	if a := sluice.Action(f.Action); a != "" && !slices.Contains(sluice.AllActions(), a) {
		return fmt.Errorf("--action: unknown action %q; choose from %s", f.Action, joinActions())
	}
	if o := sluice.Outcome(f.Outcome); o != "" && o != sluice.Allowed && o != sluice.Refused {
		return fmt.Errorf("--outcome: %q is neither %s nor %s", f.Outcome, sluice.Allowed, sluice.Refused)
	}
	return nil
}

func joinActions() string {
	var names []string
	for _, a := range sluice.AllActions() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// parseWhen parses a date, a time or an age into a time for an API filter. ""
// stays "".
func parseWhen(text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	if ago, err := parseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC().Format(time.RFC3339), nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, strings.ToUpper(text)); err == nil {
			return at.UTC().Format(time.RFC3339), nil
		}
	}
	return "", fmt.Errorf("%q is not a date, an RFC 3339 time or an age such as 24h", text)
}

type auditLs struct {
	serverFlags
	entryFlags
	N    int  `help:"Number of entries, ${default} by default; 0 for all." short:"n" default:"50" placeholder:"COUNT"`
	JSON bool `help:"Print JSON, one entry a line." name:"json"`
}

// pageSize is the API's largest page.
const pageSize = 100

func (a *auditLs) Run(ctx context.Context, out *output) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	filter, err := a.filter(time.Now())
	if err != nil {
		return err
	}
	if a.N < 0 {
		return usageError{errors.New("--n must be 0 or more")}
	}
	show := entryPrinter(out.stdout, a.JSON)
	q := api.EntryQuery{EntryFilter: filter, Page: api.Page{Limit: pageSize}}
	for left := a.N; ; {
		if a.N > 0 {
			q.Limit = min(left, pageSize)
		}
		list, err := c.EntryPage(ctx, q)
		if err == nil {
			err = show(list.Data)
		}
		left -= len(list.Data)
		if err != nil || !list.HasMore || left == 0 {
			return err
		}
		q.After = list.Data[len(list.Data)-1].ID
	}
}

type auditTail struct {
	serverFlags
	entryFlags
	N     int           `help:"Number of entries to start with; ${default} by default." short:"n" default:"10" placeholder:"COUNT"`
	Every time.Duration `help:"Interval between requests for new entries; ${default} by default." default:"2s" placeholder:"DURATION"`
	JSON  bool          `help:"Print JSON, one entry a line." name:"json"`
}

func (a *auditTail) Run(ctx context.Context, out *output) error {
	if a.N < 0 || a.N > pageSize || a.Every < 100*time.Millisecond {
		return usageError{fmt.Errorf("--n must be 0 to %d, and --every at least 100ms", pageSize)}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	filter, err := a.filter(time.Now())
	if err != nil {
		return err
	}
	show := entryPrinter(out.stdout, a.JSON)
	// If no entry matches yet, follow from the newest entry of all. It is read
	// first, so that no later match is missed.
	newest, err := c.EntryPage(ctx, api.EntryQuery{Page: api.Page{Limit: 1}})
	if err != nil {
		return err
	}
	begin, err := c.EntryPage(ctx, api.EntryQuery{EntryFilter: filter, Page: api.Page{Limit: max(a.N, 1)}})
	if err != nil {
		return err
	}
	if len(begin.Data) > 0 {
		newest = begin
	}
	if len(newest.Data) == 0 {
		return errors.New("the log is empty")
	}
	last := newest.Data[0].ID
	shown := begin.Data[:min(a.N, len(begin.Data))]
	slices.Reverse(shown)
	if err := show(shown); err != nil {
		return err
	}
	return tail(ctx, c, filter, last, a.Every, show)
}

// tail shows the entries after last, oldest first, until ctx is done.
func tail(
	ctx context.Context, c *client.Client, filter api.EntryFilter, last string, every time.Duration,
	show func([]api.AuditEntry) error,
) error {
	for {
		list, err := c.EntryPage(ctx, api.EntryQuery{EntryFilter: filter, Page: api.Page{Limit: pageSize, Before: last}})
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		slices.Reverse(list.Data)
		if err := show(list.Data); err != nil {
			return err
		}
		if n := len(list.Data); n > 0 {
			last = list.Data[n-1].ID
		}
		if list.HasMore {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// entryPrinter returns a function that prints entries as a table, or as one
// line of JSON each.
func entryPrinter(w io.Writer, asJSON bool) func([]api.AuditEntry) error {
	if asJSON {
		return func(entries []api.AuditEntry) error {
			for _, e := range entries {
				if err := printJSON(w, e); err != nil {
					return err
				}
			}
			return nil
		}
	}
	header := true
	return func(entries []api.AuditEntry) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if header && len(entries) > 0 {
			fmt.Fprintln(table, "TIME\tACTION\tWHO\tWHAT\tWHY\tREFUSAL\tREPEATS\tSENT\tALLOWS")
			header = false
		}
		for _, e := range entries {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				cell(e.Time), cell(e.Action), cell(who(e)), cell(what(e)), cell(why(e)), cell(e.Refusal),
				repeats(e), cell(sent(e)), clipped(allows(e), allowsWidth))
		}
		return table.Flush()
	}
}

// repeats formats the number of refusals that an entry stands for beyond the
// first.
func repeats(e api.AuditEntry) string {
	if e.Repeats == 0 {
		return "-"
	}
	return strconv.FormatInt(e.Repeats, 10)
}

// sent says how the download of a redemption ended, if it has.
func sent(e api.AuditEntry) string {
	d := e.Delivery
	switch {
	case d == nil || d.Bytes == nil || d.Complete == nil:
		return ""
	case d.Returned:
		return fmt.Sprintf("%d bytes, returned", *d.Bytes)
	case !*d.Complete:
		return fmt.Sprintf("%d bytes, incomplete", *d.Bytes)
	}
	return fmt.Sprintf("%d bytes", *d.Bytes)
}

// Largest widths of table cells, in characters.
const (
	cellWidth   = 64
	allowsWidth = 512 // the last column, which pushes no other aside
)

// cell formats a text for a table.
func cell(text string) string { return clipped(text, cellWidth) }

func clipped(text string, width int) string {
	runes := []rune(printable(text))
	if len(runes) > width {
		runes = append(runes[:width-1], '…')
	}
	if len(runes) == 0 {
		return "-"
	}
	return string(runes)
}

func who(e api.AuditEntry) string {
	text := cmp.Or(e.Actor.Email, e.Actor.Name, strings.TrimSpace(e.Actor.Type+" "+e.Actor.ID))
	if a := sluice.Action(e.Action); e.Recipient != nil && (a == sluice.LinkRedeemed || a == sluice.LinkVerified) {
		text = cmp.Or(e.Recipient.Email, text) // proved; in other entries it is not
	}
	if e.Request == nil {
		return text
	}
	return strings.TrimSpace(text + " " + cmp.Or(e.Request.ClientIP, e.Request.IP))
}

func what(e api.AuditEntry) string {
	switch {
	case e.File != nil:
		return cmp.Or(e.File.Filename, e.File.ID)
	case e.Erasure != nil:
		return erased(e.Erasure)
	case len(e.Deliveries) == 1:
		return "1 download"
	case e.Deliveries != nil:
		return fmt.Sprintf("%d downloads", len(e.Deliveries))
	case e.Entry != nil:
		return e.Entry.ID
	case e.Export != "":
		return e.Export
	case e.Report != nil:
		return counted(e.Report.Entries, "1 entry", "%d entries")
	case e.Ledger != nil:
		return e.Ledger.Key
	case e.Key != nil:
		return cmp.Or(e.Key.Name, e.Key.ID)
	case e.Session != nil:
		return e.Session.ID
	}
	return ""
}

// erased says what an erasure erases, and from what.
func erased(r *api.ErasureRef) string {
	text := strings.Join(r.Fields, ", ") + ": by " + r.By
	if r.ObjectID != "" {
		text += " " + r.ObjectID
	}
	if r.Entries != nil {
		text += counted(*r.Entries, ", 1 entry", ", %d entries")
	}
	return text
}

// why returns the reason of a link, or else its metadata. For a damaged file it
// returns the problem.
func why(e api.AuditEntry) string {
	if e.File != nil && e.File.Found != nil {
		return "found: " + e.File.Found.Problem
	}
	if e.Link == nil {
		return ""
	}
	if e.Link.Reason != "" {
		return e.Link.Reason
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(e.Link.Metadata)) {
		pairs = append(pairs, k+"="+e.Link.Metadata[k])
	}
	return strings.Join(pairs, " ")
}

// allows formats the limits of a link or key, if the entry has them. For a
// change it formats the old and the new values: "max_downloads 1 -> none".
func allows(e api.AuditEntry) string {
	switch {
	case e.Link != nil && (e.Link.HasPassword != nil || e.Link.Before != nil):
		return limits(e.Link, e.Link.Before, "disposition", "filename", "expires_at", "max_downloads", "has_password",
			"allowed_ips", "recipient", "allowed_recipients", "verification", "terms_sha256", "notify", "page", "language")
	case e.Key != nil && (e.Key.Scopes != nil || e.Key.Before != nil):
		return limits(e.Key, e.Key.Before, "scopes", "expires_at", "max_link_lifetime", "old_secret_expires_at")
	case e.File != nil && e.File.Before != nil:
		return limits(e.File, e.File.Before)
	}
	return ""
}

// limits lists the members that a change replaced. If nothing was replaced, it
// lists the named members.
func limits(part any, before api.Before, names ...string) string {
	data, err := json.Marshal(part)
	members := map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(data, &members)
	}
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		old, err := json.Marshal(before[name])
		if err != nil {
			return err.Error()
		}
		list = append(list, fmt.Sprintf("%s %s -> %s", name, shown(name, old), shown(name, members[name])))
	}
	for _, name := range names {
		if value := members[name]; before == nil && value != nil && string(value) != "null" {
			list = append(list, name+"="+shown(name, value))
		}
	}
	return strings.Join(list, ", ")
}

// shown formats a member's JSON value for a table.
func shown(name string, value json.RawMessage) string {
	var seconds int64
	switch {
	case len(value) == 0 || string(value) == "null":
		return "none"
	case strings.HasSuffix(name, "expires_at") && json.Unmarshal(value, &seconds) == nil:
		return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	return string(value)
}
