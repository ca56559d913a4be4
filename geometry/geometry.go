package geometry

import (
	"slices"
	"strconv"
)

// Row counts times row sizes reach 2^46, so int must have 64 bits.
const _ int = 1 << 62

// Geometry is what follows from the manifest's parameters alone. Immutable.
//
// Servers are numbered as in Params.Servers. Within a role a server also has a
// role index, its place in the ascending list of servers with that role: i for
// ingestion, r for routing, d for storage. Methods panic, as slices do, on an
// index out of range.
type Geometry struct {
	p         Params
	ingestion roleList
	routing   roleList
	storage   roleList

	ingestionTable []uint32 // v -> i
	storageTable   []uint32 // v -> d

	pattern []uint32 // slot -> r, length W
	slots   [][]int  // r -> its slots in the pattern, ascending; len is w_r
	disc    []int    // r -> disc_r, see discrepancy
}

// roleList maps between the servers and the role indexes of one role.
type roleList struct {
	servers []int // role index -> server
	index   []int // server -> role index, -1 for none
	weights []int // role index -> weight, divided by the gcd of all
	total   int   // sum of weights
}

func newRoleList(servers []Server, role Role) roleList {
	l := roleList{index: make([]int, len(servers))}
	g := 0
	for m, s := range servers {
		l.index[m] = -1
		if s.Roles&role != 0 {
			l.index[m] = len(l.servers)
			l.servers = append(l.servers, m)
			l.weights = append(l.weights, s.Weight)
			g = gcd(g, s.Weight)
		}
	}
	for j := range l.weights {
		l.weights[j] /= g
		l.total += l.weights[j]
	}
	return l
}

func (l *roleList) find(server int) (int, bool) {
	j := l.index[server]
	return j, j >= 0
}

// New validates p, fills in its defaults and derives the geometry. Errors are
// of kind ErrParams.
func New(p Params) (*Geometry, error) {
	p = p.withDefaults()
	if err := p.check(); err != nil {
		return nil, err
	}
	g := &Geometry{
		ingestion: newRoleList(p.Servers, Ingestion),
		routing:   newRoleList(p.Servers, Routing),
		storage:   newRoleList(p.Servers, Storage),
	}
	if p.VirtualShards == 0 {
		p.VirtualShards = defaultVirtualShards(&g.ingestion, &g.storage)
	}
	g.p = p
	var err error
	if g.ingestionTable, err = g.ingestion.table(p.VirtualShards, "ingestion"); err != nil {
		return nil, err
	}
	if g.storageTable, err = g.storage.table(p.VirtualShards, "storage"); err != nil {
		return nil, err
	}
	g.pattern = smooth(g.routing.weights)
	g.slots = make([][]int, len(g.routing.servers))
	for slot, r := range g.pattern {
		g.slots[r] = append(g.slots[r], slot)
	}
	g.disc = make([]int, len(g.slots))
	for r := range g.disc {
		g.disc[r] = discrepancy(g.slots[r], len(g.pattern))
	}
	return g, nil
}

// DefaultVirtualShards returns the V that a zero Params.VirtualShards stands
// for: the smallest that the weights of the storage servers and those of the
// ingestion servers (each divided by their gcd) share out exactly, which is the
// least common multiple of their two sums, or 1024 if that is larger. It returns
// 0 if the servers themselves are not valid.
func DefaultVirtualShards(servers []Server) int {
	if (Params{Servers: servers}).checkServers() != nil {
		return 0
	}
	i, s := newRoleList(servers, Ingestion), newRoleList(servers, Storage)
	return defaultVirtualShards(&i, &s)
}

func defaultVirtualShards(ingestion, storage *roleList) int {
	lcm := ingestion.total / gcd(ingestion.total, storage.total) * storage.total
	return min(lcm, defaultMaxVirtualShards)
}

// Params returns the parameters, defaults and VirtualShards filled in.
func (g *Geometry) Params() Params {
	p := g.p
	p.Servers = slices.Clone(p.Servers)
	return p
}

// Servers returns M, the number of servers.
func (g *Geometry) Servers() int { return len(g.p.Servers) }

// Ingestions returns the servers with the ingestion role, by role index i.
func (g *Geometry) Ingestions() []int { return slices.Clone(g.ingestion.servers) }

// Routers returns the servers with the routing role, by role index r.
func (g *Geometry) Routers() []int { return slices.Clone(g.routing.servers) }

// Storages returns the servers with the storage role, by role index d.
func (g *Geometry) Storages() []int { return slices.Clone(g.storage.servers) }

// IngestionIndex returns a server's role index i, and whether it has the role.
func (g *Geometry) IngestionIndex(server int) (int, bool) { return g.ingestion.find(server) }

// RouterIndex returns a server's role index r, and whether it has the role.
func (g *Geometry) RouterIndex(server int) (int, bool) { return g.routing.find(server) }

// StorageIndex returns a server's role index d, and whether it has the role.
func (g *Geometry) StorageIndex(server int) (int, bool) { return g.storage.find(server) }

// VirtualShards returns V. Client c is in virtual shard c mod V.
func (g *Geometry) VirtualShards() int { return g.p.VirtualShards }

// StorageTable returns the storage role index d of every virtual shard. Code
// that looks up a secret client must scan it in full.
func (g *Geometry) StorageTable() []uint32 { return slices.Clone(g.storageTable) }

// IngestionTable returns the ingestion role index i of every virtual shard.
func (g *Geometry) IngestionTable() []uint32 { return slices.Clone(g.ingestionTable) }

// IngestionOf returns the ingestion role index of a client, by one indexed
// look-up: the client must be public (one that is connected), never a recipient.
func (g *Geometry) IngestionOf(client uint32) int {
	return int(g.ingestionTable[int(client)%g.p.VirtualShards])
}

// StorageOf returns the storage role index of a client, by one indexed look-up:
// the client must be public (one that is connected), never a recipient.
func (g *Geometry) StorageOf(client uint32) int {
	return int(g.storageTable[int(client)%g.p.VirtualShards])
}

// ServersOf returns where a client submits and where its mailbox is, by their
// indexes in the manifest. The client must be public.
func (g *Geometry) ServersOf(client uint32) (ingestion, storage int) {
	return g.ingestion.servers[g.IngestionOf(client)], g.storage.servers[g.StorageOf(client)]
}

// MaxUsers returns how many IDs virtual shard v can ever hold: those
// c = u*V + v, u >= 0, that are below Capacity. The sum over v is Capacity.
func (g *Geometry) MaxUsers(v int) int {
	if v < 0 || v >= g.p.VirtualShards {
		panic("geometry: virtual shard " + strconv.Itoa(v) + " out of range")
	}
	if v >= g.p.Capacity {
		return 0
	}
	return (g.p.Capacity-1-v)/g.p.VirtualShards + 1
}

// Pattern returns the smooth weighted cyclic pattern by which positions are
// dealt to routers: position p goes to router Pattern[p mod W]. Its length W is
// the sum of the routing weights divided by their gcd, and router r has exactly
// w_r slots of it; with equal weights it is 0, 1, ..., R-1.
func (g *Geometry) Pattern() []uint32 { return slices.Clone(g.pattern) }

// RouterWeight returns w_r, divided by the gcd of all routing weights: the slots
// that router r has in the pattern.
func (g *Geometry) RouterWeight(r int) int { return len(g.slots[r]) }

// count returns how many of the positions [0, x) are dealt to router r.
func (g *Geometry) count(r, x int) int {
	w := len(g.pattern)
	n, _ := slices.BinarySearch(g.slots[r], x%w)
	return x/w*len(g.slots[r]) + n
}
