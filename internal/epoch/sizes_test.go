package epoch_test

import (
	"testing"
	"unsafe"

	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/record"
)

// peak is memory that knows how much of it was in use at most.
type peak struct {
	used      map[*byte]int
	now, most int
}

func (p *peak) Get(n int) []byte {
	b := record.Heap{}.Get(n)
	p.used[unsafe.SliceData(b)] = n
	p.now += n
	p.most = max(p.most, p.now)
	return b
}

func (p *peak) Put(b []byte) {
	p.now -= p.used[unsafe.SliceData(b)]
	delete(p.used, unsafe.SliceData(b))
}

// sessionBytes is what a client's session takes: an entry and what there is of the
// client, and its share of an index, at most half full.
const sessionBytes = 128 + 32 + 4*8

// TestSizes: in steady epochs a server asks for as much bulk memory as geometry
// lists, and for its sessions; for one table more at most, if it is routing when
// what it dealt still waits for its links.
func TestSizes(t *testing.T) {
	const n, m = 1 << 12, 4
	for _, channel := range []string{"token", "id"} {
		var memory []*peak
		c := newClusterWith(t, channel, n, m, 1, func(cfg *epoch.Config) {
			memory = append(memory, &peak{used: map[*byte]int{}})
			cfg.Memory = memory[len(memory)-1]
		})
		for e := uint64(1); e <= 6; e++ {
			c.submit(e)
			c.run(e)
			for _, p := range memory {
				if e == 3 {
					p.most = p.now
				}
			}
		}
		users, ingesting := make([]int, c.g.VirtualShards()), make([]int, m)
		for v := range users {
			users[v] = n / len(users)
			ingesting[c.g.IngestionTable()[v]] += users[v]
		}
		at, err := c.g.Attempt(users, ingesting)
		if err != nil {
			t.Fatal(err)
		}
		for server, p := range memory {
			want, table := n/m*sessionBytes, 0
			for _, s := range at.Sizes(server) {
				switch s.Name {
				case "columns beside the tables", "headers and ranks", "watermarks, twice, and what was acknowledged", "registry":
					// not of this memory
				default:
					want += int(s.Bytes)
				}
				if s.Name == "mailboxes of the epoch before" {
					table = int(s.Bytes)
				}
				if server == 0 {
					t.Logf("%s: %7.1f bytes a client: %s", channel, float64(s.Bytes)/(n/m), s.Name)
				}
			}
			if p.most < want-want/20 || p.most > want+want/20 && p.most < want+table-want/20 || p.most > want+table+want/20 {
				t.Errorf("%s: server %d had %d bytes in use at a time, geometry lists %d", channel, server, p.most, want)
			}
		}
	}
}
