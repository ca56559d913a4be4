package geometry

import (
	"math/rand/v2"
	"testing"
)

// newRand returns a generator for a case's seed, which failures print.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x7465656d73)) }

// mustNew returns the geometry of p or ends the test.
func mustNew(t testing.TB, p Params) *Geometry {
	t.Helper()
	g, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustAttempt(t testing.TB, g *Geometry, users, ingesting []int) *Attempt {
	t.Helper()
	a, err := g.Attempt(users, ingesting)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// equalServers returns n servers with all roles and weight 1.
func equalServers(n int) []Server {
	out := make([]Server, n)
	for m := range out {
		out[m] = Server{AllRoles, 1}
	}
	return out
}

// servers returns max(i, r, s) servers, of which the first i have the ingestion
// role, the last r the routing role and the first s the storage role, so that
// role indexes and servers differ.
func servers(i, r, s int, weight func() int) []Server {
	out := make([]Server, max(i, r, s))
	for m := range out {
		if m < i {
			out[m].Roles |= Ingestion
		}
		if m >= len(out)-r {
			out[m].Roles |= Routing
		}
		if m < s {
			out[m].Roles |= Storage
		}
		out[m].Weight = weight()
	}
	for m := range out {
		if out[m].Roles == 0 {
			out[m].Roles = Routing
		}
	}
	return out
}

func one() int { return 1 }

// simParams are the defaults of `sim`; upParams those of `up`.
func simParams(n, m int) Params {
	return Params{
		Capacity: n, Servers: equalServers(m), CellBytes: 256,
		ID:    IDChannel{Out: 1, Contact: 1, Open: true},
		Token: TokenChannel{Out: 1, In: 1},
	}
}

func upParams(n, m int) Params {
	p := simParams(n, m)
	p.ID = IDChannel{Out: 1, Contact: 2, Stranger: 2}
	p.Token.In = 4
	return p
}

// spread returns U_v such that storage server d has perShard[d] users, evenly
// over its virtual shards.
func spread(t testing.TB, g *Geometry, perShard []int) []int {
	t.Helper()
	shares := make([]int, len(perShard))
	for _, d := range g.StorageTable() {
		shares[d]++
	}
	left := append([]int(nil), perShard...)
	users := make([]int, g.VirtualShards())
	for v, d := range g.StorageTable() {
		users[v] = left[d] / shares[d]
		left[d] -= users[v]
		shares[d]--
	}
	return users
}

// connected returns the most clients that each ingestion server can have.
func connected(g *Geometry, users []int) []int {
	out := make([]int, len(g.Ingestions()))
	for v, i := range g.IngestionTable() {
		out[i] += users[v]
	}
	return out
}

func sum(in []int) int {
	total := 0
	for _, n := range in {
		total += n
	}
	return total
}
