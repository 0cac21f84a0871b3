package client

import (
	"context"
	"iter"
	"net/http"

	"sluice/api"
)

const linksPath = "/v1/file_links"

// MintLink mints a link to a file. Its lifetime is one hour unless the request sets another. The URL of the link is a
// secret: anyone who has it can download the file.
func (c *Client) MintLink(
	ctx context.Context, fileID string, n api.NewLink, options ...ChangeOption,
) (api.Link, error) {
	ask := api.NewFileLink{FileID: fileID, NewLink: n}
	return send[api.Link](ctx, c, "file_link", http.MethodPost, linksPath, ask, options)
}

// MintLinks mints one link each to up to 100 files, with the same settings. It mints all links or none. Ids of unknown
// files are returned in Absent.
func (c *Client) MintLinks(
	ctx context.Context, fileIDs []string, n api.NewLink, options ...ChangeOption,
) (api.LinkBatch, error) {
	ask := api.NewLinkBatch{FileIDs: fileIDs, NewLink: n}
	return send[api.LinkBatch](ctx, c, "file_link_batch", http.MethodPost, linksPath+"/batch", ask, options)
}

// Link returns a link. A revoked link is reported as not found.
func (c *Client) Link(ctx context.Context, id string) (api.Link, error) {
	path, err := at(linksPath, id)
	if err != nil {
		return api.Link{}, err
	}
	return get[api.Link](ctx, c, "file_link", path, nil)
}

// LinkQuery filters a list of links.
type LinkQuery struct {
	api.LinkQuery
	FileID string `query:"file_id"` // only links to this file
}

// Links iterates over the links that match a query, newest first, and fetches pages as needed. With query.Before it
// iterates over newer links, oldest first. It ends at the first error. query.Limit is the page size, 1 to 100; zero
// means 100.
func (c *Client) Links(ctx context.Context, query LinkQuery) iter.Seq2[api.Link, error] {
	return all(query.Page, func(p api.Page) (api.List[api.Link], error) {
		query.Page = p
		return c.LinkPage(ctx, query)
	}, func(l api.Link) string { return l.ID })
}

// LinkPage returns one page of links, newest first. query.Limit is the page size, 1 to 100; zero means 10.
func (c *Client) LinkPage(ctx context.Context, query LinkQuery) (api.List[api.Link], error) {
	return page[api.Link](ctx, c, linksPath, query)
}

// UpdateLink changes a link. Its URL stays the same, and omitted members keep their values. If the link has ended, the
// error is sluice.CodeLinkExpired or sluice.CodeLinkRevoked.
func (c *Client) UpdateLink(
	ctx context.Context, id string, ch api.LinkChange, options ...ChangeOption,
) (api.Link, error) {
	path, err := at(linksPath, id)
	if err != nil {
		return api.Link{}, err
	}
	return send[api.Link](ctx, c, "file_link", http.MethodPatch, path, ch, options)
}

// RevokeLink ends a link permanently. Downloads in progress may finish.
func (c *Client) RevokeLink(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "file_link", linksPath, id, options)
}
