package service

import (
	"context"
	"errors"
	"time"
)

// Housekeeping has the jobs that remove or mark rows of the database. No client sees their effect, and nothing is
// recorded in the log.
type Housekeeping struct{ *core }

// MarkEndedLinks marks the links of revoked keys and deleted files, until none is left or ctx ends. It returns the
// number of links that it marked. It only keeps lists fast: those links have ended already.
func (s *Housekeeping) MarkEndedLinks(ctx context.Context) (int, error) {
	for marked := 0; ; {
		n, more, err := s.store.EndLinks(ctx)
		marked += n
		if err != nil || !more || ctx.Err() != nil {
			return marked, err
		}
	}
}

// sessionsKept is how long a session stays in lists after it expired.
const sessionsKept = 24 * time.Hour

// RemoveExpired removes stored responses, open grants, wrong guesses, challenges and sessions that have expired. It
// returns how many rows it removed.
func (s *Housekeeping) RemoveExpired(ctx context.Context) (int, error) {
	responses, err := s.store.ForgetResponses(ctx, s.now().Add(-StoredResponseTTL))
	grants, err2 := s.store.ForgetGrants(ctx, s.now())
	guesses, err3 := s.store.ForgetGuesses(ctx, GuessDay(s.now()))
	challenges, err4 := s.store.ForgetChallenges(ctx, s.now().Add(-LinkWindow))
	sessions, err5 := s.store.ForgetSessions(ctx, s.now().Add(-sessionsKept))
	return responses + grants + guesses + challenges + sessions, errors.Join(err, err2, err3, err4, err5)
}
