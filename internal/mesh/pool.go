package mesh

import (
	"math/bits"
	"sync"
)

// buffers holds payload buffers, four pools for each power of two.
type buffers struct {
	pools [4 * bits.UintSize]sync.Pool
}

// get returns a buffer of n bytes, and what gives it back.
func (b *buffers) get(n int) ([]byte, func()) {
	if n == 0 {
		return nil, func() {}
	}
	class, size := classOf(n)
	p, ok := b.pools[class].Get().(*[]byte)
	if !ok {
		s := make([]byte, size)
		p = &s
	}
	return (*p)[:n], func() { b.pools[class].Put(p) }
}

// classOf is the pool for n bytes, and the size of its buffers: the next quarter
// of a power of two, at least 512.
func classOf(n int) (class, size int) {
	n = max(n, 512)
	power := bits.Len(uint(n-1)) - 1 // n is in (2^power, 2^(power+1)]
	quarter := 1 << power / 4
	steps := (n - 1<<power + quarter - 1) / quarter
	return 4*power + steps - 1, 1<<power + steps*quarter
}
