package client

import (
	"context"
	"iter"
	"net/http"

	"sluice/api"
)

const filesPath = "/v1/files"

// File returns a file's details. A deleted file is returned with the status api.StatusDeleted.
func (c *Client) File(ctx context.Context, id string) (api.File, error) {
	path, err := at(filesPath, id)
	if err != nil {
		return api.File{}, err
	}
	return get[api.File](ctx, c, "file", path, nil)
}

// Files iterates over the files that match a query, newest first, and fetches pages as needed. With query.Before it
// iterates over newer files, oldest first. It ends at the first error. query.Limit is the page size, 1 to 100; zero
// means 100.
func (c *Client) Files(ctx context.Context, query api.FileQuery) iter.Seq2[api.File, error] {
	return all(query.Page, func(p api.Page) (api.List[api.File], error) {
		query.Page = p
		return c.FilePage(ctx, query)
	}, func(f api.File) string { return f.ID })
}

// FilePage returns one page of files, newest first. query.Limit is the page size, 1 to 100; zero means 10.
func (c *Client) FilePage(ctx context.Context, query api.FileQuery) (api.List[api.File], error) {
	return page[api.File](ctx, c, filesPath, query)
}

// UpdateFile changes a file's details. Omitted members keep their values.
func (c *Client) UpdateFile(
	ctx context.Context, id string, ch api.FileChange, options ...ChangeOption,
) (api.File, error) {
	path, err := at(filesPath, id)
	if err != nil {
		return api.File{}, err
	}
	return send[api.File](ctx, c, "file", http.MethodPatch, path, ch, options)
}

// HoldFile puts a file under hold. Neither a call nor retention deletes it until it is released.
func (c *Client) HoldFile(ctx context.Context, id string, options ...ChangeOption) (api.File, error) {
	held := true
	return c.UpdateFile(ctx, id, api.FileChange{Held: &held}, options...)
}

// ReleaseFile ends the hold of a file.
func (c *Client) ReleaseFile(ctx context.Context, id string, options ...ChangeOption) (api.File, error) {
	held := false
	return c.UpdateFile(ctx, id, api.FileChange{Held: &held}, options...)
}

// DeleteFile deletes the bytes of a file and ends its links. Its details and its audit entries remain. If the file is
// under hold or retention, the error is sluice.CodeFileHeld.
func (c *Client) DeleteFile(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "file", filesPath, id, options)
}

// Purposes returns the purposes that files may have, and their rules.
func (c *Client) Purposes(ctx context.Context) ([]api.Purpose, error) {
	list, err := get[api.List[api.Purpose]](ctx, c, "list", "/v1/purposes", nil)
	return list.Data, err
}

// remove sends a DELETE for an object.
func (c *Client) remove(ctx context.Context, kind, collection, id string, options []ChangeOption) error {
	path, err := at(collection, id)
	if err != nil {
		return err
	}
	_, err = send[api.Deleted](ctx, c, kind, http.MethodDelete, path, nil, options)
	return err
}
