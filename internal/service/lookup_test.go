package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"sluice"
)

// foundKey is what one lookup came to.
type foundKey struct {
	key sluice.Key
	err error
}

func (q *lookups) start(ctx context.Context, ask func(context.Context, sluice.Digest) (sluice.Key, error)) chan foundKey {
	out := make(chan foundKey, 1)
	go func() {
		k, err := q.find(ctx, sluice.Digest{1}, ask)
		out <- foundKey{k, err}
	}()
	synctest.Wait()
	return out
}

func answering(name string) func(context.Context, sluice.Digest) (sluice.Key, error) {
	return func(context.Context, sluice.Digest) (sluice.Key, error) {
		return sluice.Key{Name: name, Scopes: []sluice.Scope{sluice.FilesRead}}, nil
	}
}

// Those who ask before the question is put share its answer, and nothing of it
// that one of them could change.
func TestLookupIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q lookups
		l, _ := q.join(sluice.Digest{1})
		joined := q.start(t.Context(), answering("its own"))
		also := q.start(t.Context(), answering("its own"))
		q.put(t.Context(), l, sluice.Digest{1}, answering("shared"))
		for _, joined := range []chan foundKey{joined, also} {
			got := <-joined
			if got.err != nil || got.key.Name != "shared" || got.key.Scopes[0] != sluice.FilesRead {
				t.Errorf("who joined got %q %v, %v", got.key.Name, got.key.Scopes, got.err)
			}
			got.key.Scopes[0] = sluice.KeysAdmin
		}
	})
}

// Who asks after a question was put gets an answer to one of their own: what
// was committed in between is in it.
func TestLookupIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q lookups
		release := make(chan struct{})
		early := q.start(t.Context(), func(ctx context.Context, d sluice.Digest) (sluice.Key, error) {
			<-release
			return answering("before")(ctx, d)
		})
		late := q.start(t.Context(), answering("after"))
		close(release)
		if got := <-late; got.key.Name != "after" {
			t.Errorf("who asked late got what was so %q", got.key.Name)
		}
		if got := <-early; got.key.Name != "before" {
			t.Errorf("who asked early got what was so %q", got.key.Name)
		}
		if len(q.open) != 0 {
			t.Errorf("%d questions are left open", len(q.open))
		}
	})
}

// Who joined asks again when the first went away, however it did.
func TestLookupIsAbandoned(t *testing.T) {
	for name, give := range map[string]func(q *lookups, l *lookup){
		"cancelled": func(q *lookups, l *lookup) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			q.put(ctx, l, sluice.Digest{1}, func(ctx context.Context, _ sluice.Digest) (sluice.Key, error) { return sluice.Key{}, ctx.Err() })
		},
		"panicked": func(q *lookups, l *lookup) {
			defer func() { _ = recover() }()
			q.put(context.Background(), l, sluice.Digest{1}, func(context.Context, sluice.Digest) (sluice.Key, error) { panic("in the store") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q lookups
				l, _ := q.join(sluice.Digest{1})
				joined := q.start(t.Context(), answering("its own"))
				give(&q, l)
				if got := <-joined; got.err != nil || got.key.Name != "its own" {
					t.Errorf("who joined got %q, %v", got.key.Name, got.err)
				}
			})
		})
	}
}

// Who joined waits no longer than they want to, and learns of a failure that
// is nobody's going away.
func TestLookupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q lookups
		l, _ := q.join(sluice.Digest{1})
		ctx, cancel := context.WithCancel(t.Context())
		impatient, patient := q.start(ctx, answering("its own")), q.start(t.Context(), answering("its own"))
		cancel()
		if got := <-impatient; !errors.Is(got.err, context.Canceled) {
			t.Errorf("who did not wait got %q, %v", got.key.Name, got.err)
		}
		broken := errors.New("the disk is gone")
		q.put(t.Context(), l, sluice.Digest{1}, func(context.Context, sluice.Digest) (sluice.Key, error) { return sluice.Key{}, broken })
		if got := <-patient; got.err != broken {
			t.Errorf("who waited got %v", got.err)
		}
	})
}
