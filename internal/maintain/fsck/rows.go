package fsck

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/maintain/replay"
	"sluice/internal/seal"
	"sluice/internal/service"
	"sluice/internal/store"
)

// The rows of the database are compared with the replayed logs, in both directions. The logs are replayed first, page
// by page, beside writers. One snapshot then has the entries that were written meanwhile, and the rows.

const (
	leavesPage = 1024 // entries that are read at a time
	rowsAtOnce = 1024 // rows of a table that are read at a time
)

// rowCheck compares the rows of all ledgers with their logs.
type rowCheck struct {
	store    *store.Store
	logs     map[sluice.LedgerID]*replay.Replay
	people   map[sluice.LedgerID]*peopleCheck
	broken   map[sluice.LedgerID]error // the logs that cannot be replayed
	byNumber map[int64]*ledgerRows
	found    func(Finding)
	rows     int64
	findings int   // of no ledger
	parts    int64 // keys whose links may live a part of a second longer than entries say
	seals    *seal.Seals
	unsealed int64 // keys and links without a seal, where none is required
}

func newRowCheck(s *store.Store, seals *seal.Seals, found func(Finding)) *rowCheck {
	return &rowCheck{
		store: s, seals: seals, logs: map[sluice.LedgerID]*replay.Replay{}, people: map[sluice.LedgerID]*peopleCheck{},
		broken: map[sluice.LedgerID]error{}, found: found,
	}
}

// ledgerRows is what is known of a ledger while its rows are read.
type ledgerRows struct {
	store.LedgerRow
	log      *replay.Replay
	longest  time.Duration
	endings  int64
	findings int
}

// replayLogs replays the logs as far as they reach now. A log that cannot be read to its end is set aside: what rows
// contradict is not known then.
func (c *rowCheck) replayLogs(ctx context.Context) error {
	logs, err := ledgers(ctx, c.store)
	if err != nil {
		return err
	}
	for _, l := range logs {
		err := c.replayLog(ctx, l)
		if ctx.Err() != nil || sluice.CodeOf(err) == sluice.CodeUnavailable {
			return err
		}
		if err != nil {
			c.broken[l] = err
		}
	}
	return nil
}

