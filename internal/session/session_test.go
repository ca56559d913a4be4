package session

import (
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
)

// counted is memory that knows how many arrays of a size are in use.
type counted map[int]int

func (c counted) Get(n int) []byte {
	c[n]++
	return record.Heap{}.Get(n)
}

func (c counted) Put(b []byte) { c[cap(b)]-- }

func testAEAD(k *Key) AEAD {
	a, err := chacha20poly1305.New(k[:])
	if err != nil {
		panic(err)
	}
	return a
}

const testBytes = 48

// newTest is a table of four clients, each with a session under a key of its own
// whose ID is the client's.
func newTest(memory counted) (*Table, []Handle) {
	t := newTable(memory, 4)
	var all []Handle
	for c := range uint32(4) {
		all = append(all, attach(t, uint64(c), c))
	}
	return t, all
}

func newTable(memory record.Memory, clients int) *Table {
	return New(Config{
		Role: cell.RoleStorage, CellBytes: testBytes, Slots: clients, Slot: func(c uint32) int { return int(c) },
		AEAD: testAEAD, Memory: memory, Workers: oblivious.NewWorkers(1), Parallel: 1,
	}, 1)
}

func attach(t *Table, id uint64, client uint32) Handle {
	h, _, _ := t.Attach(id, client, [16]byte{byte(id)}, Key{1, byte(id)}, Key{2, byte(id)})
	return h
}

// sealed is a client's cell for an epoch, all of it one byte.
func sealed(t *Table, h Handle, epoch, sequence uint64, fill byte) Cell {
	plain := make([]byte, testBytes)
	for i := range plain {
		plain[i] = fill
	}
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, sequence, cell.TypeControl)
	ad := cell.MakeAD(&[32]byte{}, cell.Up, cell.RoleStorage, cell.TypeControl, 0)
	ad.SetEpoch(epoch)
	ad.SetClient(t.Client(h))
	return Cell{
		Session: t.ID(h), Type: cell.TypeControl, Epoch: epoch, Sequence: sequence,
		Sealed: testAEAD(&t.entry(h).up).Seal(nil, nonce[:], plain, ad[:]),
	}
}

