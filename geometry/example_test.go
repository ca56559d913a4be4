package geometry_test

import (
	"fmt"

	"github.com/teems-go/teems/geometry"
)

// Example computes the worked example of docs/architecture.md: eight clients,
// and two servers that have all three roles. Each client sends one message and
// receives at most one on the token channel.
func Example() {
	all := geometry.Server{Roles: geometry.Ingestion | geometry.Routing | geometry.Storage, Weight: 1}
	g, err := geometry.New(geometry.Params{
		Servers: []geometry.Server{all, all}, Capacity: 8, VirtualShards: 2, CellBytes: 256,
		Token: geometry.TokenChannel{Out: 1, In: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Four IDs are allocated in each virtual shard, and all eight clients are in
	// the roster.
	at, err := g.Attempt([]int{4, 4}, []int{4, 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, local, _ := at.Local(5)
	fmt.Println("client 5: storage server and local index:", server, local)
	fmt.Println("n_0, records of ingestion server 0:", at.Records(0))
	fmt.Println("dealt from it to router 0 and router 1:", at.DealRows(0, 0), at.DealRows(0, 1))
	fmt.Println("C, chunks:", at.TotalChunks())
	fmt.Println("m_0, records at router 0:", at.RouterRows(0))
	fmt.Println("T_0, cells of storage server 0:", at.Cells(0))
	fmt.Println("K_00 and K_10, sections of router 0:", at.Section(0, 0), at.Section(0, 1))
	fmt.Println("W_0, records at storage server 0:", at.StoreRows(0))
	fmt.Println("F_0, places there:", at.Places(0))
	// Output:
	// client 5: storage server and local index: 1 2
	// n_0, records of ingestion server 0: 4
	// dealt from it to router 0 and router 1: 2 2
	// C, chunks: 2
	// m_0, records at router 0: 4
	// T_0, cells of storage server 0: 4
	// K_00 and K_10, sections of router 0: 3 3
	// W_0, records at storage server 0: 6
	// F_0, places there: 6
}