func (c *rowCheck) replayLog(ctx context.Context, l sluice.LedgerID) error {
	for more := true; more; {
		err := c.store.View(ctx, func(r service.Reader) (err error) {
			if more, err = c.replayPage(r, l); err != nil || more {
				return err
			}
			size, err := r.Size(l)
			if replayed := c.log(l).Size(); err == nil && replayed < size {
				err = fmt.Errorf("entry %d is missing or damaged", replayed)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// log returns the replay of a log.
func (c *rowCheck) log(l sluice.LedgerID) *replay.Replay {
	log := c.logs[l]
	if log == nil {
		log = replay.New()
		c.logs[l], c.people[l] = log, newPeopleCheck()
	}
	return log
}

// addLeaf follows the next entry of a log.
func (c *rowCheck) addLeaf(l sluice.LedgerID, leaf []byte) error {
	log := c.log(l)
	c.people[l].note(log.Size(), leaf)
	return log.Add(leaf)
}

// replayPage replays the next entries of a log. It reports whether there may be more.
func (c *rowCheck) replayPage(r service.Reader, l sluice.LedgerID) (more bool, err error) {
	log := c.log(l)
	page, err := r.Leaves(l, log.Size(), leavesPage)
	for _, e := range page {
		if err == nil {
			err = c.addLeaf(l, e.Leaf)
		}
	}
	return err == nil && len(page) == leavesPage, err
}

// compare compares the rows with the logs.
func (c *rowCheck) compare(ctx context.Context) error {
	return c.store.ViewRows(ctx, func(r store.RowReader) error {
		ledgers, err := r.LedgerRows()
		if err != nil {
			return err
		}
		c.byNumber = map[int64]*ledgerRows{}
		for _, l := range ledgers {
			if l.Err != nil {
				c.add(nil, "ledger", fmt.Sprint(l.Value.Ledger), fmt.Sprintf("it cannot be read: %v", l.Err))
				continue
			}
			known := &ledgerRows{LedgerRow: l.Value}
			c.byNumber[l.Ledger] = known
			if c.broken[l.Value.Ledger] != nil {
				continue
			}
			for more := true; more; {
				if more, err = c.replayPage(r, l.Value.Ledger); err != nil {
					return err
				}
			}
			if err := c.people[l.Value.Ledger].read(r, l.Value.Ledger); err != nil {
				return err
			}
			known.log = c.log(l.Value.Ledger)
		}
		for _, table := range []func(store.RowReader) error{
			c.accounts, c.signingKeys, c.keys, c.sessions, c.files, c.links, c.grants, c.endings,
		} {
			if err := table(r); err != nil {
				return err
			}
		}
		c.ledgers(ledgers)
		c.missing(ledgers)
		return nil
	})
}

// add reports the problems of a row.
func (c *rowCheck) add(l *ledgerRows, table, id string, problems ...string) {
	for _, p := range problems {
		n, name := &c.findings, ""
		if l != nil {
			n, name = &l.findings, l.Ledger.String()
		}
		if *n++; *n <= maxFindings {
			c.found(Finding{Check: Rows, Ledger: name, Problem: fmt.Sprintf("%s %s: %s", table, audit.Clip(id, 80), p)})
		}
	}
}

// ledgerOf returns the ledger of a row, if its log was replayed. Otherwise it returns nil, after it has reported a row
// that cannot be read, or that is of no ledger.
func ledgerOf[T any](c *rowCheck, row store.Row[T], table, id string) *ledgerRows {
	c.rows++
	if row.Err != nil {
		c.add(nil, table, id, fmt.Sprintf("it cannot be read: %v", row.Err))
		return nil
	}
	l := c.byNumber[row.Ledger]
	if l == nil {
		c.add(nil, table, id, fmt.Sprintf("its ledger %d does not exist", row.Ledger))
		return nil
	}
	if l.log == nil {
		return nil
	}
	return l
}

// leafOf returns the leaf of an entry that records what a row has.
func leafOf(e sluice.Entry) ([]byte, error) {
	sealed, err := audit.Seal(e, noRandom{})
	return sealed.Leaf, err
}

// noRandom is read by nobody: such an entry has no personal fields.
type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// checkSeal reports a row whose seal does not fit.
func (c *rowCheck) checkSeal(l *ledgerRows, table, id string, fits bool) {
	switch {
	case fits:
	case c.seals.Required():
		c.add(l, table, id, "its seal does not fit: it was altered, or no server wrote it; servers refuse it")
	default:
		c.unsealed++
	}
}

func (c *rowCheck) keys(r store.RowReader) error {
	for after := ""; ; {
		page, err := r.KeyRows(after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, row := range page {
			k := row.Value
			after = k.ID
			l := ledgerOf(c, row, "key", k.ID)
			if l == nil {
				continue
			}
			switch longest := k.MaxLinkLifetime; {
			case longest == 0 || longest == sluice.Forever:
			case longest < time.Second:
				c.add(l, "key", k.ID, "its longest lifetime of links is less than a second")
			case longest%time.Second != 0:
				c.parts++
			}
			k.Ledger = l.LedgerRow.Ledger
			c.checkSeal(l, "key", k.ID, c.seals.KeyFits(k))
			leaf, err := leafOf(sluice.Entry{Key: audit.KeyPart(k, nil)})
			if err != nil {
				return err
			}
			c.add(l, "key", k.ID, l.log.CompareKey(replay.KeyRow{
				Leaf: leaf, Created: k.Created, Revoked: k.Revoked, OldExpires: k.OldExpires,
			})...)
		}
		if len(page) < rowsAtOnce {
			return nil
		}
	}
}

// sessions compares the sessions of the console. One that has no row gives nobody anything.
func (c *rowCheck) sessions(r store.RowReader) error {
	for after := ""; ; {
		page, err := r.SessionRows(after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, row := range page {
			s := row.Value
			after = s.ID
			l := ledgerOf(c, row, "session", s.ID)
			if l == nil {
				continue
			}
			s.Ledger = l.LedgerRow.Ledger
			c.checkSeal(l, "session", s.ID, c.seals.TrustsSession(s))
			leaf, err := leafOf(sluice.Entry{Session: audit.SessionPart(s)})
			if err != nil {
				return err
			}
			c.add(l, "session", s.ID, l.log.CompareSession(replay.SessionRow{
				Leaf: leaf, Created: s.Created, Ended: s.Ended,
			})...)
		}
		if len(page) < rowsAtOnce {
			return nil
		}
	}
}

func (c *rowCheck) files(r store.RowReader) error {
	for after := ""; ; {
		page, err := r.FileRows(after, rowsAtOnce)
		if err != nil {
			return err
		}
		last := ""
		if len(page) == rowsAtOnce {
			last = page[len(page)-1].Value.ID
		}
		linked, err := r.LinkedRows(after, last)
		if err != nil {
			return err
		}
		for _, row := range page {
			f := row.Value
			after = f.ID
			l := ledgerOf(c, row, "file", f.ID)
			if l == nil {
				continue
			}
			leaf, err := leafOf(sluice.Entry{File: withoutNames(f)})
			if err != nil {
				return err
			}
			c.add(l, "file", f.ID, c.people[l.Ledger].compareFile(f)...)
			c.add(l, "file", f.ID, l.log.CompareFile(replay.FileRow{Leaf: leaf, Created: f.Created, Deleted: f.Deleted})...)
		}
		c.linked(page, linked)
		if last == "" {
			return nil
		}
	}
}

// linked compares the rows by which files are found by their resources with the files.
func (c *rowCheck) linked(files []store.Row[sluice.File], rows []store.Row[store.LinkedRow]) {
	has := map[string][]store.Row[store.LinkedRow]{}
	for _, row := range rows {
		if c.rows++; row.Err != nil {
			c.add(nil, "linked", row.Value.FileID, fmt.Sprintf("it cannot be read: %v", row.Err))
			continue
		}
		has[row.Value.FileID] = append(has[row.Value.FileID], row)
	}
	for _, file := range files {
		f, found := file.Value, has[file.Value.ID]
		delete(has, f.ID)
		if file.Err != nil {
			continue
		}
		same := len(found) == len(f.Linked)
		for _, row := range found {
			same = same && row.Ledger == file.Ledger && slices.Contains(f.Linked, row.Value.Resource) &&
				f.Created.Equal(time.Time(row.Value.Created)) && f.Deleted.Equal(time.Time(row.Value.Deleted))
		}
		if !same {
			c.add(c.byNumber[file.Ledger], "linked", f.ID, "its rows differ from the linked resources of the file")
		}
	}
	for id := range has {
		c.add(nil, "linked", id, "there is no such file")
	}
}

func (c *rowCheck) links(r store.RowReader) error {
	for after := ""; ; {
		page, err := r.LinkRows(after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, row := range page {
			v := row.Value
			after = v.ID
			l := ledgerOf(c, row, "link", v.ID)
			if l == nil {
				continue
			}
			if !v.Expires.IsZero() {
				l.longest = max(l.longest, v.Expires.Sub(v.Created))
			}
			v.Ledger = l.LedgerRow.Ledger
			c.checkSeal(l, "link", v.ID, c.seals.LinkFits(v))
			part := audit.LinkLimits(v, nil)
			part.Access = nil // compared by itself
			leaf, err := leafOf(sluice.Entry{Link: part})
			if err != nil {
				return err
			}
			c.add(l, "link", v.ID, c.people[l.Ledger].compare(v)...)
			c.add(l, "link", v.ID, c.people[l.Ledger].compareLink(v)...)
			if row.Problem != "" {
				c.add(l, "link", v.ID, row.Problem)
			}
			c.add(l, "link", v.ID, l.log.CompareLink(replay.LinkRow{
				Leaf: leaf, FileID: v.FileID, KeyID: v.KeyID, Created: v.Created, Revoked: v.Revoked,
				Ended: string(v.Ended), Downloads: v.Downloads,
			})...)
		}
		if len(page) < rowsAtOnce {
			return nil
		}
	}
}

func (c *rowCheck) grants(r store.RowReader) error {
	var after store.Row[service.OpenGrant]
	for {
		page, err := r.GrantRows(after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, row := range page {
			after = row
			if l := ledgerOf(c, row, "open_grant", row.Value.LinkID); l != nil {
				c.add(l, "open_grant", row.Value.LinkID, l.log.CompareGrant(replay.GrantRow{
					LinkID: row.Value.LinkID, Expires: row.Value.Expires, Left: row.Value.Left,
				})...)
			}
		}
		if len(page) < rowsAtOnce {
			return nil
		}
	}
}

func (c *rowCheck) endings(r store.RowReader) error {
	rows, err := r.EndingRows()
	for _, row := range rows {
		if l := ledgerOf(c, row, "ending", row.Value.Object); l != nil {
			l.endings++
			c.add(l, "ending", row.Value.Object, l.log.CompareEnding(row.Value.Kind, row.Value.Object)...)
		}
	}
	return err
}

// accounts compares the accounts with the entries that created them, in the logs of their live mode.
func (c *rowCheck) accounts(r store.RowReader) error {
	accounts, err := r.Accounts()
	for _, a := range accounts {
		c.rows++
		live := sluice.LedgerID{Account: a.ID, Mode: sluice.Live}
		if c.broken[live] != nil {
			continue
		}
		if log := c.logs[live]; log != nil {
			if _, ok := log.AccountCreated(); ok {
				continue
			}
		}
		c.add(nil, "account", a.ID, "no entry created it")
	}
	for id, log := range c.logs {
		exists := func(a sluice.Account) bool { return a.ID == id.Account }
		if _, ok := log.AccountCreated(); ok && err == nil && !slices.ContainsFunc(accounts, exists) {
			c.add(nil, "account", id.Account, "an entry created it, and it has no row")
		}
	}
	return err
}

func (c *rowCheck) signingKeys(r store.RowReader) error {
	rows, err := r.SigningKeyRows()
	if err != nil || len(c.broken) > 0 { // one of the broken logs may have added a key
		return err
	}
	added := map[string]time.Time{}
	for _, log := range c.logs {
		for id, at := range log.SigningKeys() {
			added[id] = at
		}
	}
	for _, row := range rows {
		c.rows++
		id := row.Value.ID
		at, ok := added[id]
		switch delete(added, id); {
		case row.Err != nil:
			c.add(nil, "signing_key", id, fmt.Sprintf("it cannot be read: %v", row.Err))
		case !ok:
			c.add(nil, "signing_key", id, "no entry added it")
		case !at.Equal(time.Time(row.Value.Created)):
			c.add(nil, "signing_key", id, "it says another time than the entry that added it")
		}
	}
	for id := range added {
		c.add(nil, "signing_key", id, "an entry added it, and it has no row")
	}
	return nil
}

// ledgers compares what the rows of ledgers repeat of other rows.
func (c *rowCheck) ledgers(rows []store.Row[store.LedgerRow]) {
	for _, row := range rows {
		c.rows++
		l, name := c.byNumber[row.Ledger], row.Value.Ledger.String()
		if l == nil || l.log == nil {
			continue
		}
		if l.Longest < l.longest.Microseconds() {
			c.add(l, "ledger", name, "it says that no link lives as long as one does: lists leave links out")
		}
		if l.Signed != l.Newest {
			c.add(l, "ledger", name, fmt.Sprintf("it says that %d entries are signed, and the newest checkpoint has %d",
				l.Signed, l.Newest))
		}
		if l.Endings != l.endings {
			c.add(l, "ledger", name, fmt.Sprintf("it says that it has %d endings, and it has %d", l.Endings, l.endings))
		}
	}
}

// missing reports the objects of the logs that have no row.
func (c *rowCheck) missing(rows []store.Row[store.LedgerRow]) {
	for _, row := range rows {
		l := c.byNumber[row.Ledger]
		if l == nil || l.log == nil {
			continue
		}
		for table, id := range l.log.WithoutRow() {
			c.add(l, table, id, "an entry created it, and it has no row")
		}
		if l.findings > maxFindings {
			c.found(Finding{Check: Rows, Ledger: l.Ledger.String(),
				Problem: fmt.Sprintf("%d more rows differ from the log", l.findings-maxFindings)})
		}
	}
	if c.findings > maxFindings {
		c.found(Finding{Check: Rows, Problem: fmt.Sprintf("%d more rows cannot be read or fit no log",
			c.findings-maxFindings)})
	}
}

// CheckRows replays all logs, and compares the rows with them.
func (r *Report) CheckRows(ctx context.Context, s *store.Store, seals *seal.Seals) error {
	return r.checkRows(ctx, newRowCheck(s, seals, func(f Finding) { r.Findings = append(r.Findings, f) }))
}

// checkRows compares the rows of all ledgers with their logs, and reports the entries that contradict their log.
func (r *Report) checkRows(ctx context.Context, c *rowCheck) error {
	if err := c.replayLogs(ctx); err != nil {
		return fmt.Errorf("replay of the logs: %w", err)
	}
	if err := c.compare(ctx); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	r.Records += c.rows
	if c.parts > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("keys whose links may live a fraction of a second, which entries "+
			"do not record and which was not compared: %d", c.parts))
	}
	if c.unsealed > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("keys and links without a seal, whose secrets and passwords were not "+
			"compared: %d; sluice secrets seal seals them", c.unsealed))
	}
	for _, l := range slices.SortedFunc(maps.Keys(c.broken), compareLedgers) {
		r.Notes = append(r.Notes, fmt.Sprintf("log %s was not replayed to its end, and its rows were not compared: %v",
			l, c.broken[l]))
	}
	for _, l := range slices.SortedFunc(maps.Keys(c.logs), compareLedgers) {
		log := c.logs[l]
		for _, f := range log.Findings() {
			r.Findings = append(r.Findings, Finding{Rules, l.String(), &f.Seq, fmt.Sprintf("%s (%s)", f.Problem, f.ID)})
		}
		if more := log.Found() - int64(len(log.Findings())); more > 0 {
			r.Findings = append(r.Findings, Finding{Rules, l.String(), nil, fmt.Sprintf("%d more entries", more)})
		}
	}
	return nil
}

func compareLedgers(a, b sluice.LedgerID) int { return strings.Compare(a.String(), b.String()) }
