package kernel

// The bodies in plain Go of the scans over labels.

// labelBlock is how many labels stay in the L1 cache while all counters pass.
const labelBlock = 2048

// same returns all ones if a and b are equal, else 0.
func same(a, b uint32) uint32 { return -uint32((uint64(a^b) - 1) >> 63) }

// below returns 1 if a < b, else 0, for numbers below 1<<63.
func below(a, b uint64) uint64 { return (a - b) >> 63 }

func rankMarksPortable(marks []byte, ranks []uint32, r uint32) uint32 {
	ranks = ranks[:len(marks)]
	for i, m := range marks {
		ranks[i] = r
		r += uint32(m & 1)
	}
	return r
}

func rankBelowPortable(labels []uint32, bound uint32, ranks []uint32, r uint32) uint32 {
	ranks = ranks[:len(labels)]
	for i, l := range labels {
		ranks[i] = r
		r += uint32(below(uint64(l), uint64(bound)))
	}
	return r
}

func tallyPortable(labels, counts []uint32) {
	for len(labels) > 0 {
		n := min(len(labels), labelBlock)
		for l := range counts {
			var c0, c1 uint32
			b := labels[:n]
			for ; len(b) >= 2; b = b[2:] {
				c0 -= same(b[0], uint32(l))
				c1 -= same(b[1], uint32(l))
			}
			if len(b) > 0 {
				c0 -= same(b[0], uint32(l))
			}
			counts[l] += c0 + c1
		}
		labels = labels[n:]
	}
}

func rankLabelsPortable(labels, next, ranks []uint32) {
	others := len(next) - 1
	for len(labels) > 0 {
		n := min(len(labels), labelBlock)
		b, r := labels[:n], ranks[:n]
		c := next[others]
		for i, x := range b {
			out := uint32(below(uint64(x), uint64(others))) - 1
			r[i] = c & out
			c -= out
		}
		next[others] = c
		for l, c := range next[:others] {
			for i, x := range b {
				e := same(x, uint32(l))
				r[i] |= c & e
				c -= e
			}
			next[l] = c
		}
		labels, ranks = labels[n:], ranks[n:]
	}
}

func keepLabelsPortable(labels, room []uint32, kept []byte) {
	for len(labels) > 0 {
		n := min(len(labels), labelBlock)
		b, k := labels[:n], kept[:n]
		clear(k)
		for l := range room {
			left := int64(room[l])
			for i, x := range b {
				e := same(x, uint32(l))
				k[i] |= byte(e&uint32(-left>>63)) & 1
				left += int64(int32(e))
			}
			room[l] = uint32(left &^ (left >> 63))
		}
		labels, kept = labels[n:], kept[n:]
	}
}

func fillLabelsPortable(labels []uint32, kept []byte, upto []uint32, j uint32) uint32 {
	kept = kept[:len(labels)]
	for i, l := range labels {
		fill := uint32(len(upto))
		for _, u := range upto {
			fill -= uint32(below(uint64(j), uint64(u)))
		}
		dummy := uint32(kept[i]&1) - 1
		labels[i] = l ^ (l^fill)&dummy
		j -= dummy
	}
	return j
}

func lookupPortable(table, index, out []uint32) {
	out = out[:len(index)]
	for i, x := range index {
		var v uint32
		for j, t := range table {
			v |= t & same(uint32(j), x)
		}
		out[i] = v
	}
}

func routePortable(a, b []uint64, cells, boundary uint64) {
	b = b[:len(a)]
	for i, x := range a {
		y := b[i]
		// hi: x must go to the upper half. lo: y must go to the lower one.
		hi := below(x>>32, cells) &^ below(x>>32, boundary)
		lo := below(y>>32, cells) & below(y>>32, boundary)
		d := (x ^ y) & -(hi | lo)
		a[i], b[i] = x^d, y^d
	}
}
