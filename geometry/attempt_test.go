package geometry

import "testing"

// Offsets tile the tables that they cut, sums are what they sum, and the counts
// are those of the design page.
func TestTablesTile(t *testing.T) {
	for seed := range uint64(150) {
		a := randomAttempt(t, seed)
		g := a.Geometry()
		tile := func(name string, parts int, offset, size func(int) int, total int) {
			t.Helper()
			at := 0
			for j := range parts {
				if offset(j) != at {
					t.Fatalf("seed %d: %s: part %d at %d, want %d", seed, name, j, offset(j), at)
				}
				at += size(j)
			}
			if at != total {
				t.Fatalf("seed %d: %s: parts end at %d of %d", seed, name, at, total)
			}
		}
		ni, nr, nd := len(g.Ingestions()), len(g.Routers()), len(g.Storages())
		for r := range nr {
			tile("deals at a router", ni, func(i int) int { return a.RouterOffset(i, r) }, func(i int) int { return a.DealRows(i, r) }, a.RouterRows(r))
			tile("sections of a router", nd, func(d int) int { return a.SectionOffset(r, d) }, func(d int) int { return a.Sections(r)[d] }, a.SectionRows(r))
			tile("headers at a router", ni, func(i int) int { return a.HeaderOffset(i, r) }, func(i int) int { return a.HeaderLink(i, r) }, a.RouterHeaders(r))
			if a.RouterWork(r) != max(a.SectionRows(r), a.RouterRows(r)) {
				t.Fatalf("seed %d: work of router %d", seed, r)
			}
		}
		for d := range nd {
			tile("sections at a storage server", nr, func(r int) int { return a.StoreOffset(r, d) }, func(r int) int { return a.Section(r, d) }, a.StoreRows(d))
			if a.Cells(d) != g.Ins()*a.Users(d) || a.Places(d) < a.Cells(d) || a.Places(d) < a.StoreRows(d) {
				t.Fatalf("seed %d: places of %d", seed, d)
			}
		}
		for i := range ni {
			tile("links of an ingestion server", nr, func(r int) int { return a.HeaderLinkOffset(i, r) }, func(r int) int { return a.HeaderLinks(i)[r] }, a.HeaderRows(i))
			tile("chunks", a.Chunks(i), func(c int) int { from, _ := a.Chunk(i, c); return from }, func(c int) int { from, to := a.Chunk(i, c); return to - from }, a.Records(i))
			for c := range a.Chunks(i) {
				from, to := a.Chunk(i, c)
				tile("a chunk's sections", nr, func(r int) int { return a.DealOffset(i, c, r) }, func(r int) int { return a.ChunkSection(i, c, r) }, to-from)
			}
			for r := range nr {
				tile("chunks at a router", a.Chunks(i), func(c int) int { return a.RouterChunkOffset(i, c, r) - a.RouterOffset(i, r) }, func(c int) int { return a.ChunkSection(i, c, r) }, a.DealRows(i, r))
			}
			if n := a.Records(i); n%len(g.Pattern()) != 0 || n < a.RealRecords(i) || n >= a.RealRecords(i)+len(g.Pattern()) {
				t.Fatalf("seed %d: n_%d = %d for %d", seed, i, n, a.RealRecords(i))
			}
			if a.HeaderWork(i) < a.HeaderRows(i) || a.HeaderWork(i) < a.Headers(i) || a.Headers(i) != g.Params().ID.Out*a.Ingesting(i) {
				t.Fatalf("seed %d: headers of %d", seed, i)
			}
		}
	}
}

// Every allocated ID has one local index, in order within its virtual shard, and
// back; the bases are those of the design page.
func TestLocalIndexes(t *testing.T) {
	for seed := range uint64(60) {
		a := randomAttempt(t, seed)
		users, bases, table := a.UserTable(), a.BaseTable(), a.Geometry().StorageTable()
		next := make([]int, len(a.Geometry().Storages()))
		for v, d := range table {
			if int(bases[v]) != next[d] || a.Base(v) != next[d] {
				t.Fatalf("seed %d: base of %d is %d, want %d", seed, v, bases[v], next[d])
			}
			for u := range users[v] {
				client := u*uint32(len(table)) + uint32(v)
				at, local, ok := a.Local(client)
				if at != int(d) || local != next[d] || !ok || a.ClientAt(at, local) != client {
					t.Fatalf("seed %d: client %d is %d at %d (%v), back %d", seed, client, local, at, ok, a.ClientAt(at, local))
				}
				next[d]++
			}
			if _, _, ok := a.Local(users[v]*uint32(len(table)) + uint32(v)); ok {
				t.Fatalf("seed %d: an ID of shard %d is not allocated", seed, v)
			}
		}
		for d, n := range next {
			if a.Users(d) != n || a.Deliveries(d) != n {
				t.Fatalf("seed %d: U_%d = %d, want %d", seed, d, a.Users(d), n)
			}
		}
	}
}

