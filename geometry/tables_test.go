package geometry

import (
	"slices"
	"testing"
)

func TestSmoothSpreads(t *testing.T) {
	if got := smooth([]int{1, 1, 1}); !slices.Equal(got, []uint32{0, 1, 2}) {
		t.Errorf("equal weights: %v", got)
	}
	if got := smooth([]int{5, 1, 1}); !slices.Equal(got, []uint32{0, 0, 1, 0, 2, 0, 0}) {
		t.Errorf("5, 1, 1: %v", got)
	}
	for seed := range uint64(200) {
		rng := newRand(seed)
		weights := make([]int, 1+rng.IntN(20))
		for j := range weights {
			weights[j] = 1 + rng.IntN(30)
		}
		seen := make([]int, len(weights))
		for _, j := range smooth(weights) {
			seen[j]++
		}
		if !slices.Equal(seen, weights) {
			t.Fatalf("seed %d: %v occur %v times", seed, weights, seen)
		}
	}
}

func TestDefaultVirtualShards(t *testing.T) {
	for _, c := range []struct {
		servers []Server
		want    int
	}{
		{equalServers(1), 1},
		{equalServers(4), 4},
		{equalServers(72), 72},
		{[]Server{{AllRoles, 2}, {AllRoles, 4}}, 3},
		{servers(4, 1, 6, one), 12},
		{[]Server{{Ingestion | Routing, 3}, {Ingestion, 2}, {Storage, 7}, {Storage, 4}}, 55},
		{[]Server{{AllRoles, 255}, {AllRoles, 256}, {AllRoles, 254}, {AllRoles, 253}, {AllRoles, 251}}, 1024},
		{nil, 0},
	} {
		if got := DefaultVirtualShards(c.servers); got != c.want {
			t.Errorf("%v: %d, want %d", c.servers, got, c.want)
		}
		if c.want == 0 {
			continue
		}
		p := simParams(1000, 1)
		p.Servers = c.servers
		if got := mustNew(t, p).VirtualShards(); got != c.want {
			t.Errorf("%v: New takes %d, want %d", c.servers, got, c.want)
		}
	}
}

// Every share is within one of its proportion, and exact where V divides.
func TestTablesAreProportional(t *testing.T) {
	for seed := range uint64(300) {
		rng := newRand(seed)
		p := simParams(1+rng.IntN(5000), 1)
		p.Servers = servers(1+rng.IntN(20), 1+rng.IntN(20), 1+rng.IntN(20), func() int { return 1 + rng.IntN(9) })
		if rng.IntN(2) == 0 {
			p.VirtualShards = 200 + rng.IntN(300)
		}
		g := mustNew(t, p)
		v := g.VirtualShards()
		for _, c := range []struct {
			table []uint32
			list  roleList
		}{{g.StorageTable(), g.storage}, {g.IngestionTable(), g.ingestion}} {
			if len(c.table) != v {
				t.Fatalf("seed %d: %d entries for %d shards", seed, len(c.table), v)
			}
			shares := make([]int, len(c.list.servers))
			for _, j := range c.table {
				shares[j]++
			}
			for j, n := range shares {
				exact := v * c.list.weights[j]
				if n < 1 || n*c.list.total <= exact-c.list.total || n*c.list.total >= exact+c.list.total {
					t.Fatalf("seed %d: server %d has %d of %d shards, weight %d of %d", seed, j, n, v, c.list.weights[j], c.list.total)
				}
				if p.VirtualShards == 0 && v < 1024 && n*c.list.total != exact {
					t.Fatalf("seed %d: the default V = %d is not exact", seed, v)
				}
			}
		}
		for range 20 {
			client := rng.Uint32N(uint32(p.Capacity))
			if g.StorageOf(client) != int(g.StorageTable()[int(client)%v]) || g.IngestionOf(client) != int(g.IngestionTable()[int(client)%v]) {
				t.Fatalf("seed %d: client %d", seed, client)
			}
		}
	}
}

func TestRoleIndexes(t *testing.T) {
	p := simParams(100, 1)
	p.Servers = []Server{{Routing, 1}, {Storage | Ingestion, 2}, {Storage, 1}, {AllRoles, 4}}
	g := mustNew(t, p)
	if !slices.Equal(g.Ingestions(), []int{1, 3}) || !slices.Equal(g.Routers(), []int{0, 3}) || !slices.Equal(g.Storages(), []int{1, 2, 3}) {
		t.Error(g.Ingestions(), g.Routers(), g.Storages())
	}
	for _, c := range []struct {
		list []int
		find func(int) (int, bool)
	}{{g.Ingestions(), g.IngestionIndex}, {g.Routers(), g.RouterIndex}, {g.Storages(), g.StorageIndex}} {
		for m := range g.Servers() {
			j, ok := c.find(m)
			if ok != slices.Contains(c.list, m) || ok && c.list[j] != m {
				t.Errorf("server %d of %v: %d, %v", m, c.list, j, ok)
			}
		}
	}
	if !slices.Equal(g.Pattern(), []uint32{1, 1, 0, 1, 1}) {
		t.Error(g.Pattern())
	}
}

func TestMaxUsersCountsIDs(t *testing.T) {
	for n := 1; n < 40; n++ {
		for v := 1; v < 12; v++ {
			p := simParams(n, 1)
			p.VirtualShards = v
			g := mustNew(t, p)
			want := make([]int, v)
			for c := range n {
				want[c%v]++
			}
			for s := range want {
				if g.MaxUsers(s) != want[s] {
					t.Fatalf("N %d, V %d: shard %d holds %d, want %d", n, v, s, g.MaxUsers(s), want[s])
				}
			}
		}
	}
}
