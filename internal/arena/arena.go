// Package arena gives a server's bulk arrays memory that is mapped once, in huge
// pages where the system has them, and used again and again: first-touch faults
// and small pages cost more than the routing itself, and the garbage collector
// neither counts nor scans it. It implements record.Memory.
//
// Sizes are public. Memory that is given back is kept for the next array of
// about that size, never returned to the system. It is not cleared.
package arena

import (
	"sync"
)

const (
	page  = 2 << 20 // of huge pages
	least = 1 << 20 // what is smaller comes from the heap
)

// Arena is a source of bulk memory. It is safe for concurrent use.
type Arena struct {
	mu    sync.Mutex
	mine  map[*byte][]byte // every mapping that is given out
	free  [][]byte
	bytes int
}

// New makes an arena that has mapped nothing yet.
func New() *Arena { return &Arena{mine: map[*byte][]byte{}} }

// Get returns n bytes of any content, aligned to a page if they are many.
func (a *Arena) Get(n int) []byte {
	if n < least {
		return heap(n)
	}
	size := (n + page - 1) / page * page
	a.mu.Lock()
	defer a.mu.Unlock()
	best := -1
	for i, f := range a.free {
		if len(f) >= size && len(f) <= size+size/4 && (best < 0 || len(f) < len(a.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		b := a.free[best]
		a.free[best] = a.free[len(a.free)-1]
		a.free = a.free[:len(a.free)-1]
		a.mine[&b[0]] = b
		return b[:n]
	}
	b, ok := mapped(size)
	if !ok {
		return heap(n)
	}
	a.mine[&b[0]] = b
	a.bytes += size
	return b[:n]
}

// Put gives back what Get returned, or its beginning. Other memory is left alone.
func (a *Arena) Put(b []byte) {
	if cap(b) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if whole, ok := a.mine[&b[:1][0]]; ok {
		delete(a.mine, &whole[0])
		a.free = append(a.free, whole)
	}
}

// Bytes is how much the arena has mapped.
func (a *Arena) Bytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes
}

func heap(n int) []byte {
	// Whole words, so that the array is aligned to them.
	return make([]byte, (n+63)/64*64)[:n]
}
