package cases

import (
	"math/rand/v2"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/token"
)

// world is a small deployment for the roles' machines: two servers with all
// roles, both channels, passes.
type world struct {
	g    *geometry.Geometry
	at   *geometry.Attempt
	dir  *token.Directory
	keys *keys.Server
	// ingesting and storing are the clients of server 0.
	ingesting, storing []uint32
}

const (
	era = 1
	now = 5 // the epoch of all cases
)

func newWorld(n, workers int) *world {
	n = max(n, 2)
	g, err := geometry.New(geometry.Params{
		Capacity: n, VirtualShards: 4, CellBytes: 64,
		Servers: []geometry.Server{{Roles: geometry.AllRoles, Weight: 1}, {Roles: geometry.AllRoles, Weight: 1}},
		ID:      geometry.IDChannel{Out: 2, Contact: 2, Stranger: 1},
		Token:   geometry.TokenChannel{Out: 2, In: 2},
	})
	must(err)
	w := &world{g: g, keys: keys.NewServer(keys.New(keys.Master{7}, [32]byte{8}, era), [32]byte{9}, workers)}
	users := make([]int, g.VirtualShards())
	ingesting := make([]int, len(g.Ingestions()))
	for c := range uint32(n) {
		users[int(c)%len(users)]++
		i := g.IngestionOf(c)
		ingesting[i]++
		if i == 0 {
			w.ingesting = append(w.ingesting, c)
		}
		if g.StorageOf(c) == 0 {
			w.storing = append(w.storing, c)
		}
	}
	w.at, err = g.Attempt(users, ingesting)
	must(err)
	w.dir, err = token.NewDirectory(w.at.UserTable(), make([]uint32, len(users)))
	must(err)
	return w
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fillMessage draws a message cell: dummies, messages with authentic tokens or
// passes, messages whose every field is arbitrary.
func (w *world) fillMessage(r *rand.Rand, m cell.Message, kind uint8, sender uint32, clients int) {
	for i := range m {
		m[i] = byte(r.Uint32())
	}
	m.SetKind(uint8(r.IntN(3)))
	if r.IntN(4) == 0 {
		return
	}
	m.SetKind(cell.Real)
	m.SetRecipient(uint32(r.IntN(clients + 2)))
	m.SetSlot(uint16(r.IntN(3)))
	m.SetE1(uint64(r.IntN(now + 2)))
	m.SetE2(uint64(now + r.IntN(5)))
	m.SetEra(era)
	m.SetGeneration(0)
	if r.IntN(4) == 0 {
		return
	}
	slot, ceiling := m.Slot(), uint32(0)
	if kind == cell.KindPass {
		slot, ceiling = 0, m.Ceiling()
	}
	var input [cell.MACInputBytes]byte
	cell.PutMACInput(input[:], kind, cell.ChannelOf(kind), slot, sender, m.Recipient(), ceiling, era, 0, m.E1(), m.E2())
	w.keys.Tags(kind, input[:], m.MAC())
}

// fillSubmission draws the cells of a submission.
func (w *world) fillSubmission(r *rand.Rand, s cell.Submission, sender uint32, clients int) {
	for j := range w.g.Outs() {
		kind := cell.KindPass
		if j >= w.g.Params().ID.Out {
			kind = cell.KindToken
		}
		w.fillMessage(r, s.Message(w.g.SubmissionCell(j), w.g.MessageBytes()), kind, sender, clients)
	}
}

// fillRequest draws a request, often one that is granted.
func fillRequest(r *rand.Rand, q cell.Request, clients int) {
	for i := range q {
		q[i] = byte(r.Uint32())
	}
	q.SetKind(uint8(r.IntN(4)))
	if r.IntN(4) == 0 {
		return
	}
	q.SetSlot(uint16(r.IntN(3)))
	q.SetSender(uint32(r.IntN(clients)))
	q.SetE1(uint64(now + 1 + r.IntN(4)))
	q.SetE2(q.E1() + uint64(r.IntN(4)))
}
