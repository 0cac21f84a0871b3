package server

import (
	"context"
	"math"
	"time"

	"sluice"
	"sluice/api"
)

func (s *Server) createLink(ctx context.Context, c *call, in *struct{ Body api.NewFileLink }) (*body[api.Link], error) {
	return s.mint(ctx, c, in.Body.FileID, in.Body.NewLink)
}

func (s *Server) createLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	Body *api.NewLink
}) (*body[api.Link], error) {
	var ask api.NewLink
	if in.Body != nil {
		ask = *in.Body
	}
	return s.mint(ctx, c, in.File, ask)
}

func (s *Server) mint(ctx context.Context, c *call, file string, ask api.NewLink) (*body[api.Link], error) {
	n := sluice.NewLink{FileID: file, Lifetime: lifetime(ask.ExpiresInSeconds), Reason: ask.Reason, Metadata: ask.Metadata}
	expires, err := expiry(ask.ExpiresAt)
	if err != nil {
		return nil, err
	}
	if expires != nil {
		n.Expires = *expires
	}
	l, err := s.svc.MintLink(ctx, c.caller, n)
	return linkAnswer(c, l, err)
}

func (s *Server) getLink(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Link], error) {
	l, err := s.svc.Link(ctx, c.caller, "", in.ID)
	return linkAnswer(c, l, err)
}

func (s *Server) getLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
}) (*body[api.Link], error) {
	l, err := s.svc.Link(ctx, c.caller, in.File, in.ID)
	return linkAnswer(c, l, err)
}

func (s *Server) updateLink(ctx context.Context, c *call, in *struct {
	ID   string `path:"id"`
	Body api.LinkChange
}) (*body[api.Link], error) {
	return s.change(ctx, c, "", in.ID, in.Body)
}

func (s *Server) updateLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
	Body api.LinkChange
}) (*body[api.Link], error) {
	return s.change(ctx, c, in.File, in.ID, in.Body)
}

func (s *Server) change(ctx context.Context, c *call, file, id string, ask api.LinkChange) (*body[api.Link], error) {
	expires, err := expiry(ask.ExpiresAt)
	if err != nil {
		return nil, err
	}
	l, err := s.svc.UpdateLink(ctx, c.caller, file, id, sluice.LinkChange{
		Lifetime: lifetime(ask.ExpiresInSeconds), Expires: expires, Reason: ask.Reason, Metadata: ask.Metadata,
	})
	return linkAnswer(c, l, err)
}

func (s *Server) deleteLink(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Deleted], error) {
	return s.revoke(ctx, c, "", in.ID)
}

func (s *Server) deleteLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
}) (*body[api.Deleted], error) {
	return s.revoke(ctx, c, in.File, in.ID)
}

func (s *Server) revoke(ctx context.Context, c *call, file, id string) (*body[api.Deleted], error) {
	if err := s.svc.RevokeLink(ctx, c.caller, file, id); err != nil {
		return nil, err
	}
	return &body[api.Deleted]{api.Deleted{ID: id, Object: "file_link", Deleted: true}}, nil
}

func (s *Server) listLinks(ctx context.Context, c *call, in *struct {
	api.LinkQuery
	File string `query:"file_id"`
}) (*listed[api.Link], error) {
	return s.links(ctx, c, in.File, in.LinkQuery)
}

func (s *Server) listLinksOfFile(ctx context.Context, c *call, in *struct {
	api.LinkQuery
	File string `path:"id"`
}) (*listed[api.Link], error) {
	return s.links(ctx, c, in.File, in.LinkQuery)
}

func (s *Server) links(ctx context.Context, c *call, file string, q api.LinkQuery) (*listed[api.Link], error) {
	var v sluice.Invalid
	filter := sluice.LinkFilter{FileID: file, IDs: ids(q.IDs, &v), Created: timeRange(q.Created, &v)}
	if q.Expired != "" {
		expired := q.Expired == "true"
		filter.Expired = &expired
	}
	page := pageOf(q.Page, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Links(ctx, c.caller, filter, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(l sluice.Link) string { return l.ID }, wireLink)
}

func linkAnswer(c *call, l sluice.Link, err error) (*body[api.Link], error) {
	if err != nil {
		return nil, err
	}
	out, err := wireLink(c, l)
	return &body[api.Link]{out}, err
}

// lifetime is a number of seconds as a duration; one too large for that becomes
// the longest or the shortest there is, which no policy allows.
func lifetime(secs *int64) *time.Duration {
	if secs == nil {
		return nil
	}
	const most = math.MaxInt64 / int64(time.Second)
	d := time.Duration(max(-most, min(most, *secs))) * time.Second
	return &d
}

// expiry is a moment in unix seconds.
func expiry(secs *int64) (*time.Time, error) {
	if secs == nil {
		return nil, nil
	}
	if *secs > maxUnix {
		var v sluice.Invalid
		v.Add("expires_at", "out_of_range", "expires_at lies beyond the year 9999")
		return nil, v.Err()
	}
	t := time.Unix(*secs, 0).UTC()
	return &t, nil
}
