package store

import (
	"slices"
	"sync"
)

// queue holds the requests that wait for the writer, oldest first. A caller sleeps once, until its request is answered,
// and not also until the writer takes it.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	closed  bool
	filled  sync.Cond // the writer waits for it
}

func newQueue() *queue {
	q := &queue{}
	q.filled.L = &q.mu
	return q
}

// add appends a request. It never waits.
func (q *queue) add(r *request) {
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	q.mu.Unlock()
	q.filled.Signal()
}

// remove takes out a request that its caller has given up, so that no more requests wait than callers.
func (q *queue) remove(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, r); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// take moves the oldest requests, up to limit, to the end of list. It waits until there is one. After close it moves
// what is left, and then none.
func (q *queue) take(list []*request, limit int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.filled.Wait()
	}
	n := min(limit, len(q.waiting))
	list = append(list, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	return list
}

// close ends the queue. No request is added any more.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.filled.Signal()
}

// length gives how many requests wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
