package geometry

import (
	"math"
	"slices"
	"testing"
)

// randomWeights returns a pattern's slots for random weights.
func randomWeights(seed uint64) (slots [][]int, total int) {
	rng := newRand(seed)
	weights := make([]int, 1+rng.IntN(9))
	for r := range weights {
		weights[r] = 1 + rng.IntN(12)
	}
	slots = make([][]int, len(weights))
	for t, r := range smooth(weights) {
		slots[r] = append(slots[r], t)
		total++
	}
	return slots, total
}

// disc_r against its definition: every start, every length up to two periods.
func TestDiscrepancyIsTheDefinition(t *testing.T) {
	for seed := range uint64(200) {
		slots, total := randomWeights(seed)
		for r := range slots {
			want := 0
			for from := range total {
				count := 0
				for x := range 2*total + 1 {
					want = max(want, total*count-len(slots[r])*x)
					if slices.Contains(slots[r], (from+x)%total) {
						count++
					}
				}
			}
			if got := discrepancy(slots[r], total); got != want {
				t.Fatalf("seed %d: router %d with %d of %d: %d, want %d", seed, r, len(slots[r]), total, got, want)
			}
		}
	}
	for n := 1; n <= MaxServers; n++ {
		for r := range n {
			if got := discrepancy([]int{r}, n); got != n-1 {
				t.Fatalf("equal weights, R = %d: %d", n, got)
			}
		}
	}
}

func TestCountIsTheDefinition(t *testing.T) {
	p := simParams(1000, 1)
	p.Servers = []Server{{AllRoles, 3}, {AllRoles, 1}, {AllRoles, 5}, {AllRoles, 2}}
	g := mustNew(t, p)
	seen := make([]int, 4)
	for x := range 50 {
		for r, want := range seen {
			if got := g.count(r, x); got != want {
				t.Fatalf("router %d has %d of %d positions, want %d", r, got, x, want)
			}
		}
		seen[g.Pattern()[x%11]]++
	}
}

