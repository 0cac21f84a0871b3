package native

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

func (s *face) createLink(ctx context.Context, c *call, in *struct{ Body api.NewFileLink }) (*object[api.Link], error) {
	return s.mint(ctx, c, in.Body.FileID, in.Body.NewLink)
}

func (s *face) createLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	Body *api.NewLink
}) (*object[api.Link], error) {
	var ask api.NewLink
	if in.Body != nil {
		ask = *in.Body
	}
	return s.mint(ctx, c, in.File, ask)
}

func (s *face) mint(ctx context.Context, c *call, file string, ask api.NewLink) (*object[api.Link], error) {
	var v sluice.Invalid
	n := newLink("", ask, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	n.FileID = file
	l, err := s.svc.Links.Mint(ctx, c.Caller, n)
	return linkAnswer(c, l, err, changedLink)
}

func (s *face) createLinks(
	ctx context.Context, c *call, in *struct{ Body api.NewLinkBatch },
) (*body[api.LinkBatch], error) {
	var v sluice.Invalid
	n := newLink("", in.Body.NewLink, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	b, err := s.svc.Links.MintBatch(ctx, c.Caller, in.Body.FileIDs, recipients(in.Body.Recipients), n)
	if err != nil {
		return nil, err
	}
	out := api.LinkBatch{Object: "file_link_batch", Data: make([]api.Link, len(b.Links)), Absent: texts(b.Absent)}
	for i, l := range b.Links {
		if out.Data[i], err = changedLink(c, l); err != nil {
			return nil, err
		}
	}
	return &body[api.LinkBatch]{out}, nil
}

// newLink reads the description of a new link. Failures name the parameters with prefix before them.
func newLink(prefix string, ask api.NewLink, v *sluice.Invalid) service.NewLink {
	n := service.NewLink{
		Lifetime: lifetime(ask.ExpiresInSeconds), Expires: expiry(prefix+"expires_at", ask.ExpiresAt, v),
		Reason: ask.Reason, Metadata: ask.Metadata, AllowedIPs: networks(prefix, ask.AllowedIPs, v),
		Disposition: sluice.Disposition(ask.Disposition), Filename: ask.Filename,
		Access: newAccess(ask), Send: ask.Send,
	}
	if ask.Recipient != nil && ask.Recipient.Email == "" {
		v.Add(prefix+"recipient.email", "required", "a recipient needs an e-mail address")
	}
	if ask.ExpiresInSeconds != nil && ask.ExpiresAt != nil {
		v.Add(prefix+"expires_at", "invalid", "give expires_at or expires_in_seconds, not both")
	}
	if ask.MaxDownloads != nil {
		n.MaxDownloads = downloads(prefix, *ask.MaxDownloads, v)
	}
	if ask.Password != nil {
		if n.Password = *ask.Password; n.Password == "" {
			v.Add(prefix+"password", "out_of_range", "a password has at least %d characters", service.MinPasswordLen)
		}
	}
	return n
}

func (s *face) getLink(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*object[api.Link], error) {
	l, err := s.svc.Links.Get(ctx, c.Caller, "", in.ID)
	return linkAnswer(c, l, err, wireLink)
}

func (s *face) getLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
}) (*object[api.Link], error) {
	l, err := s.svc.Links.Get(ctx, c.Caller, in.File, in.ID)
	return linkAnswer(c, l, err, wireLink)
}

func (s *face) updateLink(ctx context.Context, c *call, in *struct {
	ID   string `path:"id"`
	Body api.LinkChange
}) (*object[api.Link], error) {
	return s.change(ctx, c, "", in.ID, in.Body)
}

func (s *face) updateLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
	Body api.LinkChange
}) (*object[api.Link], error) {
	return s.change(ctx, c, in.File, in.ID, in.Body)
}

