package kernel

import "math/bits"

// The bodies in plain Go of the sort kernels on pairs and headers. An exchange
// takes its mask from the borrow of one long subtraction.

// orderPairs brings pairs i and j into ascending order.
func orderPairs(k, v []uint64, i, j int) {
	_, borrow := bits.Sub64(v[j], v[i], 0)
	_, borrow = bits.Sub64(k[j], k[i], borrow)
	d := (k[i] ^ k[j]) & -borrow
	k[i] ^= d
	k[j] ^= d
	d = (v[i] ^ v[j]) & -borrow
	v[i] ^= d
	v[j] ^= d
}

// orderHeaders brings headers i and j into ascending order.
func orderHeaders(hs [][4]uint64, i, j int) {
	a, b := &hs[i], &hs[j]
	_, borrow := bits.Sub64(b[3], a[3], 0)
	_, borrow = bits.Sub64(b[2], a[2], borrow)
	_, borrow = bits.Sub64(b[1], a[1], borrow)
	_, borrow = bits.Sub64(b[0], a[0], borrow)
	d0, d1 := (a[0]^b[0])&-borrow, (a[1]^b[1])&-borrow
	d2, d3 := (a[2]^b[2])&-borrow, (a[3]^b[3])&-borrow
	a[0] ^= d0
	b[0] ^= d0
	a[1] ^= d1
	b[1] ^= d1
	a[2] ^= d2
	b[2] ^= d2
	a[3] ^= d3
	b[3] ^= d3
}

func flipPairs(k, v []uint64, h, from, to int) {
	for i := max(from, 2*h-len(k)); i < to; i++ {
		orderPairs(k, v, i, 2*h-1-i)
	}
}

func cleanPairs(k, v []uint64, q, from, to int) {
	n := len(k)
	for i := from; i < min(to, n-q); i++ {
		if i+2*q < n {
			orderPairs(k, v, i, i+2*q)
		}
		if i+3*q < n {
			orderPairs(k, v, i+q, i+3*q)
		}
		orderPairs(k, v, i, i+q)
		if i+3*q < n {
			orderPairs(k, v, i+2*q, i+3*q)
		}
	}
}

func sortPairs(k, v []uint64) {
	for h := 1; h < len(k); h *= 2 {
		for s := 0; s < len(k); s += 2 * h {
			e := min(s+2*h, len(k))
			flipPairs(k[s:e], v[s:e], h, 0, h)
			finishPairs(k[s:e], v[s:e], h/2)
		}
	}
}

func finishPairs(k, v []uint64, h int) {
	for ; h > 0; h /= 2 {
		for s := 0; s < len(k); s += 2 * h {
			for i := s; i < min(s+h, len(k)-h); i++ {
				orderPairs(k, v, i, i+h)
			}
		}
	}
}

func flipHeaders(hs [][4]uint64, h, from, to int) {
	for i := max(from, 2*h-len(hs)); i < to; i++ {
		orderHeaders(hs, i, 2*h-1-i)
	}
}

func cleanHeaders(hs [][4]uint64, q, from, to int) {
	n := len(hs)
	for i := from; i < min(to, n-q); i++ {
		if i+2*q < n {
			orderHeaders(hs, i, i+2*q)
		}
		if i+3*q < n {
			orderHeaders(hs, i+q, i+3*q)
		}
		orderHeaders(hs, i, i+q)
		if i+3*q < n {
			orderHeaders(hs, i+2*q, i+3*q)
		}
	}
}

func sortHeaders(hs [][4]uint64) {
	for h := 1; h < len(hs); h *= 2 {
		for s := 0; s < len(hs); s += 2 * h {
			e := min(s+2*h, len(hs))
			flipHeaders(hs[s:e], h, 0, h)
			finishHeaders(hs[s:e], h/2)
		}
	}
}

func finishHeaders(hs [][4]uint64, h int) {
	for ; h > 0; h /= 2 {
		for s := 0; s < len(hs); s += 2 * h {
			for i := s; i < min(s+h, len(hs)-h); i++ {
				orderHeaders(hs, i, i+h)
			}
		}
	}
}
