package geometry

import "slices"

// ChunkRecords is the length of a chunk when servers deal in chunks.
const ChunkRecords = 4096

// discrepancy returns disc_r = max over cyclic windows of x >= 0 slots of
// W*count_r - w_r*x, for the router with these slots (ascending) of W.
//
// Let D(j) = W*(slots below j) - w_r*j. A window [a, b) has D(b) - D(a), and
// D(j+W) = D(j), so windows that wrap or are longer than W give nothing new and
// the maximum is max D - min D over one period. D falls by w_r at every step and
// rises only by W - w_r over a slot of r: its maxima are right after such slots
// and its minima right before, so w_r points are enough.
func discrepancy(slots []int, w int) int {
	high, low := 0, 0
	for before, slot := range slots {
		d := w*before - len(slots)*slot
		low = min(low, d)
		high = max(high, d+w-len(slots))
	}
	return high - low
}

// sectionBound returns K_{d,r} for T_d = t cells, C chunks, m = m_r rows at the
// router, and a router with weight w of W and discrepancy disc.
//
// Argument: a chunk puts its records for shard d at consecutive positions, a run;
// of a run of x positions the router gets count <= (w*x + disc)/W by the meaning
// of disc. The runs' lengths sum to at most T_d, as no two records that are
// honoured have one cell, and there are at most C runs; summing gives
// (w*T_d + C*disc)/W, and a count is an integer. Equal weights: disc = R-1. A
// router also gets no more than exist (T_d), nor than it gets in all (m_r).
func sectionBound(t, chunks, m, w, disc, total int) int {
	return min(t, m, (w*t+chunks*disc)/total)
}

// linkBound returns L_{i,r}: how many header rows a link carries, of n headers
// that may be sent and of which at most k share a recipient, to a router of
// weight w of total, with links = I*R links in the attempt.
//
// Argument: the recipients' routers are independent with p = w/total each. X, the
// headers on the link, is a sum over recipients of at most k times an indicator,
// at most n in all; by convexity its moment generating function is largest with
// n/k recipients of k headers each, so Chernoff gives
// Pr[X >= L] <= exp(-(n/k) * D(L/n || p)) for L > n*p, for every k. A union over
// all links of 2^-80 / (I*R) asks for (n/k)*D >= 80 ln 2 + ln(I*R). With L the
// least such integer, X <= L - 1 but for that probability. D rises with L, hence
// the binary search; if not even L = n will do, the bound is n, which cannot be
// passed.
func linkBound(n, k, w, total, links int) int {
	if n == 0 || w == total {
		return n
	}
	t := newTail(n, k, w, total, links)
	if !t.unlikely(n) {
		return n
	}
	low, high := n*w/total, n // low is not past n*p, high satisfies
	for high-low > 1 {
		mid := low + (high-low)/2
		if t.unlikely(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high - 1
}

// tail evaluates linkBound's inequality for one n, k and p = w/W, multiplied by
// k/ln 2 so that logarithms are of integers to base 2:
//
//	L*log2(L*W/(n*w)) + (n-L)*log2((n-L)*W/(n*(W-w))) >= k*(80 + log2(I*R))
type tail struct {
	n         int
	hit, miss int64 // log2(n*w/W), log2(n*(W-w)/W), fixed point
	threshold float64
}

// tailSlack is added to the threshold. It is above the rounding of the left
// side, at most 2^31 * 2^-53 + 2^-20, so that rounding cannot make a bound too
// small.
const tailSlack = 1.0 / (1 << 16)

func newTail(n, k, w, total, links int) tail {
	scale := log2(uint64(n)) - log2(uint64(total))
	need := float64(80<<logBits+log2(uint64(links))) / (1 << logBits)
	return tail{
		n:         n,
		hit:       scale + log2(uint64(w)),
		miss:      scale + log2(uint64(total-w)),
		threshold: float64(float64(k)*need) + tailSlack,
	}
}

// unlikely reports whether the inequality holds at L, n*p < L <= n. Conversions
// keep products from being fused with sums, which would differ by processor.
func (t *tail) unlikely(l int) bool {
	sum := term(l, t.hit)
	if l < t.n {
		sum += term(t.n-l, t.miss)
	}
	return sum >= t.threshold
}

// term returns x * (log2(x) - reference) for a fixed-point reference.
func term(x int, reference int64) float64 {
	return float64(float64(x) * (float64(log2(uint64(x))-reference) / (1 << logBits)))
}

// prefixSums returns the sums of the first 0, 1, ..., len(counts) counts.
func prefixSums(counts []int) []int {
	out := make([]int, 1, len(counts)+1)
	for _, n := range counts {
		out = append(out, out[len(out)-1]+n)
	}
	return slices.Clip(out)
}
