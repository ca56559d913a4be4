//go:build unix

package sparta

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// Run with: go test -run '^$' -bench . -benchtime 3x ./internal/sparta/
//
// Each user sends one message to another user and fetches one: nothing is
// deferred, and the queue that a batch leaves behind has no rows. That is the
// load of the figures, and the best case for Sparta. The other one keeps room
// for a deferred message a user.
func BenchmarkBatch(b *testing.B) {
	for _, logN := range []int{14, 16, 18, 20} {
		for _, shape := range []string{"empty", "full"} {
			if logN > 16 && testing.Short() {
				continue
			}
			b.Run(fmt.Sprintf("N=2^%d/queue=%s/T=1", logN, shape), func(b *testing.B) { benchmarkBatch(b, 1<<logN, shape == "full", 1) })
		}
		b.Run(fmt.Sprintf("N=2^%d/queue=empty/T=2", logN), func(b *testing.B) { benchmarkBatch(b, 1<<logN, false, 2) })
	}
}

func benchmarkBatch(b *testing.B, n int, queue bool, workers int) {
	c := Config{Users: n, Sends: n, BodyBytes: 256, Workers: workers}
	if queue {
		c.Queue = n
	}
	s, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	perm := rand.New(rand.NewPCG(1, 2)).Perm(n)
	all := make([]uint32, n)
	for u := range all {
		all[u] = uint32(u)
	}
	body := make([]byte, c.BodyBytes)
	b.ResetTimer()
	start := cpuSeconds()
	for range b.N {
		for i := range n {
			s.Send(i, uint32(perm[i]), uint32(i), true, body)
		}
		if got := s.Batch(all); got.Delivered != n {
			b.Fatalf("%+v", got)
		}
	}
	cpu := (cpuSeconds() - start) / float64(b.N)
	b.ReportMetric(cpu, "cpu-s/batch")
	b.ReportMetric(cpu*1e9/float64(n), "cpu-ns/user")
}

// cpuSeconds is user and system time of the process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
