package native

import (
	"context"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

func (s *face) createKey(ctx context.Context, c *call, in *struct{ Body api.NewKey }) (*object[api.CreatedKey], error) {
	var v sluice.Invalid
	n := service.NewKey{
		Name: in.Body.Name, Scopes: scopes(in.Body.Scopes), Expires: expiry("expires_at", in.Body.ExpiresAt, &v),
		MaxLinkLifetime: longest(in.Body.MaxLinkLifetime, &v),
	}
	if in.Body.Scopes != nil && len(in.Body.Scopes) == 0 {
		v.Add("scopes", "required", "a key needs at least one scope")
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	k, err := s.svc.Keys.Create(ctx, c.Caller, n)
	return createdKeyAnswer(c, k, err)
}

func (s *face) listKeys(ctx context.Context, c *call, in *api.Page) (*listed[api.Key], error) {
	var v sluice.Invalid
	page := pageOf(*in, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Keys.List(ctx, c.Caller, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(k sluice.Key) string { return k.ID }, wireKey)
}

func (s *face) getKey(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*object[api.Key], error) {
	k, err := s.svc.Keys.Get(ctx, c.Caller, in.ID)
	return keyAnswer(c, k, err)
}

func (s *face) updateKey(ctx context.Context, c *call, in *struct {
	ID   string `path:"id"`
	Body api.KeyChange
}) (*object[api.Key], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	var v sluice.Invalid
	change := service.KeyChange{Name: in.Body.Name}
	if in.Body.Scopes != nil {
		list := scopes(*in.Body.Scopes)
		change.Scopes = &list
	}
	if at, set := in.Body.ExpiresAt.Get(); set {
		expires := expiry("expires_at", at, &v)
		change.Expires = &expires
	}
	if lifetime, set := in.Body.MaxLinkLifetime.Get(); set {
		d := longest(lifetime, &v)
		change.MaxLinkLifetime = &d
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	k, err := s.svc.Keys.Update(ctx, c.Caller, in.ID, want, change)
	return keyAnswer(c, k, err)
}

func (s *face) rotateKey(ctx context.Context, c *call, in *struct {
	ID   string `path:"id"`
	Body *api.KeyRotation
}) (*object[api.CreatedKey], error) {
	var overlap time.Duration
	if in.Body != nil {
		overlap, _ = api.Lifetime(in.Body.OverlapSeconds).Duration()
	}
	k, err := s.svc.Keys.Rotate(ctx, c.Caller, in.ID, overlap)
	return createdKeyAnswer(c, k, err)
}

func (s *face) deleteKey(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Deleted], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	d, err := s.svc.Keys.Revoke(ctx, c.Caller, in.ID, want)
	return deletedAnswer("key", d, err)
}

func keyAnswer(c *call, k sluice.Key, err error) (*object[api.Key], error) {
	if err != nil {
		return nil, err
	}
	out, err := wireKey(c, k)
	if err != nil {
		return nil, err
	}
	return single(c, k.Revision(), out)
}

func createdKeyAnswer(c *call, k service.CreatedKey, err error) (*object[api.CreatedKey], error) {
	if err != nil {
		return nil, err
	}
	out, err := wireKey(c, k.Key)
	if err != nil {
		return nil, err
	}
	data, err := c.Encode(out)
	created := api.CreatedKey{Key: out, Secret: text(k.Secret)}
	return &object[api.CreatedKey]{ETag: data.EntityTag(k.Key.Revision()), Body: created}, err
}

func scopes(names []string) (list []sluice.Scope) {
	for _, name := range names {
		list = append(list, sluice.Scope(name))
	}
	return list
}

// longest is the longest lifetime of links that a key may mint. Zero stands for the value of the server.
func longest(asked *api.Lifetime, v *sluice.Invalid) time.Duration {
	if asked == nil {
		return 0
	}
	d, ends := asked.Duration()
	switch {
	case !ends:
		return sluice.Forever
	case d < time.Second:
		v.Add("max_link_lifetime", "out_of_range", "a lifetime is a second or more")
	}
	return d
}
