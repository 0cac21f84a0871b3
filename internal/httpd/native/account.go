package native

import (
	"context"
	"slices"

	"sluice"
	"sluice/api"
)

func (s *face) getAccount(ctx context.Context, c *call, _ *struct{}) (*body[api.Account], error) {
	all, err := s.svc.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a sluice.Account) bool { return a.ID == c.Caller.Ledger.Account })
	if i < 0 {
		return nil, sluice.Errorf(sluice.CodeNotFound, "the account of this key no longer exists")
	}
	key, err := wireKey(c, c.Caller.Key)
	return &body[api.Account]{api.Account{
		Object: "account", ID: all[i].ID, Name: all[i].Name, Created: all[i].Created.Unix(),
		Livemode: c.Caller.Ledger.Mode.Live(), Key: key,
	}}, err
}