// The examples of the design page.
func TestLinkBoundWorkedExamples(t *testing.T) {
	for _, c := range []struct{ n, k, w, total, links, want int }{
		{262144, 1, 1, 4, 4 * 4, 67938},
		{14563, 1, 1, 72, 72 * 72, 381},
		{1000, 1, 1, 1, 1, 1000}, // one router
		{0, 1, 1, 4, 16, 0},
		{20, 1, 1, 4, 16, 20}, // too few to bound: 20 ln 4 < 80 ln 2
		{1 << 31, 128, 255, 256, 5184, 1 << 31},
	} {
		got := linkBound(c.n, c.k, c.w, c.total, c.links)
		if c.n == 1<<31 {
			if got > c.n || got < c.n/256*255 {
				t.Errorf("%+v: %d", c, got)
			}
		} else if got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// divergence is D(a||p) in natural logarithms.
func divergence(a, p float64) float64 {
	d := a * math.Log(a/p)
	if a < 1 {
		d += (1 - a) * math.Log((1-a)/(1-p))
	}
	return d
}

// The binary search on fixed-point logarithms against the inequality as it is
// written, by linear search in floating point.
func TestLinkBoundIsTheInequality(t *testing.T) {
	for seed := range uint64(3000) {
		rng := newRand(seed)
		n, k := 1+rng.IntN(1<<rng.IntN(15)), 1+rng.IntN(1<<rng.IntN(5))
		total := 2 + rng.IntN(100)
		w, links := 1+rng.IntN(total-1), 1+rng.IntN(5184)
		need := 80*math.Ln2 + math.Log(float64(links))
		want := n
		for l := n*w/total + 1; l <= n; l++ {
			if float64(n)/float64(k)*divergence(float64(l)/float64(n), float64(w)/float64(total)) >= need {
				want = l - 1
				break
			}
		}
		if got := linkBound(n, k, w, total, links); got != want {
			t.Fatalf("seed %d: n %d, k %d, p %d/%d, %d links: %d, want %d", seed, n, k, w, total, links, got, want)
		}
	}
}

// binomialTail returns ln Pr[Binomial(n, p) > x].
func binomialTail(n int, p float64, x int) float64 {
	lg := func(n int) float64 { l, _ := math.Lgamma(float64(n) + 1); return l }
	largest, sum := math.Inf(-1), 0.0
	for j := x + 1; j <= n; j++ {
		l := lg(n) - lg(j) - lg(n-j) + float64(j)*math.Log(p) + float64(n-j)*math.Log1p(-p)
		if math.IsInf(largest, -1) {
			largest = l
		}
		sum += math.Exp(l - largest)
	}
	return largest + math.Log(sum)
}

// Against the exact tail of the worst load, n/k recipients with k headers each:
// the promise holds, and is not kept at absurd cost.
func TestLinkBoundAgainstExactTail(t *testing.T) {
	for _, c := range []struct{ n, k, w, total, servers int }{
		{14563, 1, 1, 72, 72}, {14560, 4, 1, 72, 72}, {20000, 8, 1, 4, 4}, {4096, 2, 3, 7, 4}, {65536, 1, 1, 2, 2}, {60000, 1, 9, 10, 2},
	} {
		links := c.servers * c.servers
		l := linkBound(c.n, c.k, c.w, c.total, links)
		p := float64(c.w) / float64(c.total)
		limit := -80*math.Ln2 - math.Log(float64(links))
		if tail := binomialTail(c.n/c.k, p, l/c.k); tail > limit {
			t.Errorf("%+v: L = %d is passed with ln Pr = %g > %g", c, l, tail, limit)
		}
		// A twentieth less excess over the mean would break the promise.
		mean := float64(c.n) * p
		less := int(mean + 0.95*(float64(l)-mean))
		if tail := binomialTail(c.n/c.k, p, less/c.k); tail < limit {
			t.Errorf("%+v: L = %d, and %d would do as well", c, l, less)
		}
	}
}

// Monte Carlo: headers by recipient, several skews, never pass the bound.
func TestLinkBoundMonteCarlo(t *testing.T) {
	for seed := range uint64(60) {
		rng := newRand(seed)
		n, k, routers := 2000+rng.IntN(4000), 1+rng.IntN(8), 2+rng.IntN(MaxServers-1)
		bound := linkBound(n, k, 1, routers, routers*routers)
		for range 5 {
			load := make([]int, routers)
			for left := n; left > 0; {
				per := k // the worst: as many as there may be to one recipient
				if seed%3 == 0 {
					per = 1 + rng.IntN(k)
				}
				load[rng.IntN(routers)] += min(per, left)
				left -= min(per, left)
			}
			if worst := slices.Max(load); worst > bound {
				t.Fatalf("seed %d: n %d, k %d, R %d: %d headers on a link of %d", seed, n, k, routers, worst, bound)
			}
		}
	}
}

func TestLog2(t *testing.T) {
	for j := range 64 {
		if got := log2(1 << j); got != int64(j)<<logBits {
			t.Errorf("log2(2^%d) = %x", j, got)
		}
	}
	rng := newRand(1)
	previous := int64(-1)
	for x := uint64(1); x < 3000; x++ {
		if got := log2(x); got <= previous {
			t.Errorf("log2(%d) does not rise", x)
		} else {
			previous = got
		}
	}
	for range 5000 {
		x := 1 + rng.Uint64N(1<<rng.UintN(53))
		if got, want := float64(log2(x))/(1<<logBits), math.Log2(float64(x)); math.Abs(got-want) > 1e-14 {
			t.Errorf("log2(%d) = %v, want %v", x, got, want)
		}
	}
	// Exact identities bound the error more finely than floating point can:
	// log2(x^2) = 2 log2(x).
	for range 5000 {
		x := 1 + rng.Uint64N(1<<32-1)
		if d := log2(x*x) - 2*log2(x); d < -4 || d > 4 {
			t.Errorf("log2(%d^2) is off by %d units", x, d)
		}
	}
}
