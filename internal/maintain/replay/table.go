package replay

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// An objectID is the 16 bytes of an id (a ULID), or a hash of an id of another form.
type objectID [16]byte

// ulidLength is the number of characters of a ULID in an id.
const ulidLength = 26

// decoding maps a character of Crockford's base 32, in lower case, to its value, and any other to 255.
var decoding = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range "0123456789abcdefghjkmnpqrstvwxyz" {
		t[c] = byte(i)
	}
	return t
}()

// idOf reads an id with a prefix from a JSON string. Equal ids have equal results. An id that Sluice did not make is
// hashed with a secret of the run, so nobody can make two of them collide.
func idOf(seed maphash.Seed, value []byte, prefix string) (id objectID) {
	if len(value) == len(prefix)+ulidLength+2 && string(value[1:1+len(prefix)]) == prefix {
		if id, ok := decodeULID(value[1+len(prefix) : len(value)-1]); ok {
			return id
		}
	}
	h := maphash.Bytes(seed, value)
	binary.LittleEndian.PutUint64(id[:], h)
	binary.LittleEndian.PutUint64(id[8:], maphash.Comparable(seed, h)^uint64(len(value)))
	return id
}

func (id objectID) halves() (high, low uint64) {
	return binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:])
}

func decodeULID(text []byte) (id objectID, ok bool) {
	if text[0] > '7' {
		return id, false
	}
	var high, low uint64 // 128 bits, filled from the right
	for _, c := range text {
		v := decoding[c]
		if v == 255 {
			return id, false
		}
		high = high<<5 | low>>59
		low = low<<5 | uint64(v)
	}
	binary.BigEndian.PutUint64(id[:], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id, true
}

// chunked is a slice that grows without a copy of what it has: a log of millions of objects must not need twice its
// memory for a moment.
type chunked[T any] struct {
	chunks [][]T
	n      int
}

const chunkSize = 1 << 10

func (c *chunked[T]) at(i int) *T { return &c.chunks[i/chunkSize][i%chunkSize] }

func (c *chunked[T]) add() (i int) {
	if c.n%chunkSize == 0 && c.n/chunkSize == len(c.chunks) {
		c.chunks = append(c.chunks, make([]T, chunkSize))
	}
	c.n++
	return c.n - 1
}

// objects is a table of the objects of one kind: records in the order in which they were added, and an index by id with
// open addressing.
type objects[T any] struct {
	ids     chunked[objectID]
	records chunked[T]
	slots   []uint32 // a position plus one; 0 is free
}

func (o *objects[T]) hash(id objectID) uint64 {
	// The time of a ULID is in its first bytes, so that all its parts are mixed.
	h := binary.BigEndian.Uint64(id[:])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(id[8:])
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// find returns the position of an object, or -1.
func (o *objects[T]) find(id objectID) int {
	if len(o.slots) == 0 {
		return -1
	}
	mask := uint64(len(o.slots) - 1)
	for h := o.hash(id) & mask; ; h = (h + 1) & mask {
		switch n := o.slots[h]; {
		case n == 0:
			return -1
		case *o.ids.at(int(n - 1)) == id:
			return int(n - 1)
		}
	}
}

// add adds an object that the table does not have.
func (o *objects[T]) add(id objectID) int {
	if (o.ids.n+1)*4 > len(o.slots)*3 {
		o.slots = make([]uint32, max(64, 2*len(o.slots)))
		for i := range o.ids.n {
			o.put(*o.ids.at(i), i)
		}
	}
	i := o.ids.add()
	*o.ids.at(i) = id
	o.put(id, i)
	o.records.add()
	return i
}

func (o *objects[T]) put(id objectID, i int) {
	mask := uint64(len(o.slots) - 1)
	h := o.hash(id) & mask
	for o.slots[h] != 0 {
		h = (h + 1) & mask
	}
	o.slots[h] = uint32(i + 1)
}

func (o *objects[T]) at(i int) *T { return o.records.at(i) }

// awaited finds redemptions that await their delivery by the hash of their request. What was delivered stays in the
// table until it is full.
type awaited struct {
	slots []awaitedSlot // open addressing; a seq of 0 is free, otherwise it is the seq plus one
	used  int
}

type awaitedSlot struct{ request, seq uint32 }

// add adds a redemption. awaits reports whether a redemption still awaits its delivery.
func (a *awaited) add(request uint32, seq int64, awaits func(seq int64) bool) {
	if (a.used+1)*4 > len(a.slots)*3 {
		a.rebuild(awaits)
	}
	a.put(awaitedSlot{request, uint32(seq + 1)})
}

func (a *awaited) rebuild(awaits func(seq int64) bool) {
	old, live := a.slots, 0
	for _, s := range old {
		if s.seq != 0 && awaits(int64(s.seq)-1) {
			live++
		}
	}
	size := 1024
	for size < 2*(live+1) {
		size *= 2
	}
	a.slots, a.used = make([]awaitedSlot, size), 0
	for _, s := range old {
		if s.seq != 0 && awaits(int64(s.seq)-1) {
			a.put(s)
		}
	}
}

func (a *awaited) put(s awaitedSlot) {
	mask := uint32(len(a.slots) - 1)
	h := s.request & mask
	for a.slots[h].seq != 0 {
		h = (h + 1) & mask
	}
	a.slots[h] = s
	a.used++
}

// find returns the first redemption with a request that is accepted, or -1.
func (a *awaited) find(request uint32, accept func(seq int64) bool) int64 {
	if len(a.slots) == 0 {
		return -1
	}
	mask := uint32(len(a.slots) - 1)
	for h := request & mask; a.slots[h].seq != 0; h = (h + 1) & mask {
		if s := a.slots[h]; s.request == request && accept(int64(s.seq)-1) {
			return int64(s.seq) - 1
		}
	}
	return -1
}
