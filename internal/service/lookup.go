package service

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"sluice"
)

// lookups finds keys by the hashes of their secrets, with one question for all
// who ask for a key at the same moment: a burst of requests asks once. Its zero
// value is ready.
//
// An answer is shared by those only who asked before the question was put, so
// it is as new for each of them as one of their own.
type lookups struct {
	mu   sync.Mutex
	open map[sluice.Digest]*lookup // not put yet
}

// lookup is one question.
type lookup struct {
	done      chan struct{} // closed when the rest is set
	abandoned bool          // nobody knows the answer: who was to put it went away
	key       sluice.Key
	err       error
}

// find gives the key that ask finds for a hash.
func (q *lookups) find(ctx context.Context, hash sluice.Digest, ask func(context.Context, sluice.Digest) (sluice.Key, error)) (sluice.Key, error) {
	for {
		l, first := q.join(hash)
		if first {
			q.put(ctx, l, hash, ask)
		} else {
			select {
			case <-l.done:
			case <-ctx.Done():
				return sluice.Key{}, ctx.Err()
			}
		}
		if first || !l.abandoned {
			k := l.key
			k.Scopes = slices.Clone(k.Scopes)
			return k, l.err
		}
	}
}

// join gives the open question for a hash. Who is first has to put it.
func (q *lookups) join(hash sluice.Digest) (l *lookup, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l = q.open[hash]; l != nil {
		return l, false
	}
	if q.open == nil {
		q.open = map[sluice.Digest]*lookup{}
	}
	l = &lookup{done: make(chan struct{}), abandoned: true}
	q.open[hash] = l
	return l, true
}

// put closes a question to others and puts it. Before that it lets those go
// ahead who are ready to run: some of them may be on their way here.
func (q *lookups) put(ctx context.Context, l *lookup, hash sluice.Digest, ask func(context.Context, sluice.Digest) (sluice.Key, error)) {
	defer close(l.done)
	runtime.Gosched()
	q.mu.Lock()
	delete(q.open, hash)
	q.mu.Unlock()
	l.key, l.err = ask(ctx, hash)
	l.abandoned = l.err != nil && ctx.Err() != nil
}
