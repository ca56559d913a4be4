package deploy

import "github.com/teems-go/teems/internal/manifest"

// RoundRobin gives processes of so many threads each as many cores as they have
// threads, one after the other and from the first one again where they end, and
// none of them a core twice.
func RoundRobin(threads, cores []int) (by [][]int) {
	first := 0
	for _, n := range threads {
		var own []int
		for k := range min(n, len(cores)) {
			own = append(own, cores[(first+k)%len(cores)])
		}
		by = append(by, own)
		first += n
	}
	return by
}

// inTurn gives each server as many cores as it has threads, round robin, where
// there are no more cores than threads; else, for the cores that are left serve
// connections, nothing is fixed. A server that sees more cores than it has use for
// keeps waking threads up on them: pinned, four servers of one thread on two cores
// need an eighth less CPU time.
func inTurn(servers []manifest.Server, cores []int) [][]int {
	var threads []int
	all := 0
	for _, s := range servers {
		n := max(1, s.Threads)
		threads, all = append(threads, n), all+n
	}
	if len(cores) == 0 || all < len(cores) {
		return nil
	}
	return RoundRobin(threads, cores)
}
