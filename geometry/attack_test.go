package geometry

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A load says how many real records each chunk of each ingestion server holds
// for each shard: load[i][c][d].
type load [][][]int

// simulate deals a load in the plainest way, position by position, and returns
// what each router holds for each shard. It checks that the load is one that
// honest servers can have, and that what the deal moves is what the geometry
// says.
func simulate(t *testing.T, a *Attempt, l load) (held [][]int) {
	t.Helper()
	g := a.Geometry()
	pattern := g.Pattern()
	held = make([][]int, len(g.Routers()))
	rows := make([]int, len(held))
	for r := range held {
		held[r] = make([]int, len(g.Storages()))
	}
	total := make([]int, len(g.Storages()))
	for i := range l {
		position, real := 0, 0
		for c := range l[i] {
			from, to := a.Chunk(i, c)
			if position != from {
				t.Fatalf("chunk %d of %d starts at %d, want %d", c, i, from, position)
			}
			dealt := make([]int, len(held))
			for d, n := range l[i][c] {
				total[d] += n
				real += n
				for range n {
					r := pattern[position%len(pattern)]
					held[r][d]++
					dealt[r]++
					position++
				}
			}
			for ; position < to; position++ {
				dealt[pattern[position%len(pattern)]]++
			}
			if position != to {
				t.Fatalf("chunk %d of %d holds more than its rows", c, i)
			}
			for r, n := range dealt {
				rows[r] += n
				if n != a.ChunkSection(i, c, r) {
					t.Fatalf("chunk %d of %d deals router %d %d rows, geometry says %d", c, i, r, n, a.ChunkSection(i, c, r))
				}
			}
		}
		if position != a.Records(i) || real > a.RealRecords(i) {
			t.Fatalf("server %d deals %d rows, %d real, of %d, %d", i, position, real, a.Records(i), a.RealRecords(i))
		}
	}
	for r, n := range rows {
		if n != a.RouterRows(r) {
			t.Fatalf("router %d gets %d rows, geometry says %d", r, n, a.RouterRows(r))
		}
	}
	for d, n := range total {
		if n > a.Cells(d) {
			t.Fatalf("the load has %d records for shard %d with %d cells", n, d, a.Cells(d))
		}
	}
	return held
}

// filler builds loads within what is possible: cells left per shard, real
// records left per server, rows left per chunk.
type filler struct {
	a     *Attempt
	l     load
	cells []int
	real  []int
}

func newFiller(a *Attempt) *filler {
	f := &filler{a: a}
	for d := range a.g.Storages() {
		f.cells = append(f.cells, a.Cells(d))
	}
	for i := range a.g.Ingestions() {
		f.real = append(f.real, a.RealRecords(i))
		f.l = append(f.l, make([][]int, a.Chunks(i)))
		for c := range f.l[i] {
			f.l[i][c] = make([]int, len(f.cells))
		}
	}
	return f
}

// put adds up to n records for shard d to a chunk and returns how many.
func (f *filler) put(i, c, d, n int) int {
	from, to := f.a.Chunk(i, c)
	n = max(0, min(n, f.cells[d], f.real[i], to-from-sum(f.l[i][c])))
	f.l[i][c][d] += n
	f.cells[d] -= n
	f.real[i] -= n
	return n
}

// strategies are adversarial loads.
var strategies = []struct {
	name string
	fill func(f *filler, rng *rand.Rand)
}{
	{"all to one shard", func(f *filler, rng *rand.Rand) {
		d := rng.IntN(len(f.cells))
		f.eachChunk(func(i, c int) { f.put(i, c, d, f.cells[d]) })
	}},
	{"one each", func(f *filler, rng *rand.Rand) { // every run as short as can be
		f.eachChunk(func(i, c int) {
			for d := range f.cells {
				f.put(i, c, d, 1)
			}
		})
		f.eachChunk(func(i, c int) { f.put(i, c, len(f.cells)-1, f.cells[len(f.cells)-1]) })
	}},
	{"residue-aligned", func(f *filler, rng *rand.Rand) { // every run of shard d starts and ends on one router
		d, w := rng.IntN(len(f.cells)), len(f.a.g.pattern)
		start := rng.IntN(w)
		f.eachChunk(func(i, c int) {
			if d > 0 {
				from, _ := f.a.Chunk(i, c)
				f.put(i, c, rng.IntN(d), (start-from%w+w)%w)
			}
			f.put(i, c, d, 1+w*rng.IntN(3))
		})
	}},
	{"skewed", func(f *filler, rng *rand.Rand) {
		f.eachChunk(func(i, c int) {
			for d := range f.cells {
				f.put(i, c, d, f.real[i]/2)
			}
		})
	}},
	{"random", func(f *filler, rng *rand.Rand) {
		f.eachChunk(func(i, c int) {
			for range 3 * len(f.cells) {
				f.put(i, c, rng.IntN(len(f.cells)), rng.IntN(1+f.real[i]/len(f.cells)))
			}
		})
	}},
	{"as many as fit", func(f *filler, rng *rand.Rand) {
		f.eachChunk(func(i, c int) {
			for _, d := range rng.Perm(len(f.cells)) {
				f.put(i, c, d, f.cells[d])
			}
		})
	}},
}

