package geometry

import (
	"slices"
	"strconv"
)

// Attempt is what follows from the parameters, the IDs ever allocated and the
// roster's counts: every count and padding bound of one attempt at an epoch, in
// rows (records, headers) unless said otherwise. Immutable. Every count may be 0.
//
// Role indexes: i ingestion, r routing, d storage; c is a chunk, v a virtual
// shard.
type Attempt struct {
	g *Geometry

	users     []int // v -> U_v
	base      []int // v -> base_v
	shard     []int // d -> U_d
	ingesting []int // i -> clients connected for submission
	records   []int // i -> n_i
	chunk     int   // length of a chunk; 0: one a server
	chunks    int   // C

	rows     []int   // r -> m_r
	sections [][]int // r -> prefix sums over d of K_{d,r}
	stores   [][]int // d -> prefix sums over r of K_{d,r}

	links       [][]int // i -> prefix sums over r of L_{i,r}
	routerLinks [][]int // r -> prefix sums over i of L_{i,r}
}

// Attempt returns the counts of an attempt. users holds U_v, the IDs ever
// allocated, for each virtual shard; ingesting holds, for each ingestion role
// index, how many of its clients the roster has as connected for submission.
// Errors are of kind ErrCounts.
func (g *Geometry) Attempt(users []int, ingesting []int) (*Attempt, error) {
	a := &Attempt{g: g, users: slices.Clone(users), ingesting: slices.Clone(ingesting)}
	if err := a.countUsers(); err != nil {
		return nil, err
	}
	if err := a.countRecords(); err != nil {
		return nil, err
	}
	a.boundSections()
	a.boundLinks()
	return a, nil
}

func (a *Attempt) countUsers() error {
	g := a.g
	if len(a.users) != g.p.VirtualShards {
		return badCounts("U_v for " + strconv.Itoa(len(a.users)) + " virtual shards: give one for each of the " + strconv.Itoa(g.p.VirtualShards))
	}
	a.base = make([]int, len(a.users))
	a.shard = make([]int, len(g.storage.servers))
	for v, n := range a.users {
		if n < 0 || n > g.MaxUsers(v) {
			return badCounts("virtual shard " + strconv.Itoa(v) + " has " + strconv.Itoa(n) + " IDs: with this Capacity it holds 0 to " + strconv.Itoa(g.MaxUsers(v)))
		}
		d := g.storageTable[v]
		a.base[v] = a.shard[d]
		a.shard[d] += n
	}
	return nil
}

func (a *Attempt) countRecords() error {
	g := a.g
	if len(a.ingesting) != len(g.ingestion.servers) {
		return badCounts("rosters for " + strconv.Itoa(len(a.ingesting)) + " ingestion servers: give one for each of the " + strconv.Itoa(len(g.ingestion.servers)))
	}
	clients := make([]int, len(a.ingesting))
	for v, n := range a.users {
		clients[g.ingestionTable[v]] += n
	}
	a.records = make([]int, len(a.ingesting))
	for i, n := range a.ingesting {
		if n < 0 || n > clients[i] {
			return badCounts("the roster connects " + strconv.Itoa(n) + " clients to ingestion server " + strconv.Itoa(g.ingestion.servers[i]) +
				", which has " + strconv.Itoa(clients[i]) + ": leave out IDs that are not allocated or not its own")
		}
		a.records[i] = roundUp(n*g.Outs(), len(g.pattern))
	}
	return nil
}

func (a *Attempt) boundSections() {
	g := a.g
	a.chunk = ChunkRecords
	a.chunks = a.countChunks()
	if !a.chunksAreCheap() {
		a.chunk = 0
		a.chunks = a.countChunks()
	}
	total := len(g.pattern)
	a.rows = make([]int, len(g.slots))
	a.sections = make([][]int, len(g.slots))
	store := make([][]int, len(a.shard))
	for r, slots := range g.slots {
		for _, n := range a.records {
			a.rows[r] += n / total * len(slots)
		}
		k := make([]int, len(a.shard))
		for d := range k {
			k[d] = sectionBound(a.Cells(d), a.chunks, a.rows[r], len(slots), g.disc[r], total)
			store[d] = append(store[d], k[d])
		}
		a.sections[r] = prefixSums(k)
	}
	for _, k := range store {
		a.stores = append(a.stores, prefixSums(k))
	}
}

func (a *Attempt) countChunks() int {
	n := 0
	for i := range a.records {
		n += a.Chunks(i)
	}
	return n
}

// chunksAreCheap reports whether C chunks add at most 2 % to every section that
// has anything to hold: C*disc_r <= 2 % of w_r*T_d for every r and every d with
// T_d > 0, which for equal weights is C*(R-1) <= 2 % of T_d. A shard without
// cells takes no part: its sections have length 0 however records are dealt.
func (a *Attempt) chunksAreCheap() bool {
	for r, slots := range a.g.slots {
		for d := range a.shard {
			if t := a.Cells(d); t > 0 && 50*a.chunks*a.g.disc[r] > len(slots)*t {
				return false
			}
		}
	}
	return true
}

func (a *Attempt) boundLinks() {
	g := a.g
	k := g.IDIns()
	cells := 0
	for _, n := range a.shard {
		cells += k * n
	}
	type key struct{ n, w int }
	known := map[key]int{}
	perRouter := make([][]int, len(g.slots))
	for i := range a.ingesting {
		n := min(a.Headers(i), cells)
		links := make([]int, len(g.slots))
		for r, slots := range g.slots {
			bound, ok := known[key{n, len(slots)}]
			if !ok {
				bound = linkBound(n, k, len(slots), len(g.pattern), len(a.ingesting)*len(g.slots))
				known[key{n, len(slots)}] = bound
			}
			links[r] = bound
			perRouter[r] = append(perRouter[r], bound)
		}
		a.links = append(a.links, prefixSums(links))
	}
	for _, links := range perRouter {
		a.routerLinks = append(a.routerLinks, prefixSums(links))
	}
}

