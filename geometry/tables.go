package geometry

import "strconv"

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// smooth returns the smooth weighted round-robin of the weights (all at least
// 1): a sequence of length sum(weights) in which j occurs weights[j] times,
// spread out. Each turn every j gains its weight, the largest (the lowest j of
// equals) is taken and pays the sum. Cost O(sum * len).
func smooth(weights []int) []uint32 {
	total := 0
	for _, w := range weights {
		total += w
	}
	credit := make([]int, len(weights))
	out := make([]uint32, total)
	for t := range out {
		best := 0
		for j, w := range weights {
			credit[j] += w
			if credit[j] > credit[best] {
				best = j
			}
		}
		credit[best] -= total
		out[t] = uint32(best)
	}
	return out
}

// apportion shares v among the weights in proportion, by largest remainder (the
// lowest index of equals first): exact if the sum of the weights divides
// v * weight for each.
func apportion(weights []int, total, v int) []int {
	out := make([]int, len(weights))
	left := v
	for j, w := range weights {
		out[j] = v * w / total
		left -= out[j]
	}
	given := make([]bool, len(weights))
	for ; left > 0; left-- {
		best := -1
		for j, w := range weights {
			if !given[j] && (best < 0 || v*w%total > v*weights[best]%total) {
				best = j
			}
		}
		given[best] = true
		out[best]++
	}
	return out
}

// table returns the role index of each of v virtual shards: shares by
// apportion, order by smooth.
func (l *roleList) table(v int, role string) ([]uint32, error) {
	shares := apportion(l.weights, l.total, v)
	for j, n := range shares {
		if n == 0 {
			return nil, badParams(role + " server " + strconv.Itoa(l.servers[j]) + " (" + strconv.Itoa(l.weights[j]) + " of the role's weight of " +
				strconv.Itoa(l.total) + ") gets none of the " + strconv.Itoa(v) + " virtual shards: raise VirtualShards or make the weights less unequal")
		}
	}
	return smooth(shares), nil
}