func (s *face) change(ctx context.Context, c *call, file, id string, ask api.LinkChange) (*object[api.Link], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	var v sluice.Invalid
	change := linkChange(ask, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Links.Update(ctx, c.Caller, file, id, want, change)
	return linkAnswer(c, l, err, changedLink)
}

func linkChange(ask api.LinkChange, v *sluice.Invalid) service.LinkChange {
	change := service.LinkChange{
		Lifetime: lifetime(ask.ExpiresInSeconds), Reason: textChange(ask.Reason), Metadata: ask.Metadata,
	}
	switch at, set := ask.ExpiresAt.Get(); {
	case set && ask.ExpiresInSeconds != nil:
		v.Add("expires_at", "invalid", "give expires_at or expires_in_seconds, not both")
	case set && at == nil:
		forever := sluice.Forever
		change.Lifetime = &forever
	case set:
		expires := expiry("expires_at", at, v)
		change.Expires = &expires
	}
	if most, set := ask.MaxDownloads.Get(); set {
		change.MaxDownloads = new(int64) // no limit
		if most != nil {
			*change.MaxDownloads = downloads("", *most, v)
		}
	}
	if ask.AllowedIPs != nil {
		list := networks("", *ask.AllowedIPs, v)
		change.AllowedIPs = &list
	}
	accessChange(ask, &change)
	return change
}

func (s *face) deleteLink(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Deleted], error) {
	return s.revoke(ctx, c, "", in.ID)
}

func (s *face) deleteLinkOfFile(ctx context.Context, c *call, in *struct {
	File string `path:"id"`
	ID   string `path:"link"`
}) (*body[api.Deleted], error) {
	return s.revoke(ctx, c, in.File, in.ID)
}

func (s *face) revoke(ctx context.Context, c *call, file, id string) (*body[api.Deleted], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	d, err := s.svc.Links.Revoke(ctx, c.Caller, file, id, want)
	return deletedAnswer("file_link", d, err)
}

func (s *face) listLinks(ctx context.Context, c *call, in *struct {
	api.LinkQuery
	File string `query:"file_id" doc:"To this file"`
}) (*listed[api.Link], error) {
	return s.links(ctx, c, in.File, in.LinkQuery)
}

func (s *face) listLinksOfFile(ctx context.Context, c *call, in *struct {
	api.LinkQuery
	File string `path:"id"`
}) (*listed[api.Link], error) {
	return s.links(ctx, c, in.File, in.LinkQuery)
}

func (s *face) links(ctx context.Context, c *call, file string, q api.LinkQuery) (*listed[api.Link], error) {
	var v sluice.Invalid
	filter := service.LinkFilter{
		FileID: file, IDs: ids(q.IDs, &v), Created: created(q.Created, &v), Expires: expires(q.Expires, &v),
		Expired: choice(q.Expired), Revoked: choice(q.Revoked), Recipient: address("recipient", q.Recipient, &v),
	}
	page := pageOf(q.Page, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Links.List(ctx, c.Caller, filter, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(l sluice.Link) string { return l.ID }, wireLink)
}

func linkAnswer(
	c *call, l sluice.Link, err error, wire func(*call, sluice.Link) (api.Link, error),
) (*object[api.Link], error) {
	if err != nil {
		return nil, err
	}
	out, err := wire(c, l)
	if err != nil {
		return nil, err
	}
	return single(c, l.Version(), out)
}

func lifetime(asked *api.Lifetime) *time.Duration {
	if asked == nil {
		return nil
	}
	d, ends := asked.Duration()
	if !ends {
		d = sluice.Forever
	}
	return &d
}

// expiry is a time in Unix seconds; the zero time for none.
func expiry(param string, secs *int64, v *sluice.Invalid) time.Time {
	if secs == nil {
		return time.Time{}
	}
	if *secs < 0 || *secs > MaxUnix {
		v.Add(param, "out_of_range", "%s must lie between 1970 and the end of the year 9999", param)
	}
	return time.Unix(*secs, 0).UTC()
}

// downloads is a limit of downloads. The service takes 0 as no limit, so a client may not send it.
func downloads(prefix string, most int64, v *sluice.Invalid) int64 {
	if most < 1 {
		v.Add(prefix+"max_downloads", "out_of_range", "max_downloads is 1 to %d", sluice.MaxMaxDownloads)
	}
	return most
}

// networks parses networks in CIDR notation (RFC 4632, RFC 4291) and single addresses.
func networks(prefix string, texts []string, v *sluice.Invalid) (list []netip.Prefix) {
	for i, text := range texts[:min(len(texts), sluice.MaxAllowedIPs+1)] {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil && a.Zone() == "" {
				network = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if !network.IsValid() {
			v.Add(fmt.Sprintf("%sallowed_ips.%d", prefix, i), "invalid",
				"%q is not an IP address or a network such as 192.0.2.0/24", httpd.Clean(text))
			continue
		}
		list = append(list, httpd.PlainNetwork(network))
	}
	return list
}
