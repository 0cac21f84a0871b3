package client

import (
	"context"
	"iter"
	"net/http"

	"sluice/api"
)

const linksPath = "/v1/file_links"

// MintLink makes a link to a file. It lives for an hour unless the request says otherwise. The URL of the link is a
// secret: whoever has it can read the file.
func (c *Client) MintLink(
	ctx context.Context, fileID string, n api.NewLink, options ...ChangeOption,
) (api.Link, error) {
	ask := api.NewFileLink{FileID: fileID, NewLink: n}
	return send[api.Link](ctx, c, "file_link", http.MethodPost, linksPath, ask, options)
}

// MintLinks makes one link of a kind to each of up to 100 files, all of them or none. The ids that no file has are in
// Absent.
func (c *Client) MintLinks(
	ctx context.Context, fileIDs []string, n api.NewLink, options ...ChangeOption,
) (api.LinkBatch, error) {
	ask := api.NewLinkBatch{FileIDs: fileIDs, NewLink: n}
	return send[api.LinkBatch](ctx, c, "file_link_batch", http.MethodPost, linksPath+"/batch", ask, options)
}

// Link gives a link. One that was revoked is not found.
func (c *Client) Link(ctx context.Context, id string) (api.Link, error) {
	path, err := at(linksPath, id)
	if err != nil {
		return api.Link{}, err
	}
	return get[api.Link](ctx, c, "file_link", path, nil)
}

// LinkQuery narrows a list of links.
type LinkQuery struct {
	api.LinkQuery
	FileID string `query:"file_id"` // links to this file
}

// Links gives the links that a query lets through, newest first, over all pages. With query.Before it gives those
// that are newer, oldest first. It ends with the first error. query.Limit is the size of a page, 1 to 100; zero is 100.
func (c *Client) Links(ctx context.Context, query LinkQuery) iter.Seq2[api.Link, error] {
	return all(query.Page, func(p api.Page) (api.List[api.Link], error) {
		query.Page = p
		return c.LinkPage(ctx, query)
	}, func(l api.Link) string { return l.ID })
}

// LinkPage gives one page of links, newest first: 1 to 100 of them, 10 when query.Limit is zero.
func (c *Client) LinkPage(ctx context.Context, query LinkQuery) (api.List[api.Link], error) {
	return page[api.Link](ctx, c, linksPath, query)
}

// UpdateLink changes a link. Its URL stays the same. What is left out of the change stays as it is. A link that has
// ended is refused with sluice.CodeLinkExpired or sluice.CodeLinkRevoked.
func (c *Client) UpdateLink(
	ctx context.Context, id string, ch api.LinkChange, options ...ChangeOption,
) (api.Link, error) {
	path, err := at(linksPath, id)
	if err != nil {
		return api.Link{}, err
	}
	return send[api.Link](ctx, c, "file_link", http.MethodPatch, path, ch, options)
}

// RevokeLink ends a link for good. Downloads that have begun may go on to their end.
func (c *Client) RevokeLink(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "file_link", linksPath, id, options)
}
