package client

import "time"

// MaxDocument and the others are limits that tests go to.
const (
	MaxDocument  = maxDocument
	MaxProblem   = maxProblem
	MaxRedirects = maxRedirects
	GoodPart     = goodPart
)

// SetPauses sets the first pause before a retry and the longest Retry-After that is waited for.
func (c *Client) SetPauses(first, after time.Duration) {
	c.times.firstPause, c.times.maxAfter = first, after
}

// SetAnswer sets how long a short answer may take.
func (c *Client) SetAnswer(d time.Duration) { c.times.answer = d }

// SetStall sets how long a transfer may stand still.
func (c *Client) SetStall(d time.Duration) { c.times.stall = d }

// SetCommit sets how long the answer to a whole upload may take.
func (c *Client) SetCommit(d time.Duration) { c.times.commit = d }

// Backoff gives a pause, and the longest that it can be.
func (c *Client) Backoff(retried int) (d, most time.Duration) {
	return c.backoff(retried), c.times.maxPause
}