func (f *filler) eachChunk(do func(i, c int)) {
	for i := range f.l {
		for c := range f.l[i] {
			do(i, c)
		}
	}
}

// No load passes a section, for many shapes of system.
func TestSectionsAreNeverPassed(t *testing.T) {
	cases, chunked, offline := 400, 0, 0
	if testing.Short() {
		cases = 60
	}
	for seed := range uint64(cases) {
		a := randomAttempt(t, seed)
		if a.chunk != 0 && a.TotalChunks() > len(a.ingesting) {
			chunked++
		}
		if slices.Contains(a.ingesting, 0) {
			offline++
		}
		for s, strategy := range strategies {
			f := newFiller(a)
			strategy.fill(f, newRand(seed<<8+uint64(s)))
			for r, held := range simulate(t, a, f.l) {
				for d, n := range held {
					if n > a.Section(r, d) {
						t.Fatalf("seed %d, %s: router %d holds %d for shard %d, K = %d", seed, strategy.name, r, n, d, a.Section(r, d))
					}
				}
			}
		}
	}
	if chunked == 0 || offline == 0 {
		t.Errorf("%d cases in chunks, %d with a server without clients: the test misses one", chunked, offline)
	}
}

// randomAttempt returns an attempt of a random system of up to 72 servers.
func randomAttempt(t *testing.T, seed uint64) *Attempt {
	rng := newRand(seed)
	size := func() int { return 1 + rng.IntN(1+rng.IntN(MaxServers)) }
	p := simParams(1<<20, 1)
	weight := one
	if seed%2 == 1 {
		weight = func() int { return 1 + rng.IntN(5) }
	}
	p.Servers = servers(size(), size(), size(), weight)
	most := 40
	if seed%5 == 0 { // few servers, much load: chunks
		p.Servers = servers(1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3), weight)
		most = 3000
	}
	p.ID = IDChannel{Out: 1 + rng.IntN(8), Contact: 1 + rng.IntN(4), Stranger: rng.IntN(4)}
	p.Token = TokenChannel{1 + rng.IntN(4), 1 + rng.IntN(4)}
	g := mustNew(t, p)
	users := make([]int, g.VirtualShards())
	for v := range users {
		switch rng.IntN(8) {
		case 0: // an empty shard
		case 1:
			users[v] = 1
		default:
			users[v] = rng.IntN(max(2, most*4/len(users)))
		}
	}
	if seed%5 == 0 {
		for v := range users {
			users[v] = most
		}
	}
	ingesting := connected(g, users)
	for i := range ingesting {
		switch rng.IntN(4) {
		case 0:
			ingesting[i] = 0
		case 1:
			ingesting[i] = rng.IntN(ingesting[i] + 1)
		}
	}
	return mustAttempt(t, g, users, ingesting)
}