// The numbers of `sim` on four servers, worked by hand.
func TestSimOnFourServers(t *testing.T) {
	g := mustNew(t, simParams(1<<20, 4))
	users := []int{1 << 18, 1 << 18, 1 << 18, 1 << 18}
	a := mustAttempt(t, g, users, users)
	// n_i = 2 * 2^18 = 2^19 in 128 chunks; C = 512, C*(R-1) = 1536 < 2 % of T_d = 2^19.
	k := (1<<19 + 512*3) / 4
	link := 67938 // n = 2^18
	for m := range 4 {
		for _, c := range []struct {
			name      string
			got, want int
		}{
			{"chunks", a.Chunks(m), 128},
			{"T_d", a.Cells(m), 1 << 19},
			{"m_r", a.RouterRows(m), 1 << 19},
			{"K", a.Section(m, 3), k},
			{"work", a.RouterWork(m), 4 * k},
			{"W_d", a.StoreRows(m), 4 * k},
			{"F_d", a.Places(m), 4 * k},
			{"L", a.HeaderLink(m, 0), link},
			{"header work", a.HeaderWork(m), 4 * link},
			{"delivery table", a.DeliveryTableBytes(m), (768 + 16) << 18},
		} {
			if c.got != c.want {
				t.Errorf("%s is %d, want %d", c.name, c.got, c.want)
			}
		}
	}
	frames := func(rows, most int) int { return (rows + most - 1) / most }
	want := (1<<17+k)*272 + link*(24+4) + 64*(128+frames(k, 1024)+2*frames(link, 11605))
	if got := a.LinkBytes(0, 1); got != int64(want) {
		t.Errorf("a link carries %d bytes, want %d", got, want)
	}
	if a.LinkBytes(2, 2) != 0 {
		t.Error("a server sends itself bytes")
	}
}

// One server: nothing is padded but to whole sections.
func TestOneServer(t *testing.T) {
	g := mustNew(t, upParams(5000, 1))
	a := mustAttempt(t, g, []int{5000}, []int{5000})
	if a.Records(0) != 10000 || a.RouterRows(0) != 10000 || a.Section(0, 0) != 10000 || a.HeaderLink(0, 0) != 5000 || a.Places(0) != 40000 {
		t.Error(a.Records(0), a.RouterRows(0), a.Section(0, 0), a.HeaderLink(0, 0), a.Places(0))
	}
}

func TestEmptyEpoch(t *testing.T) {
	g := mustNew(t, upParams(5000, 3))
	for _, users := range [][]int{{0, 0, 0}, {7, 0, 9}} {
		a := mustAttempt(t, g, users, []int{0, 0, 0})
		for m := range 3 {
			if a.Chunks(m)+a.RouterWork(m)+a.StoreRows(m)+a.HeaderWork(m)+a.RouterHeaders(m) != 0 || a.LinkBytes(m, (m+1)%3) != 0 {
				t.Errorf("%v: server %d moves something", users, m)
			}
			if a.Places(m) != 8*users[m] {
				t.Errorf("%v: server %d has %d places", users, m, a.Places(m))
			}
		}
	}
}

// A shard without users does not keep the others from dealing in chunks; a
// shard with a few does.
func TestEmptyShardsTakeNoPartInTheChunkRule(t *testing.T) {
	g := mustNew(t, simParams(1<<20, 2))
	for _, c := range []struct{ second, want int }{{0, 25}, {1, 2}, {50000, 50}} {
		users := []int{50000, c.second}
		if got := mustAttempt(t, g, users, users).TotalChunks(); got != c.want {
			t.Errorf("%d users: %d chunks, want %d", c.second, got, c.want)
		}
	}
}

func TestDisabledChannels(t *testing.T) {
	p := upParams(5000, 2)
	p.ID = IDChannel{}
	a := mustAttempt(t, mustNew(t, p), []int{2500, 2500}, []int{2500, 2500})
	if a.HeaderWork(0) != 0 || a.RouterHeaders(1) != 0 || a.HeaderLink(1, 1) != 0 || a.Records(0) != 2500 {
		t.Error("headers without an ID channel")
	}
	p = upParams(5000, 2)
	p.Token = TokenChannel{}
	a = mustAttempt(t, mustNew(t, p), []int{2500, 2500}, []int{2500, 2500})
	if a.Cells(0) != 4*2500 || a.Records(0) != 2500 || a.HeaderLink(0, 1) <= 1250 {
		t.Error(a.Cells(0), a.Records(0), a.HeaderLink(0, 1))
	}
}

// The largest deployments are worked out in a moment: an attempt begins with it.
func BenchmarkAttempt72Servers(b *testing.B) {
	p := upParams(1<<24, 72)
	for m := range p.Servers {
		p.Servers[m].Weight = 1 + m%4
	}
	g := mustNew(b, p)
	users := make([]int, g.VirtualShards())
	for v := range users {
		users[v] = g.MaxUsers(v) - v
	}
	ingesting := connected(g, users)
	for b.Loop() {
		if _, err := g.Attempt(users, ingesting); err != nil {
			b.Fatal(err)
		}
	}
}
