package sluice

import (
	"context"
	"time"
)

// ExpireLink lets the time of a link run out now, with what else ch changes of
// it; its Lifetime and Expires are not looked at. Unlike one that RevokeLink
// ends, the link stays visible, as expired. It needs links:write. A link that
// has ended already is CodeLinkExpired or CodeLinkRevoked.
func (s *Service) ExpireLink(ctx context.Context, c Caller, id string, ch LinkChange) (Link, error) {
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
		ch.Lifetime, ch.Expires = nil, nil
		if err := ch.apply(&l, now, 0); err != nil {
			return Link{}, err
		}
		l.Expires, l.Updated = next(now, l.Created), next(now, l.Updated)
		return l, tx.UpdateLink(l, s.linkEntry(c, LinkUpdated, now, f, l))
	})
}
