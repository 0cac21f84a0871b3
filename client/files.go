package client

import (
	"context"
	"iter"
	"net/http"

	"sluice/api"
)

const filesPath = "/v1/files"

// File gives a file's details. A deleted file answers too, with the status api.StatusDeleted.
func (c *Client) File(ctx context.Context, id string) (api.File, error) {
	path, err := at(filesPath, id)
	if err != nil {
		return api.File{}, err
	}
	return get[api.File](ctx, c, "file", path, nil)
}

// Files gives the files that a query lets through, newest first, over all pages. With query.Before it gives those
// that are newer, oldest first. It ends with the first error. query.Limit is the size of a page, 1 to 100; zero is 100.
func (c *Client) Files(ctx context.Context, query api.FileQuery) iter.Seq2[api.File, error] {
	return all(query.Page, func(p api.Page) (api.List[api.File], error) {
		query.Page = p
		return c.FilePage(ctx, query)
	}, func(f api.File) string { return f.ID })
}

// FilePage gives one page of files, newest first: 1 to 100 of them, 10 when query.Limit is zero.
func (c *Client) FilePage(ctx context.Context, query api.FileQuery) (api.List[api.File], error) {
	return page[api.File](ctx, c, filesPath, query)
}

// UpdateFile changes a file's details. What is left out of the change stays as it is.
func (c *Client) UpdateFile(
	ctx context.Context, id string, ch api.FileChange, options ...ChangeOption,
) (api.File, error) {
	path, err := at(filesPath, id)
	if err != nil {
		return api.File{}, err
	}
	return send[api.File](ctx, c, "file", http.MethodPatch, path, ch, options)
}

// HoldFile puts a file under hold: it cannot be deleted, by retention neither, until it is released.
func (c *Client) HoldFile(ctx context.Context, id string, options ...ChangeOption) (api.File, error) {
	held := true
	return c.UpdateFile(ctx, id, api.FileChange{Held: &held}, options...)
}

// ReleaseFile ends the hold of a file.
func (c *Client) ReleaseFile(ctx context.Context, id string, options ...ChangeOption) (api.File, error) {
	held := false
	return c.UpdateFile(ctx, id, api.FileChange{Held: &held}, options...)
}

// DeleteFile removes the bytes of a file and ends its links. Its details and the audit log stay. A file under hold or
// retention is refused with sluice.CodeFileHeld.
func (c *Client) DeleteFile(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "file", filesPath, id, options)
}

// Purposes gives what files may be for, and the rules that follow.
func (c *Client) Purposes(ctx context.Context) ([]api.Purpose, error) {
	list, err := get[api.List[api.Purpose]](ctx, c, "list", "/v1/purposes", nil)
	return list.Data, err
}

// remove ends an object.
func (c *Client) remove(ctx context.Context, kind, collection, id string, options []ChangeOption) error {
	path, err := at(collection, id)
	if err != nil {
		return err
	}
	_, err = send[api.Deleted](ctx, c, kind, http.MethodDelete, path, nil, options)
	return err
}
