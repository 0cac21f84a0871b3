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

// Account says whose key the client has, and what the key may do.
func (c *Client) Account(ctx context.Context) (api.Account, error) {
	return get[api.Account](ctx, c, "account", "/v1/account", nil)
}

// CreateKey makes an API key. The answer holds its secret, which the server shows once: when the first answer is lost
// and the call is repeated, Secret is nil. Rotate such a key to get a secret.
func (c *Client) CreateKey(ctx context.Context, n api.NewKey, options ...ChangeOption) (api.CreatedKey, error) {
	return send[api.CreatedKey](ctx, c, "key", http.MethodPost, keysPath, n, options)
}

// Key gives an API key, without its secret.
func (c *Client) Key(ctx context.Context, id string) (api.Key, error) {
	path, err := at(keysPath, id)
	if err != nil {
		return api.Key{}, err
	}
	return get[api.Key](ctx, c, "key", path, nil)
}

// Keys gives the API keys of the account's mode, newest first, over all pages. With query.Before it gives those that
// are newer, oldest first. It ends with the first error. query.Limit is the size of a page, 1 to 100; zero is 100.
func (c *Client) Keys(ctx context.Context, query api.Page) iter.Seq2[api.Key, error] {
	return all(query, func(p api.Page) (api.List[api.Key], error) {
		return c.KeyPage(ctx, p)
	}, func(k api.Key) string { return k.ID })
}

// KeyPage gives one page of API keys, newest first: 1 to 100 of them, 10 when query.Limit is zero.
func (c *Client) KeyPage(ctx context.Context, query api.Page) (api.List[api.Key], error) {
	return page[api.Key](ctx, c, keysPath, query)
}

// UpdateKey changes an API key. What is left out of the change stays as it is.
func (c *Client) UpdateKey(ctx context.Context, id string, ch api.KeyChange, options ...ChangeOption) (api.Key, error) {
	path, err := at(keysPath, id)
	if err != nil {
		return api.Key{}, err
	}
	return send[api.Key](ctx, c, "key", http.MethodPatch, path, ch, options)
}

// RotateKey gives an API key a new secret. The secret before it stays good for the overlap: whole seconds, up to seven
// days, zero for no overlap. Secret is nil in a repeated answer, as with CreateKey.
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

// RevokeKey ends an API key and the links that it minted.
func (c *Client) RevokeKey(ctx context.Context, id string, options ...ChangeOption) error {
	return c.remove(ctx, "key", keysPath, id, options)
}
