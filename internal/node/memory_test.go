package node

import (
	"testing"

	"github.com/teems-go/teems/internal/arena"
	"github.com/teems-go/teems/internal/epoch"
)

// TestMemoryGoesBack: what a node held of messages is not there any more when it
// has ended: its process may go on, under the next manifest. Nor does it keep the
// secret that it was given, which the turn of an era replaces.
func TestMemoryGoesBack(t *testing.T) {
	s := startSingle(t, nil)
	memory := s.config().Memory
	memory.Get(8 << 20)
	must(t, s.stop())
	if s.n.cfg.Secret != nil {
		t.Error("it keeps the secret that it began with")
	}
	if n := memory.(*arena.Arena).Bytes(); n != 0 {
		t.Errorf("%d bytes are mapped after the node's end", n)
	}
}

// TestGeneration: state that begins anew under a manifest takes no tokens that
// were issued under another one.
func TestGeneration(t *testing.T) {
	s := startSingle(t, nil)
	if got, want := s.config().Generation, s.d.signed.Manifest.Sequence; uint64(got) != want {
		t.Errorf("generation %d under manifest %d", got, want)
	}
}

// config waits for the machine, and returns what it was made with.
func (s *single) config() (c epoch.Config) {
	s.t.Helper()
	eventually(s.t, "a machine", func() bool {
		s.fake.get(func() { c = s.fake.cfg })
		return c.Memory != nil
	})
	return c
}
