package sluice

import (
	"context"
	"time"
)

// LinkEdit is a LinkChange, and what the contracts of vendors have beyond it.
type LinkEdit struct {
	LinkChange
	ExpireNow     bool // its time runs out now; Lifetime and Expires are not looked at
	ClearMetadata bool // before Metadata is merged
}

// EditLink changes a link as UpdateLink does. One that expires now stays
// visible, as expired, unlike one that RevokeLink ends. It needs links:write.
func (s *Service) EditLink(ctx context.Context, c Caller, id string, edit LinkEdit) (Link, error) {
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (Link, error) {
		l, err := visibleLink(tx, c.Ledger, "", id)
		if err != nil {
			return Link{}, err
		}
		switch {
		case !l.Revoked.IsZero():
			return Link{}, Errorf(CodeLinkRevoked, "this link was ended (%s) and cannot be changed", l.Ended)
		case l.Expired(now):
			return Link{}, Errorf(CodeLinkExpired, "this link has expired and cannot be changed")
		}
		f, err := tx.File(c.Ledger, l.FileID)
		if err != nil {
			return Link{}, err
		}
		ch := edit.LinkChange
		if edit.ExpireNow {
			ch.Lifetime, ch.Expires = nil, nil
			l.Expires = next(now, l.Created)
		}
		if edit.ClearMetadata {
			l.Metadata = nil
		}
		if err := ch.apply(&l, now, s.longestLink(c.Key, f)); err != nil {
			return Link{}, err
		}
		l.Updated = next(now, l.Updated)
		return l, tx.UpdateLink(l, s.linkEntry(c, LinkUpdated, now, f, l))
	})
}

// EndLink ends a link as RevokeLink does, and gives it as it was, also when it
// is asked for again with the same Once. It needs links:write.
func (s *Service) EndLink(ctx context.Context, c Caller, fileID, id string) (Link, error) {
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (Link, error) {
		return s.endLink(tx, c, fileID, id, nil, now)
	})
}
