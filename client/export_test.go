package client

import "time"

// MaxDocument and the others are limits for tests.
const (
	MaxDocument  = maxDocument
	MaxProblem   = maxProblem
	MaxRedirects = maxRedirects
	GoodPart     = goodPart
)

// SetPauses sets the first pause before a retry and the longest Retry-After to wait for.
func (c *Client) SetPauses(first, after time.Duration) {
	c.times.firstPause, c.times.maxAfter = first, after
}

// SetResponse sets the time limit for a short response.
func (c *Client) SetResponse(d time.Duration) { c.times.response = d }

// SetStall sets the time limit for a transfer without progress.
func (c *Client) SetStall(d time.Duration) { c.times.stall = d }

// SetCommit sets the time limit for the response to a complete upload.
func (c *Client) SetCommit(d time.Duration) { c.times.commit = d }

// Backoff returns a pause and its longest possible value.
func (c *Client) Backoff(retried int) (d, most time.Duration) {
	return c.backoff(retried), c.times.maxPause
}
