// Package arena gives a server's bulk arrays memory that is mapped once, in huge
// pages where the system has them, and used again and again: first-touch faults
// and small pages cost more than the routing itself, and the garbage collector
// neither counts nor scans it. It implements record.Memory.
//
// Sizes are public, and so is when memory is asked for. Memory that is given
// back is kept for the next array of about that size; what nothing has asked
// for during the next 64 requests, several epochs, goes back to the system.
// It is not cleared.
package arena

import (
	"sync"
)

const (
	page  = 2 << 20  // of huge pages
	least = 1 << 20  // what is smaller comes from the heap
	kept  = 16 << 10 // what is smaller than that is not kept either
	idle  = 64       // requests that memory given back is kept for
)

// Arena is a source of bulk memory. It is safe for concurrent use.
type Arena struct {
	mu    sync.Mutex
	mine  map[*byte]mapping // that are given out, by their first byte
	free  []mapping
	gets  int // requests so far
	bytes int
}

// mapping is memory of the system's, or some of the heap's that is kept.
type mapping struct {
	b     []byte // whole huge pages, if it is the system's
	whole []byte // what the system gave, around b; nil for the heap's
	since int    // requests before it was given back
}

// New makes an arena that has mapped nothing yet.
func New() *Arena { return &Arena{mine: map[*byte]mapping{}} }

// Get returns n bytes of any content, aligned to a page if they are many.
func (a *Arena) Get(n int) []byte {
	if n < kept {
		return heap(n)
	}
	size := (n + page - 1) / page * page
	if n < least {
		size = (n + 63) / 64 * 64
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gets++
	m, ok := a.reuse(size)
	a.trim()
	if !ok && n >= least {
		if m, ok = mapped(size); ok {
			a.bytes += size
		}
	}
	if !ok {
		m = mapping{b: heap(size)}
	}
	a.mine[&m.b[0]] = m
	return m.b[:n]
}

// reuse takes the smallest free mapping that fits, if one is not much too large.
func (a *Arena) reuse(size int) (m mapping, ok bool) {
	best := -1
	for i, f := range a.free {
		if len(f.b) >= size && len(f.b) <= size+size/4 && (best < 0 || len(f.b) < len(a.free[best].b)) {
			best = i
		}
	}
	if best < 0 {
		return mapping{}, false
	}
	return a.takeFree(best), true
}

func (a *Arena) takeFree(i int) mapping {
	m, last := a.free[i], len(a.free)-1
	a.free[i], a.free[last] = a.free[last], mapping{}
	a.free = a.free[:last]
	return m
}

// trim gives back to the system what has been idle.
func (a *Arena) trim() {
	for i := len(a.free) - 1; i >= 0; i-- {
		if a.gets-a.free[i].since >= idle {
			if m := a.takeFree(i); m.whole != nil {
				a.bytes -= len(m.b)
				unmap(m)
			}
		}
	}
}

// Put gives back what Get returned, or its beginning. Other memory is left alone.
func (a *Arena) Put(b []byte) {
	if cap(b) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, ok := a.mine[&b[:1][0]]; ok {
		delete(a.mine, &m.b[0])
		m.since = a.gets
		a.free = append(a.free, m)
	}
}

// Close gives all memory back to the system, what is given out too: nobody may
// use the arena, or what came from it, any more.
func (a *Arena) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.mine {
		unmap(m)
	}
	for _, m := range a.free {
		unmap(m)
	}
	clear(a.mine)
	a.free, a.bytes = nil, 0
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
