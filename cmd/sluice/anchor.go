package main

import (
	"context"
	"fmt"

	"sluice/internal/follow"
)

// anchorFlags say where the checkpoints of a running server go out to.
type anchorFlags struct {
	Anchor  []string `help:"Take checkpoints out to file:PATH, which is appended to, to webhook:URL, which gets them by POST, or to s3://BUCKET/PREFIX?region=…, where each is an object that is never replaced; may be repeated." placeholder:"KIND:WHERE"`
	Witness []string `help:"Have checkpoints cosigned by a C2SP witness: its verifier key, a space, and its URL; may be repeated." placeholder:"VKEY URL"`
}

// followers reads --anchor and --witness.
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
