package coordinator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// fakeCluster is servers that commit what all of them have begun, some time
// later, over links that delay, and servers and links that fail.
type fakeCluster struct {
	t        *testing.T
	random   *rand.Rand
	m        *Machine
	attempts int
	now      time.Duration
	servers  []fakeServer
	pending  []delayed
	on       map[[2]int]map[wire.Connection]bool // (gateway, 0) -> what it has
	last     map[uint64]uint16                   // epoch -> attempt last proposed
	reports  map[uint64]int
	commits  int
}

type fakeServer struct {
	up        bool // and so is the coordinator's link
	committed uint64
	attempt   uint16
	begun     time.Duration
}

type delayed struct {
	at time.Duration
	do func()
}

func (c *fakeCluster) later(most time.Duration, do func()) {
	c.pending = append(c.pending, delayed{c.now + time.Duration(c.random.Int64N(int64(most)+1)), do})
}

func (c *fakeCluster) status(s int) {
	f := &c.servers[s]
	peers := 0
	for o := range c.servers {
		if o != s && c.servers[o].up {
			peers++
		}
	}
	users := make([]uint32, c.m.clients.shards)
	for v := range users {
		users[v] = uint32(f.committed)/2 + uint32(v%2)
	}
	offered := f.committed
	if offered > 0 && c.random.IntN(2) == 0 {
		offered-- // a link is slow
	}
	c.m.Status(s, &wire.Status{Committed: f.committed, Offered: offered, Open: f.committed + 1, Attempt: f.attempt, Peers: uint16(peers),
		Users: users, Newest: wire.EpochReport{Epoch: f.committed}})
}

func (c *fakeCluster) step(faults bool) {
	c.now += 10 * time.Millisecond
	for i := 0; i < len(c.pending); {
		if d := c.pending[i]; d.at <= c.now {
			c.pending = slices.Delete(c.pending, i, i+1)
			d.do()
			continue
		}
		i++
	}
	if faults && c.random.IntN(100) == 0 {
		c.fail(c.random.IntN(len(c.servers)))
	}
	if c.random.IntN(4) == 0 {
		c.connect(c.random.IntN(3))
	}
	c.commit()
	for s, f := range c.servers {
		if f.up && c.random.IntN(3) == 0 {
			c.status(s)
		}
	}
	c.check(c.m.Tick(c.now))
}

// fail takes a server away, or only the coordinator's link to it, and brings
// it back later.
func (c *fakeCluster) fail(s int) {
	f := &c.servers[s]
	if !f.up {
		return
	}
	f.up = false
	c.m.ServerDown(s)
	if c.random.IntN(2) == 0 {
		f.attempt = 0
	}
	c.later(3*time.Second, func() { c.bring(s) })
}

func (c *fakeCluster) bring(s int) {
	c.servers[s].up = true
	c.m.ServerUp(s)
	c.status(s)
}

func (c *fakeCluster) connect(g int) {
	if c.random.IntN(60) == 0 {
		clear(c.on[[2]int{g}])
		c.m.GatewayDown(g)
		return
	}
	at := wire.Connection{Client: c.random.Uint32N(60), Role: uint8(1 + c.random.IntN(2)), Up: true}
	change := at
	change.Up = c.random.IntN(3) != 0
	if c.on[[2]int{g}] == nil {
		c.on[[2]int{g}] = map[wire.Connection]bool{}
	}
	if change.Up {
		c.on[[2]int{g}][at] = true
	} else {
		delete(c.on[[2]int{g}], at)
	}
	c.m.Connections(g, []wire.Connection{change})
}

// commit lets an attempt that all servers have begun come to its end.
func (c *fakeCluster) commit() {
	first := c.servers[0]
	for _, f := range c.servers {
		if !f.up || f.attempt == 0 || f.attempt != first.attempt || f.committed != first.committed || c.now-f.begun < 100*time.Millisecond {
			return
		}
	}
	if c.random.IntN(8) != 0 {
		return
	}
	c.commits++
	for s := range c.servers {
		c.servers[s].attempt = 0
		c.later(50*time.Millisecond, func() { c.servers[s].committed++ })
	}
	for s := range c.servers { // none begins anything until its commit is done
		c.servers[s].begun = c.now
	}
}

