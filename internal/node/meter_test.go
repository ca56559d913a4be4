package node

import (
	"testing"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// metered is a meter whose clocks and bytes a test moves.
type metered struct {
	meter
	t     *testing.T
	clock time.Duration
	used  time.Duration
	sent  uint64
	all   []wire.EpochReport
}

func newMetered(t *testing.T) *metered {
	x := &metered{t: t}
	x.now = func() time.Time { return time.Unix(0, 0).Add(x.clock) }
	x.cpuTime = func() time.Duration { return x.used }
	x.attempts = 2
	return x
}

// work lets time pass, in which so much is computed and sent.
func (x *metered) work(clock, used time.Duration, sent uint64) {
	x.clock, x.used, x.sent = x.clock+clock, x.used+used, x.sent+sent
}

func (x *metered) commit(epoch uint64) *measured {
	x.t.Helper()
	m, ok := x.committed(epoch, func() uint64 { return x.sent })
	if !ok {
		x.t.Fatalf("epoch %d was not to be measured", epoch)
	}
	return m
}

func (x *metered) finish(m *measured) {
	m.end()
	x.ended(m)
	for x.next() {
		x.all = append(x.all, x.newest)
	}
}

// check looks at what was reported: every epoch once and in order, the sums the
// totals, and no part above its whole.
func (x *metered) check(epochs int, from time.Duration, sent uint64) {
	x.t.Helper()
	if len(x.all) != epochs {
		x.t.Fatalf("%d reports of %d epochs", len(x.all), epochs)
	}
	var cpu, bytes uint64
	for i, r := range x.all {
		if r.Epoch != uint64(i+1) || r.BytesToPeers != sent {
			x.t.Errorf("report %d: %+v", i, r)
		}
		if r.CPUNanosRouting > r.CPUNanosTotal {
			x.t.Errorf("epoch %d: %d ns within the interval, %d in all", r.Epoch, r.CPUNanosRouting, r.CPUNanosTotal)
		}
		cpu, bytes = cpu+r.CPUNanosTotal, bytes+r.BytesToPeers
	}
	if want := uint64(x.used - from); cpu != want {
		x.t.Errorf("%d ns of CPU time reported, %d taken", cpu, want)
	}
	if bytes != x.sent {
		x.t.Errorf("%d bytes reported, %d sent", bytes, x.sent)
	}
}

// TestMeter: the cells of an epoch leave before the next one starts.
func TestMeter(t *testing.T) {
	x := newMetered(t)
	x.work(time.Second, time.Second, 0)
	const epochs = 5
	for e := uint64(1); e <= epochs; e++ {
		x.proposed(e, 1, x.sent)
		x.proposed(e, 2, x.sent)
		x.work(100, 70, 1000)
		x.placed(e)
		m := x.commit(e)
		x.work(50, 20, 0)
		x.finish(m)
		x.work(300, 10, 0) // submissions of the next
	}
	x.work(0, -10, 0)
	x.check(epochs, time.Second, 1000)
	for _, r := range x.all {
		if r.RoutingNanos != 100 || r.DeliveredNanos != 150 || r.CPUNanosRouting != 90 || r.Attempt != 2 || r.Void {
			t.Errorf("%+v", r)
		}
	}
}

// TestMeterOverlap: the cells of an epoch leave when the next two are final
// already, and the last of one on another link after those of the next.
func TestMeterOverlap(t *testing.T) {
	x := newMetered(t)
	const epochs = 12
	var waiting []*measured
	for e := uint64(1); e <= epochs; e++ {
		x.proposed(e, 1, x.sent)
		x.work(100, 70, 1000)
		waiting = append(waiting, x.commit(e))
		x.work(30, 25, 0)
		if e%3 == 0 {
			waiting[0].end()
			waiting[1].end()
			x.work(5, 5, 0)
			x.ended(waiting[1])
			x.work(5, 5, 0)
			x.ended(waiting[0])
			x.finish(waiting[2])
			waiting = nil
		}
	}
	x.check(epochs, 0, 1000)
}
