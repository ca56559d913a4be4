package node

import (
	"testing"

	"github.com/teems-go/teems/internal/arena"
	"github.com/teems-go/teems/internal/record"
)

// TestMemoryGoesBack: what a node held of messages is not there any more when it
// has ended: its process may go on, under the next manifest. Nor does it keep the
// secret that it was given, which the turn of an era replaces.
func TestMemoryGoesBack(t *testing.T) {
	s := startSingle(t, nil)
	var memory record.Memory
	eventually(t, "a machine", func() bool {
		s.fake.get(func() { memory = s.fake.memory })
		return memory != nil
	})
	memory.Get(8 << 20)
	must(t, s.stop())
	if s.n.cfg.Secret != nil {
		t.Error("it keeps the secret that it began with")
	}
	if n := memory.(*arena.Arena).Bytes(); n != 0 {
		t.Errorf("%d bytes are mapped after the node's end", n)
	}
}
