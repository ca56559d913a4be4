package geometry

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Params)
		want   string // part of the message; empty: valid
	}{
		{"defaults of sim", func(p *Params) {}, ""},
		{"no capacity", func(p *Params) { p.Capacity = 0 }, "Capacity is 0"},
		{"much capacity", func(p *Params) { p.Capacity = 1<<28 + 1 }, "Capacity is"},
		{"most capacity", func(p *Params) { p.Capacity = 1 << 28 }, ""},
		{"more cells than labels", func(p *Params) { p.Capacity = 1 << 28; p.Token.In = 8 }, "2^31 cells"},
		{"no servers", func(p *Params) { p.Servers = nil }, "number of Servers is 0"},
		{"72 servers", func(p *Params) { p.Servers = equalServers(72) }, ""},
		{"73 servers", func(p *Params) { p.Servers = equalServers(73) }, "number of Servers is 73"},
		{"no role", func(p *Params) { p.Servers[1].Roles = 0 }, "server 1 has the roles 0"},
		{"unknown role", func(p *Params) { p.Servers[1].Roles = 9 }, "server 1 has the roles 9"},
		{"no ingestion", func(p *Params) { setRoles(p, Routing|Storage) }, "no server has the ingestion role"},
		{"no routing", func(p *Params) { setRoles(p, Ingestion|Storage) }, "no server has the routing role"},
		{"no storage", func(p *Params) { setRoles(p, Ingestion|Routing) }, "no server has the storage role"},
		{"weight 0", func(p *Params) { p.Servers[0].Weight = 0 }, "server 0's Weight is 0"},
		{"weight 257", func(p *Params) { p.Servers[0].Weight = 257 }, "server 0's Weight is 257"},
		{"B 0", func(p *Params) { p.CellBytes = 0 }, "CellBytes is 0"},
		{"B 100", func(p *Params) { p.CellBytes = 100 }, "not a multiple of 16"},
		{"B largest", func(p *Params) { p.CellBytes = 16320 }, ""},
		{"B too large", func(p *Params) { p.CellBytes = 16336 }, "CellBytes is 16336"},
		{"B negative", func(p *Params) { p.CellBytes = -16 }, "CellBytes is -16"},
		{"no channel", func(p *Params) { p.ID, p.Token = IDChannel{}, TokenChannel{} }, "both channels are disabled"},
		{"only ID", func(p *Params) { p.Token = TokenChannel{} }, ""},
		{"only token", func(p *Params) { p.ID = IDChannel{} }, ""},
		{"half-disabled ID", func(p *Params) { p.ID.Out = 0 }, "ID.Out is 0"},
		{"half-disabled token", func(p *Params) { p.Token.Out = 0 }, "Token.Out is 0"},
		{"open with strangers", func(p *Params) { p.ID.Stranger = 1 }, "open priorities"},
		{"contacts only", func(p *Params) { p.ID.Open = false }, ""},
		{"no contacts", func(p *Params) { p.ID = IDChannel{Out: 1, Stranger: 1} }, "ID.Contact is 0"},
		{"k_out 65", func(p *Params) { p.ID.Out = 65 }, "ID.Out is 65"},
		{"k_out -1", func(p *Params) { p.Token.Out = -1 }, "Token.Out is -1"},
		{"k_token 0", func(p *Params) { p.Token.In = 0 }, "Token.In is 0"},
		{"Lmax -1", func(p *Params) { p.TokenEpochs = -1 }, "TokenEpochs is -1"},
		{"Hmax short", func(p *Params) { p.TokenEpochs, p.HorizonEpochs = 10, 11 }, "HorizonEpochs 11"},
		{"Hmax just enough", func(p *Params) { p.TokenEpochs, p.HorizonEpochs = 10, 12 }, ""},
		{"attempts", func(p *Params) { p.Attempts = 1025 }, "Attempts is 1025"},
		{"V 4097", func(p *Params) { p.VirtualShards = 4097 }, "VirtualShards is 4097"},
		{"V below the servers", func(p *Params) { p.VirtualShards = 1 }, "gets none of the 1 virtual shards"},
		{"V not divisible", func(p *Params) { p.VirtualShards = 5 }, ""},
	} {
		p := simParams(1000, 2)
		c.change(&p)
		err := p.Validate()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, ErrParams) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func setRoles(p *Params, roles Role) {
	for m := range p.Servers {
		p.Servers[m].Roles = roles
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	p := mustNew(t, simParams(1000, 3)).Params()
	if p.VirtualShards != 3 || p.TokenEpochs != 256 || p.HorizonEpochs != 512 || p.DeliveryEpochs != 64 || p.Attempts != 8 {
		t.Errorf("got %+v", p)
	}
	if again := mustNew(t, p).Params(); !reflect.DeepEqual(p, again) {
		t.Errorf("%+v, made again %+v", p, again)
	}
}

// Nothing a caller holds can change a geometry.
func TestGeometryIsImmutable(t *testing.T) {
	p := simParams(1000, 3)
	g := mustNew(t, p)
	p.Servers[0].Weight = 99
	g.Params().Servers[1].Roles = 0
	g.StorageTable()[0] = 7
	g.IngestionTable()[0] = 7
	g.Pattern()[0] = 7
	g.Routers()[0], g.Ingestions()[0], g.Storages()[0] = 7, 7, 7
	if !reflect.DeepEqual(g, mustNew(t, simParams(1000, 3))) {
		t.Error("changed through a slice that it gave or took")
	}
	users, ingesting := []int{5, 6, 7}, []int{1, 2, 3}
	a := mustAttempt(t, g, users, ingesting)
	users[0], ingesting[0] = 0, 0
	a.Sections(0)[0], a.HeaderLinks(0)[0] = 99, 99
	a.UserTable()[0], a.BaseTable()[0] = 99, 99
	if !reflect.DeepEqual(a, mustAttempt(t, g, []int{5, 6, 7}, []int{1, 2, 3})) {
		t.Error("attempt changed through a slice that it gave or took")
	}
}

func TestAttemptRefusesBadCounts(t *testing.T) {
	g := mustNew(t, simParams(7, 2))
	for _, c := range []struct {
		users, ingesting []int
		want             string
	}{
		{[]int{4, 3}, []int{4, 3}, ""},
		{[]int{0, 0}, []int{0, 0}, ""},
		{[]int{4, 4}, []int{0, 0}, "virtual shard 1 has 4 IDs"},
		{[]int{-1, 0}, []int{0, 0}, "virtual shard 0 has -1 IDs"},
		{[]int{1}, []int{0, 0}, "U_v for 1 virtual shards"},
		{[]int{1, 1}, []int{0}, "rosters for 1 ingestion servers"},
		{[]int{1, 1}, []int{2, 0}, "connects 2 clients to ingestion server 0, which has 1"},
		{[]int{1, 1}, []int{0, -1}, "connects -1 clients"},
	} {
		_, err := g.Attempt(c.users, c.ingesting)
		if c.want == "" {
			if err != nil {
				t.Errorf("%v: %v", c, err)
			}
			continue
		}
		if !errors.Is(err, ErrCounts) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v", c, err)
		}
	}
}

