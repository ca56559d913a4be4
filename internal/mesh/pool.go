package mesh

import (
	"math/bits"
	"sync"
)

// buffers holds payload buffers, a pool for each power of two.
type buffers struct {
	pools [bits.UintSize]sync.Pool
}

// get returns a buffer of n bytes, and what gives it back.
func (b *buffers) get(n int) ([]byte, func()) {
	if n == 0 {
		return nil, func() {}
	}
	class := bits.Len(uint(max(n, 512) - 1))
	p, ok := b.pools[class].Get().(*[]byte)
	if !ok {
		s := make([]byte, 1<<class)
		p = &s
	}
	return (*p)[:n], func() { b.pools[class].Put(p) }
}