// A load made for it fills a section to the last row: the runs of every chunk
// are the pattern's worst window for router r (fillers of the shard before put it
// there), and T_d is the sum of their lengths and of some whole periods.
func TestSectionsAreAttained(t *testing.T) {
	chunked := 0
	for seed := range uint64(200) {
		rng := newRand(seed)
		least := rng.IntN(40) // of T_d; the next cases are large enough for chunks
		if seed%4 == 0 {
			least = 12000 + rng.IntN(4000)
		}
		g := attainable(t, rng, seed)
		r := rng.IntN(len(g.Routers()))
		from, length := worstWindow(g, r)
		a := attainableAttempt(t, g, length, least)
		f := newFiller(a)
		w := len(g.Pattern())
		f.eachChunk(func(i, c int) {
			start, _ := a.Chunk(i, c)
			f.put(i, c, 0, ((from-start)%w+w)%w)
			f.put(i, c, 1, length)
		})
		f.eachChunk(func(i, c int) {
			start, to := a.Chunk(i, c)
			room := min(to-start-sum(f.l[i][c]), f.real[i])
			f.put(i, c, 1, room/w*w)
		})
		if f.cells[1] != 0 {
			t.Errorf("seed %d: the load leaves %d of %d cells", seed, f.cells[1], a.Cells(1))
		}
		if a.TotalChunks() > len(g.Ingestions()) {
			chunked++
		}
		if got, want := simulate(t, a, f.l)[r][1], a.Section(r, 1); got != want {
			t.Errorf("seed %d: router %d of %d holds %d, K = %d", seed, r, len(g.Routers()), got, want)
		}
	}
	if chunked < 10 {
		t.Errorf("%d cases in chunks", chunked)
	}
}

// attainable returns a system with two storage servers, 1 or 3 ingestion servers,
// and up to 66 routers, of unequal weights if the seed is odd.
func attainable(t *testing.T, rng *rand.Rand, seed uint64) *Geometry {
	p := simParams(1<<24, 1)
	p.ID, p.Token = IDChannel{}, TokenChannel{Out: 1, In: 1}
	p.Servers = []Server{{Storage, 1}, {Storage, 1}}
	for range 1 + 2*rng.IntN(2) { // odd, so that each has clients in both shards
		p.Servers = append(p.Servers, Server{Ingestion, 1})
	}
	routers := 1 + rng.IntN(8)
	if seed%10 == 3 {
		routers = 66
	}
	for range routers {
		weight := 1
		if seed%2 == 1 {
			weight += rng.IntN(4)
		}
		p.Servers = append(p.Servers, Server{Routing, weight})
	}
	return mustNew(t, p)
}

// attainableAttempt returns an attempt in which T_1 is the chunks' worst windows
// and whole periods. C depends on T_1, so it looks for a fixed point.
func attainableAttempt(t *testing.T, g *Geometry, length, least int) *Attempt {
	w, servers := len(g.Pattern()), len(g.Ingestions())
	for chunks := servers; least < 1<<20; {
		cells := chunks * length
		cells += roundUp(max(0, least-cells), w)
		users := spread(t, g, []int{cells + 2*(chunks+servers)*w + servers*ChunkRecords, cells})
		ingesting := connected(g, users)
		for i, n := range ingesting { // full chunks, no padding
			ingesting[i] = n / w * w
			if least > ChunkRecords {
				ingesting[i] = n / ChunkRecords * ChunkRecords / w * w
			}
		}
		a := mustAttempt(t, g, users, ingesting)
		if a.TotalChunks() == chunks {
			return a
		}
		if chunks = max(chunks+1, a.TotalChunks()); chunks > 500 {
			least, chunks = 2*least, servers // cheap only with fewer chunks: more cells make it so
		}
	}
	t.Fatal("no fixed point")
	return nil
}

// worstWindow returns the start and length of a window that attains disc_r, by
// brute force.
func worstWindow(g *Geometry, r int) (from, length int) {
	w, worst := len(g.pattern), -1
	for start := range w {
		for x := range w {
			if d := w*(g.count(r, start+x)-g.count(r, start)) - len(g.slots[r])*x; d > worst {
				from, length, worst = start, x, d
			}
		}
	}
	return from, length
}

// With the number of ingestion servers in place of that of chunks, the bound
// would be passed: the test's teeth.
func TestFewerRunsThanChunksWouldFail(t *testing.T) {
	p := simParams(1<<20, 2)
	p.ID, p.Token = IDChannel{}, TokenChannel{Out: 4, In: 1}
	g := mustNew(t, p)
	users := []int{6000, 6000}
	a := mustAttempt(t, g, users, users)
	if a.TotalChunks() != 12 {
		t.Fatalf("%d chunks", a.TotalChunks())
	}
	f := newFiller(a)
	f.eachChunk(func(i, c int) { f.put(i, c, 0, 1) })
	f.eachChunk(func(i, c int) { f.put(i, c, 0, 4000) })
	held := simulate(t, a, f.l)[0][0]
	wrong := sectionBound(a.Cells(0), 2, a.RouterRows(0), 1, 1, 2)
	if held <= wrong || held > a.Section(0, 0) {
		t.Errorf("router 0 holds %d, K = %d, with I in place of C %d", held, a.Section(0, 0), wrong)
	}
}