// FuzzNew: any parameters either make a consistent geometry or a kinded error.
func FuzzNew(f *testing.F) {
	f.Add(1000, 0, 256, []byte{7, 1, 7, 2}, 1, 1, 0, true, 1, 1, 256, 512)
	f.Add(1<<28, 1024, 16320, []byte{1, 1, 2, 255, 4, 3}, 64, 2, 2, false, 0, 0, 0, 0)
	f.Fuzz(func(t *testing.T, n, v, b int, roles []byte, idOut, contact, stranger int, open bool, tokenOut, tokenIn, l, h int) {
		p := Params{
			Capacity: n, VirtualShards: v, CellBytes: b,
			ID: IDChannel{idOut, contact, stranger, open}, Token: TokenChannel{tokenOut, tokenIn},
			TokenEpochs: l, HorizonEpochs: h,
		}
		for j := 0; j+1 < len(roles); j += 2 {
			p.Servers = append(p.Servers, Server{Role(roles[j]), int(roles[j+1])})
		}
		g, err := New(p)
		if (err == nil) != (p.Validate() == nil) {
			t.Fatalf("New says %v, Validate %v", err, p.Validate())
		}
		if err != nil {
			if !errors.Is(err, ErrParams) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		users := make([]int, g.VirtualShards())
		for v := range users {
			users[v] = g.MaxUsers(v)
		}
		if sum(users) != n {
			t.Fatalf("%d places for %d clients", sum(users), n)
		}
		a, err := g.Attempt(users, connected(g, users))
		if err != nil {
			t.Fatal(err)
		}
		for m := range g.Servers() {
			if a.Memory(m) < 0 || a.LinkBytes(m, 0) < 0 {
				t.Fatal("overflow")
			}
		}
		for d := range g.Storages() {
			if uint64(a.Places(d)) >= 1<<32 {
				t.Fatalf("%d places do not fit a label", a.Places(d))
			}
		}
		for r := range g.Routers() {
			if uint64(a.RouterWork(r)) >= 1<<32 || uint64(a.RouterHeaders(r)) >= 1<<32 {
				t.Fatal("router's work does not fit a label")
			}
		}
	})
}
