package service

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/objectid"
	"sluice/internal/refusals"
	"sluice/internal/token"
)

// What package gate needs to redeem links, besides the rules of links and files.

// OpenToken returns the ledger and the id of the link that a token stands for. It reports false for a token that none
// of the signing keys made, and for a token of another kind.
func (s *Links) OpenToken(text string) (l sluice.LedgerID, link string, ok bool) {
	place := &s.opened.tokens[maphash.String(s.opened.seed, text)%openedTokens]
	if o := place.Load(); o != nil && o.text == text {
		return o.ledger, o.link, true
	}
	t, ok := s.keys.Open(text, token.Read)
	if !ok {
		return sluice.LedgerID{}, "", false
	}
	l = sluice.LedgerID{Account: objectid.Format(sluice.PrefixAccount, t.Account), Mode: sluice.Test}
	if t.Live {
		l.Mode = sluice.Live
	}
	link = objectid.Format(sluice.PrefixLink, t.Object)
	place.Store(&openedToken{strings.Clone(text), l, link})
	return l, link, true
}

// opened has tokens that were found to be authentic, so that a link that is in demand costs no HMAC. Nobody learns a
// token by the time that a comparison takes: which one a text is compared with depends on a secret seed.
// BenchmarkOpenToken shows what they save.
type opened struct {
	seed   maphash.Seed
	tokens [openedTokens]atomic.Pointer[openedToken]
}

const openedTokens = 1 << 10

// openedToken is a token, and what it stands for.
type openedToken struct {
	text   string
	ledger sluice.LedgerID
	link   string
}

// LinkLimits are the limits of links that the operator has configured.
type LinkLimits struct {
	Purposes    sluice.Purposes
	MaxLifetime time.Duration // for keys without a limit of their own
}

// Lifetime is the longest lifetime of the links that a key mints.
func (l LinkLimits) Lifetime(k sluice.Key) time.Duration {
	if k.MaxLinkLifetime != 0 {
		return k.MaxLinkLifetime
	}
	return l.MaxLifetime
}

// Limits returns the limits of links.
func (s *Links) Limits() LinkLimits { return s.limits }

// Refusals counts the refusals of keys and of links.
func (s *Service) Refusals() *refusals.Counts { return s.refusals }

// NewEntryID makes an id for an entry.
func (s *Service) NewEntryID(now time.Time) string { return s.ids.New(sluice.PrefixEntry, now) }

// NewEntry begins the audit entry of a caller's action.
func (s *Service) NewEntry(c Caller, a sluice.Action, now time.Time) sluice.Entry {
	return s.entry(c, a, now)
}

// NewLinkEntry begins the audit entry of a caller's action on a link.
func (s *Service) NewLinkEntry(c Caller, a sluice.Action, now time.Time, f sluice.File, l sluice.Link) sluice.Entry {
	return s.Links.linkEntry(c, a, now, f, l)
}

// RecordRead decides whether a caller may download a file, and commits the decision to the log before it returns. It
// needs files:content.
func (s *Files) RecordRead(ctx context.Context, c Caller, id string) (sluice.File, error) {
	return change(ctx, s.core, c, sluice.FilesContent, func(tx Tx, c Caller, now time.Time) (sluice.File, error) {
		f, err := activeFile(tx, c.Ledger, id)
		if err != nil {
			return sluice.File{}, err
		}
		e := s.entry(c, sluice.FileRead, now)
		e.File = audit.FilePart(f)
		return f, tx.Record(e)
	})
}
