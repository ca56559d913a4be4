package session

import (
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
)

// counted is memory that knows how many arrays are in use.
type counted struct{ used int }

func (c *counted) Get(n int) []byte { c.used++; return make([]byte, n) }
func (c *counted) Put([]byte)       { c.used-- }

func testAEAD(k *Key) AEAD {
	a, err := chacha20poly1305.New(k[:])
	if err != nil {
		panic(err)
	}
	return a
}

const testBytes = 32

// newTest is a table of four clients, each with a session under a key of its own.
func newTest(memory *counted) (*Table, []*Session) {
	t := New(Config{
		Role: cell.RoleStorage, Type: cell.TypeControl, CellBytes: testBytes, Slots: 4, Slot: func(c uint32) int { return int(c) },
		AEAD: testAEAD, Memory: memory, Workers: oblivious.NewWorkers(1), Parallel: 1,
	}, 1)
	var all []*Session
	for c := range uint32(4) {
		all = append(all, t.Attach(uint64(c), c, [16]byte{byte(c)}, Key{1, byte(c)}, Key{2, byte(c)}))
	}
	return t, all
}

// sealed is a client's cell for an epoch, all of it one byte.
func sealed(s *Session, epoch, sequence uint64, fill byte) Arrived {
	plain := make([]byte, testBytes)
	for i := range plain {
		plain[i] = fill
	}
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, sequence, cell.TypeControl)
	ad := cell.MakeAD(&[32]byte{}, cell.Up, s.Role, cell.TypeControl, 0)
	ad.SetEpoch(epoch)
	ad.SetClient(s.Client)
	return Arrived{s, &Cell{
		Session: s.ID, Type: cell.TypeControl, Epoch: epoch, Sequence: sequence,
		Sealed: testAEAD(&s.up).Seal(nil, nonce[:], plain, ad[:]),
	}}
}

// Memory for submissions is there when one comes; a second one only for epochs
// before whose end somebody submits for the next, and not for longer.
func TestMemory(t *testing.T) {
	memory := &counted{}
	table, all := newTest(memory)
	used := func(what string, want int) {
		t.Helper()
		if memory.used != want {
			t.Errorf("%s: memory for %d epochs is in use, want %d", what, memory.used, want)
		}
	}
	sequence := uint64(0)
	give := func(epoch uint64) *Cell {
		t.Helper()
		sequence++
		a := sealed(all[1], epoch, sequence, byte(epoch))
		if refused, _ := table.Cells([]Arrived{a}); len(refused) != 0 {
			t.Fatalf("refused: %v", refused)
		}
		return a.Cell
	}
	check := func(taken *Taken, epoch uint64, c *Cell) {
		t.Helper()
		if taken.Count != 1 || !taken.Present[1] || taken.Present[0] || taken.Cell(1, testBytes)[9] != byte(epoch) || taken.Tag[1] != cell.Tag(c.Sealed) {
			t.Errorf("epoch %d: taken %+v", epoch, taken)
		}
	}
	used("at first", 0)
	bad := sealed(all[1], 7, 1, 0)
	if refused, _ := table.Cells([]Arrived{bad}); len(refused) != 1 || refused[0].Code != WrongEpoch {
		t.Errorf("a cell of another epoch: %v", refused)
	}
	used("after a cell that nobody waits for", 0)
	for epoch := uint64(1); epoch <= 3; epoch++ {
		c := give(epoch)
		taken := table.Take()
		check(taken, epoch, c)
		table.Return(taken)
		used("one after the other", 1)
	}
	c := give(4)
	for epoch := uint64(4); epoch <= 6; epoch++ {
		taken := table.Take()
		next := give(epoch + 1)
		check(taken, epoch, c)
		table.Return(taken)
		used("while the one before is routed", 2)
		c = next
	}
	taken := table.Take()
	check(taken, 7, c)
	table.Return(taken)
	used("after an epoch without that", 1)
	if taken := table.Take(); taken != nil || table.Open() != 9 || table.Submissions() != 0 {
		t.Errorf("nothing came, and %+v was taken", taken)
	}
	table.Return(nil)
}

// A session is told when its caller says so.
func TestUntold(t *testing.T) {
	table, all := newTest(&counted{})
	all[0].Told, all[2].Told = 1, 1
	if got := table.Untold(); len(got) != 2 || got[0] != all[1] || got[1] != all[3] {
		t.Errorf("untold: %v", got)
	}
	table.Take()
	if got := table.Untold(); len(got) != 4 {
		t.Errorf("%d sessions are not told of the next epoch", len(got))
	}
}

// A cell that comes an epoch late is refused, and proves its client all the same:
// who is always late does not go without deliveries. A copy of it, or an older
// one, proves nothing, and no memory is taken for it.
func TestLateProof(t *testing.T) {
	memory := &counted{}
	table, all := newTest(memory)
	late, older := sealed(all[1], 2, 2, 7), sealed(all[2], 1, 1, 7)
	table.Take()
	table.Take()
	refused, fresh := table.Cells([]Arrived{late, older})
	if len(refused) != 2 || refused[0].Code != WrongEpoch || refused[1].Code != WrongEpoch {
		t.Errorf("refused: %v", refused)
	}
	if active := table.Active(); len(fresh) != 1 || fresh[0] != all[1] || len(active) != 1 || active[0] != all[1] {
		t.Errorf("proved: %v, active: %v", fresh, active)
	}
	other := table.Attach(9, 1, [16]byte{1}, all[1].up, all[1].down)
	late.From = other
	if refused, fresh := table.Cells([]Arrived{late}); len(refused) != 1 || refused[0].Code != OldSequence || len(fresh) != 0 {
		t.Errorf("a copy: %v, %v", refused, fresh)
	}
	if table.Submissions() != 0 || memory.used != 0 {
		t.Errorf("%d submissions, memory for %d epochs", table.Submissions(), memory.used)
	}
}
