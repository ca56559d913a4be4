// Package token issues and checks what admits a message: tokens, which let one
// sender use one slot of one recipient's mailbox for a span of epochs, and
// passes, which admit a sender to a recipient's contact class up to a priority.
//
// A Checker judges the cells that arrived at an ingestion server; Slots holds a
// storage server's watermarks and issues. The guarantee is that, under one key
// era and shard generation, no two tokens for the same slot of the same
// recipient are ever issued whose spans overlap, so that what can be sent to a
// mailbox in an epoch is bounded by its slots even when clients collude.
// Everything inside a cell or a request is secret: all cells get the same work,
// and a bad one becomes a dummy and a status, never an error.
//
// The package does no I/O and holds no keys; MACs come in as an interface. Layouts
// and the codes of kinds and statuses are those of package cell.
package token

import (
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
)

// ErrSize reports public sizes that do not fit together.
var ErrSize = errors.New("token: sizes do not fit together")

// ErrForeign reports a client whose slots are not held here; who holds whose
// slots is public.
var ErrForeign = errors.New("token: client's slots are not held here")

// MAC computes authenticators in batches. Tags reads inputs of
// cell.MACInputBytes each and writes as many tags of cell.MACBytes, under the
// key of the kind, which is public. Implementations must be oblivious in the
// inputs, and safe for concurrent use.
type MAC interface {
	Tags(kind uint8, inputs, out []byte)
}

// Directory says for each virtual shard v how many IDs were ever allocated in
// it and its shard's generation. Both tables are public and fixed for an
// attempt.
type Directory struct {
	shard       choice.Divider
	users       []uint32
	generations []uint32
}

// NewDirectory returns the directory over V = len(users) virtual shards; both
// tables have V entries, V >= 1. The directory keeps the slices.
func NewDirectory(users, generations []uint32) (*Directory, error) {
	if len(users) == 0 || len(users) != len(generations) {
		return nil, ErrSize
	}
	return &Directory{choice.NewDivider(uint32(len(users))), users, generations}, nil
}

// Find sets, for each of the clients, exists to all ones if it exists and to 0
// if not, and generations to the generation of its shard. All three have one
// length. Oblivious in the clients; each meets the whole of both tables.
func (d *Directory) Find(clients, exists, generations []uint32) {
	for i, c := range clients {
		_, generations[i] = d.shard.DivMod(c)
	}
	kernel.Lookup(d.users, generations, exists)
	kernel.Lookup(d.generations, generations, generations)
	for i, c := range clients {
		q, _ := d.shard.DivMod(c)
		exists[i] = uint32(choice.Less(uint64(q), uint64(exists[i])) &^ choice.Eq(uint64(c), 1<<32-1))
	}
}

// Generation returns the generation of the shard of the client c, which must be
// public here: the table is indexed.
func (d *Directory) Generation(c uint32) uint32 {
	return d.generations[c%uint32(len(d.generations))]
}

// Rules are a deployment's public limits.
type Rules struct {
	Passes bool   // false: without ID channel, or priority: open; passes are neither issued nor looked at
	Slots  uint16 // k_token, slots of a mailbox; 0: without token channel
	Lmax   uint64 // longest span of a token or pass, in epochs
	Hmax   uint64 // how far ahead a span may end, in epochs
}

// RulesOf returns the rules of a deployment.
func RulesOf(p geometry.Params) Rules {
	return Rules{
		Passes: p.ID.Out > 0 && !p.ID.Open, Slots: uint16(p.Token.In),
		Lmax: uint64(p.TokenEpochs), Hmax: uint64(p.HorizonEpochs),
	}
}

// Key is a key era that is accepted, with its MAC.
type Key struct {
	Era uint32
	MAC MAC
}

// Cells is a view of message cells (of each, a cell.Message's header is looked
// at) inside opened submissions. Cell j of submission i starts at
// First + i*Submission + j*Cell; there are len(Senders) submissions with
// PerSender cells each. The contents of Data are secret, all else is public.
type Cells struct {
	Data       []byte
	First      int
	Submission int
	Cell       int
	PerSender  int
	Senders    []uint32
}

// Count returns the number of cells.
func (c Cells) Count() int { return len(c.Senders) * c.PerSender }

func (c Cells) check() error {
	if c.PerSender < 0 || c.First < 0 || c.Cell < cell.MessageHeader || c.Submission < 0 {
		return ErrSize
	}
	if c.Count() == 0 {
		return nil
	}
	last := c.First + (len(c.Senders)-1)*c.Submission + (c.PerSender-1)*c.Cell
	if last+cell.MessageHeader > len(c.Data) {
		return ErrSize
	}
	return nil
}

// Tokens is the verdict on the cells of the token channel: one entry per cell,
// submission by submission. All contents are secret.
type Tokens struct {
	Real      []byte // 1: goes on; 0: is a dummy from here on
	Status    []byte
	Recipient []uint32
	Slot      []uint32
}

// Passes is the verdict on the cells of the ID channel: one entry per cell,
// submission by submission. All contents are secret.
type Passes struct {
	Real      []byte // 1: goes on; 0: is a dummy from here on
	Status    []byte
	Recipient []uint32
	Class     []byte // 0 contact, 1 stranger
	Priority  []uint32
}
