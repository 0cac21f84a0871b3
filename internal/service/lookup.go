package service

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"sluice"
)

// lookups finds keys by the hashes of their secrets. Requests that bring the same key at the same moment share one
// question to the store: BenchmarkAuthenticate shows what that saves. The zero value is ready.
//
// A request joins a question only before it is put to the store. So its answer is as new as that of a question of its
// own, and a key that has been revoked lets nobody in.
//
// Package singleflight is not used here: decision 27 says why.
type lookups struct {
	mu   sync.Mutex
	open map[sluice.Digest]*lookup // not yet put to the store
}

// asker puts the question to the store.
type asker func(context.Context, sluice.Digest) (sluice.Key, error)

// lookup is one question.
type lookup struct {
	done      chan struct{} // closed when the rest is set
	abandoned bool          // the request that was to ask has ended without an answer
	key       sluice.Key
	err       error
}

// find returns the key that ask finds for a hash. It waits no longer than ctx lasts.
func (q *lookups) find(ctx context.Context, hash sluice.Digest, ask asker) (sluice.Key, error) {
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

// join returns the open question for a hash. The first to join has to put it.
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

// put closes a question to others and asks it. First it yields to goroutines that are ready to run: some of them may be
// about to join.
func (q *lookups) put(ctx context.Context, l *lookup, hash sluice.Digest, ask asker) {
	defer close(l.done)
	runtime.Gosched()
	q.mu.Lock()
	delete(q.open, hash)
	q.mu.Unlock()
	l.key, l.err = ask(ctx, hash)
	l.abandoned = l.err != nil && ctx.Err() != nil
}