// Memory for submissions is there when one comes; a second one only for epochs
// before whose end somebody submits for the next, and not for longer.
func TestMemory(t *testing.T) {
	memory := counted{}
	table, all := newTest(memory)
	used := func(what string, want int) {
		t.Helper()
		if got := memory[4*testBytes]; got != want {
			t.Errorf("%s: memory for %d epochs is in use, want %d", what, got, want)
		}
	}
	sequence := uint64(0)
	give := func(epoch uint64) Cell {
		t.Helper()
		sequence++
		c := sealed(table, all[1], epoch, sequence, byte(epoch))
		if refused, _ := table.Cells([]Cell{c}); len(refused) != 0 {
			t.Fatalf("refused: %v", refused)
		}
		return c
	}
	check := func(taken *Taken, epoch uint64, c Cell) {
		t.Helper()
		if taken.Count != 1 || !taken.Present[1] || taken.Present[0] || taken.Cell(1, testBytes)[9] != byte(epoch) || taken.Tag[1] != cell.Tag(c.Sealed) {
			t.Errorf("epoch %d: taken %+v", epoch, taken)
		}
	}
	used("at first", 0)
	bad := sealed(table, all[1], 7, 1, 0)
	if refused, _ := table.Cells([]Cell{bad}); len(refused) != 1 || refused[0].Code != WrongEpoch {
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

// A cell that comes an epoch late is refused, and proves its client all the same:
// who is always late does not go without deliveries. A copy of it, or an older
// one, proves nothing, and no memory is taken for it.
func TestLateProof(t *testing.T) {
	memory := counted{}
	table, all := newTest(memory)
	late, older := sealed(table, all[1], 2, 2, 7), sealed(table, all[2], 1, 1, 7)
	table.Take()
	table.Take()
	refused, fresh := table.Cells([]Cell{late, older})
	if len(refused) != 2 || refused[0].Code != WrongEpoch || refused[1].Code != WrongEpoch {
		t.Errorf("refused: %v", refused)
	}
	if !slices.Equal(fresh, []Handle{all[1]}) || !table.Active(all[1]) || table.Active(all[2]) {
		t.Errorf("proved: %v", fresh)
	}
	e := table.entry(all[1])
	table.Attach(9, 1, e.salt, e.up, e.down)
	late.Session = 9
	if refused, fresh := table.Cells([]Cell{late}); len(refused) != 1 || refused[0].Code != OldSequence || len(fresh) != 0 {
		t.Errorf("a copy: %v, %v", refused, fresh)
	}
	if table.Submissions() != 0 || memory[4*testBytes] != 0 {
		t.Errorf("%d submissions, memory for %d epochs", table.Submissions(), memory[4*testBytes])
	}
}

// Results go to sessions whose client proved itself in them, once an epoch; the
// others are told that the next one is open, once.
func TestOwed(t *testing.T) {
	table, all := newTest(counted{})
	if refused, fresh := table.Cells([]Cell{sealed(table, all[1], 1, 1, 0), sealed(table, all[3], 1, 1, 0)}); len(refused) != 0 || !slices.Equal(fresh, []Handle{all[1], all[3]}) {
		t.Fatalf("refused %v, fresh %v", refused, fresh)
	}
	table.Take()
	to, untold, left := table.NextRecipients(0, 1, table.Linked(0), 1, nil, nil)
	if !slices.Equal(to, []Handle{all[3]}) || len(untold) != 0 || left != 3 {
		t.Errorf("one at most: to %v, untold %v, %d left", to, untold, left)
	}
	attach(table, 9, 2) // it is not one of those that are left
	to, untold, left = table.NextRecipients(0, 1, left, 9, nil, nil)
	if !slices.Equal(to, []Handle{all[1]}) || !slices.Equal(untold, []Handle{all[2], all[0]}) || left != 0 {
		t.Errorf("the rest: to %v, untold %v, %d left", to, untold, left)
	}
	if told := table.MarkAnnounced(0, 2, untold); !slices.Equal(told, []Handle{all[2], all[0]}) {
		t.Errorf("told %v", told)
	}
	if told := table.MarkAnnounced(0, 2, []Handle{all[0], all[1], all[2], all[3]}); len(told) != 0 {
		t.Errorf("told again: %v", told)
	}
	if to, _, _ := table.NextRecipients(0, 1, table.Linked(0), 9, nil, nil); len(to) != 0 {
		t.Errorf("owed again: %v", to)
	}
	if to, untold, left := table.NextRecipients(7, 1, 4, 9, nil, nil); len(to)+len(untold)+left != 0 {
		t.Error("a link that there is not is owed something")
	}
}

// Whoever is left when sessions come and go meanwhile is met.
func TestOwedMeanwhile(t *testing.T) {
	table, all := newTest(counted{})
	var batch []Cell
	for _, h := range all {
		batch = append(batch, sealed(table, h, 1, 1, 0))
	}
	table.Cells(batch)
	to, _, left := table.NextRecipients(0, 1, table.Linked(0), 2, nil, nil)
	table.Detach(0)
	attach(table, 77, 0)
	more, _, left := table.NextRecipients(0, 1, left, 9, nil, nil)
	if !slices.Equal(to, []Handle{all[3], all[2]}) || !slices.Contains(more, all[1]) || len(more) != 1 || left != 0 {
		t.Errorf("to %v, then %v, %d left", to, more, left)
	}
}

// A client has sessions of few starts besides the one that it proved itself in:
// the oldest gives way, and the proved one stays.
func TestGivesWay(t *testing.T) {
	table, all := newTest(counted{})
	table.Cells([]Cell{sealed(table, all[2], 1, 1, 0)})
	for id := uint64(100); id < 100+mostUnproved; id++ {
		if _, displaced, gaveWay := table.Attach(id, 2, [16]byte{byte(id)}, Key{}, Key{}); gaveWay {
			t.Fatalf("session %d gave way to %d", displaced, id)
		}
	}
	for id := uint64(200); id < 210; id++ {
		_, displaced, gaveWay := table.Attach(id, 2, [16]byte{byte(id)}, Key{}, Key{})
		want := id - 100
		if id >= 200+mostUnproved {
			want = id - mostUnproved
		}
		if !gaveWay || displaced != want {
			t.Errorf("session %d gave way to %d (%v), want %d", displaced, id, gaveWay, want)
		}
	}
	if !table.Active(all[2]) || table.Len() != 4+mostUnproved {
		t.Errorf("%d sessions; the proved one stays: %v", table.Len(), table.Active(all[2]))
	}
	table.Forget(2)
	if table.Len() != 3 || table.Active(all[2]) {
		t.Errorf("%d sessions are left after those of a client of four were forgotten", table.Len())
	}
	if _, ok := table.Find(2); ok {
		t.Error("a session that was forgotten is found")
	}
}

// An attachment that comes again, from who replays it or from the client itself
// on a new connection, takes the place of the session of the same start, and of
// no other; neither does it take that of the one that the client proved itself in.
func TestSameStart(t *testing.T) {
	table, all := newTest(counted{})
	salt := table.entry(all[2]).salt
	again := func(id uint64, salt [16]byte, want uint64, gives bool) Handle {
		t.Helper()
		h, displaced, gaveWay := table.Attach(id, 2, salt, Key{1, 2}, Key{2, 2})
		if gaveWay != gives || gives && displaced != want {
			t.Errorf("to session %d gave way %d (%v), want %d (%v)", id, displaced, gaveWay, want, gives)
		}
		return h
	}
	again(100, [16]byte{1: 1}, 0, false) // another start of the client
	again(101, salt, 2, true)
	again(102, salt, 101, true)
	back := again(103, salt, 102, true)
	if _, fresh := table.Cells([]Cell{sealed(table, back, 1, 1, 0)}); !slices.Equal(fresh, []Handle{back}) {
		t.Fatalf("the client that came back is not active: %v", fresh)
	}
	for id := uint64(200); id < 300; id++ {
		again(id, salt, id-1, id > 200)
	}
	// The connection is lost, and nobody has noticed: the client is back.
	back = again(300, salt, 299, true)
	if _, fresh := table.Cells([]Cell{sealed(table, back, 1, 2, 0)}); !slices.Equal(fresh, []Handle{back}) {
		t.Errorf("the client that came back again is not active: %v", fresh)
	}
	again(301, salt, 103, true) // what it lost is as good as unproved
	again(302, [16]byte{1: 1}, 100, true)
	if !table.Active(back) || table.Len() != 3+3 {
		t.Errorf("%d sessions, active %v", table.Len(), table.Active(back))
	}
}

// The table against a map, over many sessions of several links that come and go.
func TestFind(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	table := newTable(record.Heap{}, 500)
	has := map[uint64]Handle{}
	for range 20000 {
		id := uint64(r.Uint32N(3))<<32 | uint64(r.Uint32N(700))
		h, ok := table.Find(id)
		if want, there := has[id]; ok != there || ok && h != want {
			t.Fatalf("session %x: %d %v, want %d %v", id, h, ok, want, there)
		}
		switch {
		case ok && r.Uint32N(3) > 0:
			table.Detach(id)
			delete(has, id)
		case !ok:
			h, displaced, gaveWay := table.Attach(id, r.Uint32N(500), [16]byte{byte(r.Uint32N(3))}, Key{}, Key{})
			has[id] = h
			if gaveWay {
				delete(has, displaced)
			}
		}
		if r.Uint32N(500) == 0 {
			link := r.Uint32N(3)
			table.DetachLink(link)
			for id := range has {
				if LinkOf(id) == link {
					delete(has, id)
				}
			}
		}
		if r.Uint32N(50) == 0 {
			var batch []Cell
			for range 100 {
				batch = append(batch, Cell{Session: uint64(r.Uint32N(3))<<32 | uint64(r.Uint32N(700)), Type: cell.TypeControl})
			}
			batch[7].Type = cell.TypeSubmission
			table.find(batch, 1+int(r.Uint32N(uint32(len(table.lanes)))))
			for i, c := range batch {
				want, there := has[c.Session]
				if !there || i == 7 {
					want = none
				}
				if table.found[i] != want {
					t.Fatalf("session %x of a batch: %d, want %d", c.Session, table.found[i], want)
				}
			}
		}
		linked := 0
		for _, l := range table.Links(nil) {
			linked += table.Linked(l)
		}
		if table.Len() != len(has) || linked != len(has) {
			t.Fatalf("%d sessions, %d of links, want %d", table.Len(), linked, len(has))
		}
	}
}
