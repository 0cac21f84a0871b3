package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"

	"sluice/api"
)

const keysPath = "/v1/keys"

// Account returns the account of the client's key and the scopes of the key.
func (c *Client) Account(ctx context.Context) (api.Account, error) {
	return get[api.Account](ctx, c, "account", "/v1/account", nil)
}

// CreateKey creates an API key. The server returns the secret only once: if the first response is lost, the retried
// call returns a nil Secret. Rotate the key to get a secret then.
func (c *Client) CreateKey(ctx context.Context, n api.NewKey, options ...ChangeOption) (api.CreatedKey, error) {
	return send[api.CreatedKey](ctx, c, "key", http.MethodPost, keysPath, n, options)
}

// Key returns an API key without its secret.
func (c *Client) Key(ctx context.Context, id string) (api.Key, error) {
	path, err := at(keysPath, id)
	if err != nil {
		return api.Key{}, err
	}
	return get[api.Key](ctx, c, "key", path, nil)
}

// Keys iterates over the API keys of the account and mode, newest first, and fetches pages as needed. With query.Before
// it iterates over newer keys, oldest first. It ends at the first error. query.Limit is the page size, 1 to 100; zero
// means 100.
func (c *Client) Keys(ctx context.Context, query api.Page) iter.Seq2[api.Key, error] {
	return all(query, func(p api.Page) (api.List[api.Key], error) {
		return c.KeyPage(ctx, p)
	}, func(k api.Key) string { return k.ID })
}

// KeyPage returns one page of API keys, newest first. query.Limit is the page size, 1 to 100; zero means 10.
func (c *Client) KeyPage(ctx context.Context, query api.Page) (api.List[api.Key], error) {
	return page[api.Key](ctx, c, keysPath, query)
}

// UpdateKey changes an API key. Omitted members keep their values.
func (c *Client) UpdateKey(ctx context.Context, id string, ch api.KeyChange, options ...ChangeOption) (api.Key, error) {
	path, err := at(keysPath, id)
	if err != nil {
		return api.Key{}, err
	}
	return send[api.Key](ctx, c, "key", http.MethodPatch, path, ch, options)
}

// RotateKey gives an API key a new secret. The old secret stays valid for the overlap, in whole seconds, zero to seven
// days. As with CreateKey, Secret is nil if the first response was lost.
func (c *Client) RotateKey(
	ctx context.Context, id string, overlap time.Duration, options ...ChangeOption,
) (api.CreatedKey, error) {
	path, err := at(keysPath, id, "rotate")
	if err != nil {
		return api.CreatedKey{}, err
	}
	if overlap%time.Second != 0 {
		return api.CreatedKey{}, fmt.Errorf("the overlap %v is not a whole number of seconds", overlap)
	}
	ask := api.KeyRotation{OverlapSeconds: int64(overlap / time.Second)}
	return send[api.CreatedKey](ctx, c, "key", http.MethodPost, path, ask, options)
}

// RevokeKey revokes an API key and the links that it minted.
func (c *Client) RevokeKey(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "key", keysPath, id, options)
}