// Geometry returns the geometry that the attempt was made from.
func (a *Attempt) Geometry() *Geometry { return a.g }

// Users returns U_d, the mailboxes of storage server d.
func (a *Attempt) Users(d int) int { return a.shard[d] }

// Base returns base_v, the sum of U over the earlier virtual shards of v's
// storage server: client c = u*V + v has the local index base_v + u there.
func (a *Attempt) Base(v int) int { return a.base[v] }

// UserTable returns U_v for every virtual shard.
func (a *Attempt) UserTable() []uint32 { return narrow(a.users) }

// BaseTable returns base_v for every virtual shard.
func (a *Attempt) BaseTable() []uint32 { return narrow(a.base) }

func narrow(in []int) []uint32 {
	out := make([]uint32, len(in))
	for j, n := range in {
		out[j] = uint32(n)
	}
	return out
}

// Local returns the storage server and local index of a client, and whether its
// ID is allocated. The client must be public, never a recipient.
func (a *Attempt) Local(client uint32) (d, local int, ok bool) {
	v, u := int(client)%len(a.users), int(client)/len(a.users)
	return int(a.g.storageTable[v]), a.base[v] + u, u < a.users[v]
}

// ClientAt returns the client with a local index (0 <= local < U_d) at storage
// server d. Cost O(V).
func (a *Attempt) ClientAt(d, local int) uint32 {
	for v, owner := range a.g.storageTable {
		if u := local - a.base[v]; int(owner) == d && u >= 0 && u < a.users[v] {
			return uint32(u*len(a.users) + v)
		}
	}
	panic("geometry: local index " + strconv.Itoa(local) + " out of range")
}

// Ingesting returns how many clients of ingestion server i are connected for
// submission.
func (a *Attempt) Ingesting(i int) int { return a.ingesting[i] }

// RealRecords returns the records that submissions (or dummies in place of those
// that missed the deadline) make at ingestion server i: Outs a client.
func (a *Attempt) RealRecords(i int) int { return a.ingesting[i] * a.g.Outs() }

// Records returns n_i, RealRecords padded with dummies to a multiple of the
// pattern's length W, so that the deal comes out even.
func (a *Attempt) Records(i int) int { return a.records[i] }

// Headers returns k_out_id a client of ingestion server i: the headers before
// trimming.
func (a *Attempt) Headers(i int) int { return a.ingesting[i] * a.g.p.ID.Out }

// Cells returns T_d = Ins*U_d, the mailbox cells of storage server d. Cell j of
// local index u is u*Ins + j.
func (a *Attempt) Cells(d int) int { return a.g.Ins() * a.shard[d] }

// RouterRows returns m_r, the rows that router r receives: it has w_r of every W
// positions, and every n_i is a multiple of W, so the deal is exact.
func (a *Attempt) RouterRows(r int) int { return a.rows[r] }

// Section returns K_{d,r}, the rows that router r sends to storage server d,
// exactly; see sectionBound for why they are enough for any records.
func (a *Attempt) Section(r, d int) int { return a.sections[r][d+1] - a.sections[r][d] }

// Sections returns K_{d,r} of router r for every d.
func (a *Attempt) Sections(r int) []int { return differences(a.sections[r]) }

// SectionRows returns P, the rows that router r sends in all: the sum of its
// sections.
func (a *Attempt) SectionRows(r int) int { return last(a.sections[r]) }

// RouterWork returns max(P, m_r), the rows that router r works on: what it
// receives, and dummies if its sections hold more; RouterWork - P are discarded.
func (a *Attempt) RouterWork(r int) int { return max(a.SectionRows(r), a.rows[r]) }

// StoreRows returns W_d, the rows that storage server d receives: the sum over r
// of K_{d,r}.
func (a *Attempt) StoreRows(d int) int { return last(a.stores[d]) }

// Places returns F_d = max(W_d, T_d): storage server d places so many rows, each
// in a place of its own, the first T_d of which are its cells.
func (a *Attempt) Places(d int) int { return max(a.StoreRows(d), a.Cells(d)) }

// HeaderLink returns L_{i,r}, the header rows that ingestion server i sends
// router r, exactly; see linkBound. More than that are needed anywhere in the
// attempt with probability below 2^-80, and then the excess is dropped.
func (a *Attempt) HeaderLink(i, r int) int { return a.links[i][r+1] - a.links[i][r] }

// HeaderLinks returns L_{i,r} of ingestion server i for every r.
func (a *Attempt) HeaderLinks(i int) []int { return differences(a.links[i]) }

// HeaderRows returns the header rows that ingestion server i sends in all.
func (a *Attempt) HeaderRows(i int) int { return last(a.links[i]) }

// HeaderWork returns max(HeaderRows, Headers), the header rows that ingestion
// server i works on when it splits them by router.
func (a *Attempt) HeaderWork(i int) int { return max(a.HeaderRows(i), a.Headers(i)) }

// RouterHeaders returns the header rows that router r receives, and the ranks
// that it returns.
func (a *Attempt) RouterHeaders(r int) int { return last(a.routerLinks[r]) }

func last(sums []int) int { return sums[len(sums)-1] }

func differences(sums []int) []int {
	out := make([]int, len(sums)-1)
	for j := range out {
		out[j] = sums[j+1] - sums[j]
	}
	return out
}
