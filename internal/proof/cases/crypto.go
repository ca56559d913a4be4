package cases

import (
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
)

// Keys is what servers compute under the cluster's secrets: key schedule, MACs
// and PRFs, with the master secret and all inputs secret.
var Keys = []Case{
	{
		Name: "keys.New",
		Covers: []string{"keys.Schedule.Tags", "keys.Schedule.Ties", "keys.Schedule.Routers", "keys.Schedule.HeadMAC", "keys.Schedule.ClientKey",
			"keys.Server.Ties", "keys.Server.Routers"},
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
				s.Tags(keys.KindPass, inputs, tags)
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

// All is every case.
func All() []Case {
	var all []Case
	for _, group := range [][]Case{Choice, Kernel, Packed, Eights, Oblivious, Survive, Token, Roles, Keys, Epoch} {
		all = append(all, group...)
	}
	return all
}
