package main

import (
	"context"
	"fmt"

	"sluice/internal/follow"
)

// anchorFlags name the destinations of a running server's checkpoints.
type anchorFlags struct {
	Anchor  []string `help:"Send checkpoints to file:PATH (appended), webhook:URL (by POST) or s3://BUCKET/PREFIX?region=… (one object each, never replaced). May be repeated." placeholder:"KIND:WHERE"`
	Witness []string `help:"Have a C2SP witness cosign checkpoints. The value is the witness's verifier key, a space, and its URL. May be repeated." placeholder:"VKEY URL"`
}

// followers parses --anchor and --witness.
func (a *anchorFlags) followers(ctx context.Context) (all []follow.Follower, err error) {
	for _, text := range a.Anchor {
		f, err := follow.Anchor(ctx, text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--anchor: %w", err)}
		}
		all = append(all, f)
	}
	for _, text := range a.Witness {
		f, err := follow.Witness(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--witness: %w", err)}
		}
		all = append(all, f)
	}
	return all, nil
}