func (c *fakeCluster) check(out Output) {
	for _, e := range out.Events {
		if e.Kind == EpochDone {
			c.reports[e.Epoch]++
		}
	}
	p := out.Propose
	if p == nil {
		return
	}
	for s, f := range c.servers {
		if !f.up || f.committed+1 != p.Epoch {
			c.t.Fatalf("%v: epoch %d proposed while server %d is %+v", c.now, p.Epoch, s, f)
		}
	}
	if p.Attempt <= c.last[p.Epoch] {
		c.t.Fatalf("%v: attempt %d of epoch %d after %d", c.now, p.Attempt, p.Epoch, c.last[p.Epoch])
	}
	c.last[p.Epoch] = p.Attempt
	want := wire.NewRoster(0)
	if int(p.Attempt) <= c.attempts {
		want = c.roster()
	}
	if got := p.Roster.Append(nil); !slices.Equal(got, want.Append(nil)) {
		c.t.Fatalf("%v: roster %v, not %v", c.now, got, want)
	}
	for s := range c.servers {
		f := &c.servers[s]
		c.later(30*time.Millisecond, func() {
			if f.up && f.committed+1 == p.Epoch && p.Attempt > f.attempt {
				f.attempt, f.begun = p.Attempt, c.now
			}
		})
	}
}

// roster is what the roster must be, computed from scratch.
func (c *fakeCluster) roster() *wire.Roster {
	shards := c.m.clients.shards
	committed := c.servers[0].committed
	exists := func(id uint32) bool {
		v := int(id) % shards
		return int(id)/shards < int(committed)/2+v%2
	}
	limit := uint32(0)
	for id := range uint32(c.m.clients.capacity) {
		if exists(id) {
			limit = id + 1
		}
	}
	r := wire.NewRoster(limit)
	for _, at := range c.on {
		for k := range at {
			if exists(k.Client) {
				r.Set(k.Role, k.Client, true)
			}
		}
	}
	return r
}

// Whatever fails, what is proposed is in order; and when nothing fails any more
// epochs go on.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 77))
			servers, attempts := 1+random.IntN(5), 1+random.IntN(4)
			cfg := Config{Geometry: testGeometry(t, servers, 50, attempts), AttemptTimeout: time.Second, SubmitTimeout: 50 * time.Millisecond}
			if random.IntN(2) == 0 {
				cfg.Period = 200 * time.Millisecond
			}
			m, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c := &fakeCluster{t: t, random: random, m: m, attempts: attempts, servers: make([]fakeServer, servers),
				on: map[[2]int]map[wire.Connection]bool{}, last: map[uint64]uint16{}, reports: map[uint64]int{}}
			for s := range c.servers {
				c.later(time.Second, func() { c.bring(s) })
			}
			for range 3000 {
				c.step(true)
			}
			for range 500 {
				c.step(false)
			}
			before := c.commits
			for range 3000 {
				c.step(false)
			}
			if n := c.commits - before; n < 30 {
				t.Errorf("only %d epochs in 30 s without faults", n)
			}
			for epoch, n := range c.reports {
				if n != 1 {
					t.Errorf("epoch %d was reported %d times", epoch, n)
				}
			}
		})
	}
}

// Next never lies: a machine that is only ticked when it asks for it, or when
// there is input, does what one that is ticked all the time does.
func TestNext(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 5))
		cfg := Config{Geometry: testGeometry(t, 2, 50, 2), AttemptTimeout: 900 * time.Millisecond, SubmitTimeout: 300 * time.Millisecond,
			RestartDelay: 130 * time.Millisecond}
		if seed%2 == 0 {
			cfg.Period = 700 * time.Millisecond
		}
		a, _ := New(cfg)
		b, _ := New(cfg)
		var committed uint64
		for now := time.Duration(0); now < time.Minute; now += 10 * time.Millisecond {
			var input func(m *Machine)
			if random.IntN(20) == 0 {
				s, kind := random.IntN(2), random.IntN(12)
				if random.IntN(15) == 0 {
					committed++
				}
				st := status(committed, uint16(random.IntN(2)))
				st.Offered -= min(committed, random.Uint64N(2))
				input = func(m *Machine) {
					switch kind {
					case 0:
						m.ServerUp(s)
					case 1:
						m.ServerDown(s)
					case 2:
						m.Connections(s, both(true, 1, 2))
					default:
						if m.servers[s].up {
							m.Status(s, &st)
						}
					}
				}
				input(a)
				input(b)
			}
			x := a.Tick(now)
			var y Output
			if next, ok := b.Next(); input != nil || ok && next <= now {
				y = b.Tick(now)
			}
			if fmt.Sprint(x.Propose, x.Events) != fmt.Sprint(y.Propose, y.Events) {
				t.Fatalf("seed %d at %v:\nalways %+v\nasked  %+v", seed, now, x, y)
			}
		}
	}
}
