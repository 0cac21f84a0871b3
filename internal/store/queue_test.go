package store

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/internal/service"
)

// TestQueue wants the oldest requests first, no more than asked for, and those that wait at the end.
func TestQueue(t *testing.T) {
	q := newQueue()
	var added []*request
	for range 5 {
		r := &request{}
		q.add(r)
		added = append(added, r)
	}
	q.remove(added[1])
	q.remove(&request{})
	added = slices.Delete(added, 1, 2)
	list := q.take(nil, 3)
	if !slices.Equal(list, added[:3]) || q.length() != 1 {
		t.Fatalf("took %v and left %d, want %v", list, q.length(), added[:3])
	}
	q.close()
	if list = q.take(list[:0], 3); !slices.Equal(list, added[3:]) {
		t.Errorf("after close: took %v, want %v", list, added[3:])
	}
	if list = q.take(list[:0], 3); len(list) != 0 {
		t.Errorf("a closed and empty queue gave %v", list)
	}
}

// TestQueueAbandoned has callers give up while the writer is busy. A store whose database hangs must not keep what
// nobody waits for.
func TestQueueAbandoned(t *testing.T) {
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	busy, free, first := make(chan bool), make(chan bool), make(chan error)
	go func() {
		first <- s.Update(context.Background(), benchLedger, func(service.Tx) error {
			close(busy)
			<-free
			return nil
		})
	}()
	<-busy
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	for range 3 {
		go func() { left <- s.Update(ctx, benchLedger, func(service.Tx) error { return nil }) }()
		go func() { left <- s.Ready(ctx) }()
	}
	for deadline := time.Now().Add(time.Minute); s.Waiting() < 6; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests wait, want 6", s.Waiting())
		}
	}
	cancel()
	for range 6 {
		if err := <-left; err != context.Canceled {
			t.Errorf("a caller that gave up got %v", err)
		}
	}
	if n := s.Waiting(); n != 0 {
		t.Errorf("%d requests wait that nobody waits for", n)
	}
	close(free)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
