package coordinator

import (
	"math/bits"
	"slices"

	"github.com/teems-go/teems/geometry"
)

// The two bits that a roster has for each client.
const (
	ingestion = iota
	storage
	bitsPerClient
)

// clients knows which clients are connected, and through which gateways, and
// which exist. All of it is public.
type clients struct {
	shards   int // V
	capacity int // N
	limit    int // every client that exists is below it
	users    []uint32
	exists   []byte // a bit for each client below limit

	gateways map[int]*[bitsPerClient][]byte
	links    [bitsPerClient][]uint8 // client -> gateways that it is connected through
	on       [bitsPerClient][]byte  // a bit for each client: links is not 0
	present  [bitsPerClient]int     // clients that are connected and exist
}

func newClients(g *geometry.Geometry) *clients {
	return &clients{
		shards:   g.VirtualShards(),
		capacity: g.Params().Capacity,
		gateways: make(map[int]*[bitsPerClient][]byte),
	}
}

// setUsers takes U_v for every v.
func (c *clients) setUsers(users []uint32) {
	if len(users) != c.shards || slices.Equal(users, c.users) {
		return
	}
	c.users = append(c.users[:0], users...)
	c.limit = 0
	for v, u := range users {
		if u > 0 {
			c.limit = max(c.limit, min((int(u)-1)*c.shards+v+1, c.capacity))
		}
	}
	c.exists = make([]byte, (c.limit+7)/8)
	for v, u := range users {
		for k, id := 0, v; k < int(u) && id < c.limit; k, id = k+1, id+c.shards {
			c.exists[id/8] |= 1 << (id % 8)
		}
	}
	for role := range c.on {
		c.present[role] = 0
		for b, mask := range c.exists {
			if b < len(c.on[role]) {
				c.present[role] += bits.OnesCount8(c.on[role][b] & mask)
			}
		}
	}
}

func (c *clients) exist(id int) bool {
	return id < c.limit && c.exists[id/8]>>(id%8)&1 != 0
}

// set notes that a client is connected through a gateway, or no longer. IDs at
// or above the capacity are ignored.
func (c *clients) set(gateway, role, id int, up bool) {
	if id >= c.capacity {
		return
	}
	at := c.gateways[gateway]
	if at == nil {
		at = new([bitsPerClient][]byte)
		c.gateways[gateway] = at
	}
	b, bit := id/8, byte(1)<<(id%8)
	at[role] = reach(at[role], b+1)
	if (at[role][b]&bit != 0) == up {
		return
	}
	at[role][b] ^= bit
	c.count(role, id, up)
}

func (c *clients) count(role, id int, up bool) {
	b, bit := id/8, byte(1)<<(id%8)
	c.links[role] = reach(c.links[role], id+1)
	c.on[role] = reach(c.on[role], b+1)
	before := c.links[role][id]
	step := 1
	if up {
		c.links[role][id]++
		c.on[role][b] |= bit
	} else {
		step = -1
		c.links[role][id]--
		if c.links[role][id] == 0 {
			c.on[role][b] &^= bit
		}
	}
	if (before == 0) != (c.links[role][id] == 0) && c.exist(id) {
		c.present[role] += step
	}
}

// gatewayDown forgets every connection through a gateway.
func (c *clients) gatewayDown(gateway int) {
	at := c.gateways[gateway]
	if at == nil {
		return
	}
	delete(c.gateways, gateway)
	for role := range at {
		for b, word := range at[role] {
			for ; word != 0; word &= word - 1 {
				c.count(role, b*8+bits.TrailingZeros8(word), false)
			}
		}
	}
}

// roster returns the bits of the clients below limit that exist and are
// connected for a role.
func (c *clients) roster(role int) []byte {
	out := make([]byte, len(c.exists))
	copy(out, c.on[role])
	for b, mask := range c.exists {
		out[b] &= mask
	}
	return out
}

// reach returns s grown with zeros to at least n.
func reach[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	s = slices.Grow(s, n-len(s))
	clear(s[len(s):n])
	return s[:n]
}
