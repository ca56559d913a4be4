package deploy

import (
	"reflect"
	"testing"

	"github.com/teems-go/teems/internal/manifest"
)

// TestInTurn: where there are no more cores than threads every server has as many
// as it has threads, and all cores have their share.
func TestInTurn(t *testing.T) {
	for _, c := range []struct {
		threads []int
		cores   []int
		want    [][]int
	}{
		{[]int{1, 1, 1, 1}, []int{0, 1}, [][]int{{0}, {1}, {0}, {1}}},
		{[]int{2, 2}, []int{4, 6, 7}, [][]int{{4, 6}, {7, 4}}},
		{[]int{0, 4}, []int{0, 1}, [][]int{{0}, {1, 0}}},
		{[]int{1, 1}, []int{0, 1}, [][]int{{0}, {1}}},
		{[]int{1, 1}, []int{0, 1, 2}, nil}, // a core is left
		{[]int{1, 1}, nil, nil},            // unknown
	} {
		var servers []manifest.Server
		for _, n := range c.threads {
			servers = append(servers, manifest.Server{Threads: n})
		}
		if got := inTurn(servers, c.cores); !reflect.DeepEqual(got, c.want) {
			t.Errorf("threads %v on cores %v: %v, want %v", c.threads, c.cores, got, c.want)
		}
	}
}
