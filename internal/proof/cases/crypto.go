package cases

import (
	"math/rand/v2"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/session"
)

// Keys is what servers compute under the cluster's secrets: key schedule, MACs
// and PRFs, with the master secret and all inputs secret.
var Keys = []Case{
	{
		Name: "keys.New",
		Covers: []string{"keys.Schedule.MACs", "keys.MACs.Tags", "keys.Schedule.Ties", "keys.Schedule.Routers", "keys.Schedule.HeadMAC", "keys.Schedule.ClientKey",
			"keys.Server.Tags", "keys.Server.Ties", "keys.Server.Routers"},
		make: func(b *Builder) func() {
			master := b.bytes(32)
			inputs, tags := b.bytes(4*cell.MACInputBytes), make([]byte, 4*cell.MACBytes)
			in, recipients, out := b.words(4), b.labels(4, 1<<30), make([]uint64, 4)
			return func() {
				s := keys.New(keys.Master(master), [32]byte{1}, era)
				w := keys.NewServer(s, [32]byte{6}, 1)
				w.Tags(keys.KindToken, inputs, tags)
				w.Ties(now, in, out)
				w.Routers([32]byte{2}, recipients, out)
				m := s.MACs()
				m.Tags(keys.KindToken, inputs, tags)
				m.Tags(keys.KindPass, inputs, tags)
				s.Ties(now, in, out)
				s.Routers([32]byte{2}, recipients, out)
				s.HeadMAC(now, [32]byte{3})
				s.ClientKey(4, [32]byte{5}, 1)
			}
		},
	},
	{
		Name: "keys.Session", Covers: []string{"keys.SessionKey"},
		make: func(b *Builder) func() {
			key, plain := b.bytes(32), b.bytes(300)
			out := make([]byte, 0, 400)
			return func() {
				a := keys.Session([32]byte(key), cell.Down, cell.RoleStorage, [16]byte{1}, [16]byte{2})
				a.Seal(out, make([]byte, cell.NonceBytes), plain, []byte("public"))
			}
		},
	},
}

// Sessions is the sealing and opening of cells in batches. Which outer cells
// authenticate is public (the threat model): here all do.
var Sessions = []Case{
	{
		Name:   "session.Table.Cells",
		Covers: []string{"session.Table.Take", "session.Table.Return", "session.Table.Seal"},
		make: func(b *Builder) func() {
			const width = 96
			n := min(b.N, 40)
			t := session.New(session.Config{
				Role: cell.RoleStorage, Type: cell.TypeControl, CellBytes: width, Slots: n,
				Slot: func(c uint32) int { return int(c) }, Hash: keys.Hash, Workers: oblivious.NewWorkers(1),
			}, 1)
			plain := b.bytes(n * width)
			client := make([]session.AEAD, n)
			var to []*session.Session
			for c := range uint32(n) {
				client[c] = keys.Session([32]byte{byte(c)}, cell.Up, cell.RoleStorage, [16]byte{}, [16]byte{})
				to = append(to, t.Attach(uint64(c), c, client[c], keys.Session([32]byte{byte(c)}, cell.Down, cell.RoleStorage, [16]byte{}, [16]byte{})))
			}
			batch := make([]session.Arrived, n)
			epoch := uint64(0)
			// The client's part: seal the plaintexts. It is no server's work, and
			// what comes of it is public.
			b.fills = append(b.fills, func(*rand.Rand) {
				for c := range uint32(n) {
					var nonce [cell.NonceBytes]byte
					cell.PutUpNonce(&nonce, t.Open(), cell.TypeControl)
					ad := cell.MakeAD(&[32]byte{}, cell.Up, cell.RoleStorage, cell.TypeControl, 0)
					ad.SetEpoch(t.Open())
					ad.SetClient(c)
					batch[c] = session.Arrived{From: to[c], Cell: &session.Cell{
						Session: uint64(c), Type: cell.TypeControl, Epoch: t.Open(), Sequence: t.Open(),
						Sealed: client[c].Seal(nil, nonce[:], plain[c*width:(c+1)*width], ad[:]),
					}}
				}
			})
			sealed := make([]byte, n*(width+cell.TagBytes))
			return func() {
				t.Cells(batch)
				taken := t.Take()
				epoch++
				t.Seal(sealed, to, cell.TypeDelivery, epoch, 1, width, func(c uint32, out []byte) {
					copy(out, plain[int(c)*width:int(c+1)*width])
				})
				t.Return(taken)
			}
		},
	},
}

// All is every case.
func All() []Case {
	var all []Case
	for _, group := range [][]Case{Choice, Kernel, Packed, Oblivious, Survive, Token, Roles, Keys, Sessions, Epoch} {
		all = append(all, group...)
	}
	return all
}
