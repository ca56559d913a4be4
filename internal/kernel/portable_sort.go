package kernel

import "math/bits"

// The bodies in plain Go of the sort kernels. An exchange computes its mask
// from a borrow, and the larger word from the smaller by exclusive or.

// order returns a and b in ascending order.
func order(a, b uint64) (lo, hi uint64) {
	_, borrow := bits.Sub64(b, a, 0)
	lo = a ^ (a^b)&-borrow
	return lo, a ^ b ^ lo
}

func flipWords(k []uint64, h, from, to int) {
	// Elements from len(k) on are absent: start at the first whose mirror is not.
	from = max(from, 2*h-len(k))
	if from >= to {
		return
	}
	lows := k[from:to]
	highs := k[2*h-to : 2*h-from][:len(lows)]
	for i := range lows {
		j := len(highs) - 1 - i
		lows[i], highs[j] = order(lows[i], highs[j])
	}
}

func cleanWords(k []uint64, q, from, to int) {
	n := len(k)
	i := from
	if full := min(to, n-3*q); i < full { // all four are there
		a, b := k[i:full], k[i+q:full+q]
		c, d := k[i+2*q:full+2*q], k[i+3*q:full+3*q]
		b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
		for x := range a {
			p, r := order(a[x], c[x])
			s, t := order(b[x], d[x])
			a[x], b[x] = order(p, s)
			c[x], d[x] = order(r, t)
		}
		i = full
	}
	for ; i < min(to, n-q); i++ { // two or three are there
		if i+2*q < n {
			k[i], k[i+2*q] = order(k[i], k[i+2*q])
		}
		k[i], k[i+q] = order(k[i], k[i+q])
	}
}

func sortWords(k []uint64) {
	i := 0
	for ; i+8 <= len(k); i += 8 {
		sort8((*[8]uint64)(k[i:]))
	}
	if t := k[i:]; len(t) > 1 {
		for h := 1; h < len(t); h *= 2 {
			for s := 0; s < len(t); s += 2 * h {
				b := t[s:min(s+2*h, len(t))]
				flipWords(b, h, 0, h)
				finishWords(b, h/2)
			}
		}
	}
	for h := 8; h < len(k); h *= 2 {
		for s := 0; s < len(k); s += 2 * h {
			b := k[s:min(s+2*h, len(k))]
			flipWords(b, h, 0, h)
			finishWords(b, h/2)
		}
	}
}

func finishWords(k []uint64, h int) {
	// Down to h = 4 by twos, so that the last three levels are done in registers.
	if h >= 8 {
		shift := bits.TrailingZeros(uint(h))
		if shift%2 == 1 {
			for s := 0; s < len(k); s += 2 * h {
				levelWords(k[s:min(s+2*h, len(k))], h)
			}
			h /= 2
		}
		for ; h >= 8; h /= 4 {
			for s := 0; s < len(k); s += 2 * h {
				cleanWords(k[s:min(s+2*h, len(k))], h/2, 0, h/2)
			}
		}
	}
	i := 0
	if h == 4 {
		for ; i+8 <= len(k); i += 8 {
			clean8((*[8]uint64)(k[i:]))
		}
	}
	k = k[i:]
	for ; h > 0; h /= 2 {
		for s := 0; s < len(k); s += 2 * h {
			levelWords(k[s:min(s+2*h, len(k))], h)
		}
	}
}

// levelWords cleans one block at distance h alone.
func levelWords(k []uint64, h int) {
	for i := 0; i+h < len(k); i++ {
		k[i], k[i+h] = order(k[i], k[i+h])
	}
}

// sort8 sorts eight words by the network of 19 exchanges.
func sort8(k *[8]uint64) {
	x0, x1, x2, x3, x4, x5, x6, x7 := k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
	x0, x2 = order(x0, x2)
	x1, x3 = order(x1, x3)
	x4, x6 = order(x4, x6)
	x5, x7 = order(x5, x7)
	x0, x4 = order(x0, x4)
	x1, x5 = order(x1, x5)
	x2, x6 = order(x2, x6)
	x3, x7 = order(x3, x7)
	x0, x1 = order(x0, x1)
	x2, x3 = order(x2, x3)
	x4, x5 = order(x4, x5)
	x6, x7 = order(x6, x7)
	x2, x4 = order(x2, x4)
	x3, x5 = order(x3, x5)
	x1, x4 = order(x1, x4)
	x3, x6 = order(x3, x6)
	x1, x2 = order(x1, x2)
	x3, x4 = order(x3, x4)
	x5, x6 = order(x5, x6)
	k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7] = x0, x1, x2, x3, x4, x5, x6, x7
}

// clean8 cleans eight words at distances 4, 2 and 1.
func clean8(k *[8]uint64) {
	x0, x1, x2, x3, x4, x5, x6, x7 := k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
	x0, x4 = order(x0, x4)
	x1, x5 = order(x1, x5)
	x2, x6 = order(x2, x6)
	x3, x7 = order(x3, x7)
	x0, x2 = order(x0, x2)
	x1, x3 = order(x1, x3)
	x4, x6 = order(x4, x6)
	x5, x7 = order(x5, x7)
	x0, x1 = order(x0, x1)
	x2, x3 = order(x2, x3)
	x4, x5 = order(x4, x5)
	x6, x7 = order(x6, x7)
	k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7] = x0, x1, x2, x3, x4, x5, x6, x7
}
