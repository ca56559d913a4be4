package simnet

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
)

// Cells that are malformed, of the wrong size, for the wrong epoch, replayed,
// under a wrong key, or from nobody are refused plainly, each for its reason,
// and nothing is lost for the others.
func TestBadCells(t *testing.T) {
	t.Run("joint", func(t *testing.T) { badCells(t, both(3, 20), cell.RoleJoint) })
	t.Run("apart", func(t *testing.T) { badCells(t, apart(both(3, 20)), cell.RoleIngestion) })
}

func badCells(t *testing.T, params geometry.Params, role uint8) {
	w, b := crowd(t, Config{Params: params, Simulated: 20, Seed: 4, LastEpoch: 8, Period: 10 * time.Second}, 2, 0)
	if err := w.Run(time.Minute, func() bool { return w.Committed() >= 2 }); err != nil {
		t.Fatal(err)
	}
	c := w.clients[5]
	g := w.Geometry
	e := &c.ends[0]
	if e.role != role {
		t.Fatalf("the client's first session is in role %d", e.role)
	}
	typ, size := cell.UpType(role), cell.UpBytes(g, role)
	open := w.Machine(e.server).Status().Open
	good := make([]byte, size)
	seal := func(sequence, ep uint64) []byte {
		var nonce [cell.NonceBytes]byte
		cell.PutUpNonce(&nonce, sequence, typ)
		cluster := w.bytes32("cluster")
		ad := cell.MakeAD(&cluster, cell.Up, e.role, typ, uint32(e.server))
		ad.SetEpoch(ep)
		ad.SetClient(c.ID)
		return e.up.Seal(nil, nonce[:], good, ad[:])
	}
	cases := []struct {
		name string
		want session.Refusal
		send func()
	}{
		{"malformed", session.BadTag, func() {
			c.SendSealed(0, typ, open, 1000, make([]byte, size+cell.TagBytes))
		}},
		{"too short", session.WrongSize, func() { c.SendSealed(0, typ, open, 1001, make([]byte, 10)) }},
		{"too long", session.WrongSize, func() {
			c.SendSealed(0, typ, open, 1001, make([]byte, size+cell.TagBytes+1))
		}},
		{"of another type", session.WrongSize, func() { c.SendSealed(0, cell.TypeControl, open, 1002, seal(1002, open)) }},
		{"of an old epoch", session.WrongEpoch, func() { c.SendSealed(0, typ, open-1, 1003, seal(1003, open-1)) }},
		{"of a future epoch", session.WrongEpoch, func() { c.SendSealed(0, typ, open+1, 1004, seal(1004, open+1)) }},
		{"sealed for another epoch than it says", session.BadTag, func() { c.SendSealed(0, typ, open, 1005, seal(1005, open-1)) }},
		{"under another sequence number than it says", session.BadTag, func() { c.SendSealed(0, typ, open, 1006, seal(1007, open)) }},
		{"a second one", session.AlreadySubmitted, func() { c.SendSealed(0, typ, open, 1008, seal(1008, open)) }},
		{"replayed", session.OldSequence, func() { c.SendSealed(0, typ, open, 1008, seal(1008, open)) }},
		{"under a wrong key", session.BadTag, func() {
			x := e.up
			e.up = keys.Session([32]byte{1}, cell.Up, e.role, c.salt, [16]byte{})
			c.SendSealed(0, typ, open, 1009, seal(1009, open))
			e.up = x
		}},
		{"of a session that is not there", session.NotAttached, func() {
			m := w.Machine(e.server)
			m.Cells([]session.Cell{{Session: 1 << 40, Type: typ, Epoch: open, Sequence: 1, Sealed: seal(1, open)}})
			for _, r := range m.Ready().Refused {
				c.Refused = append(c.Refused, r.Code)
			}
		}},
	}
	for _, x := range cases {
		c.Refused = nil
		x.send()
		end := w.Now + 10*time.Millisecond
		w.After(20*time.Millisecond, func() {})
		if err := w.Run(time.Second, func() bool { return w.Now >= end }); err != nil {
			t.Fatal(err)
		}
		if w.Machine(e.server).Status().Open != open {
			t.Fatalf("the epoch turned under %q", x.name)
		}
		if !slices.Equal(c.Refused, []session.Refusal{x.want}) {
			t.Errorf("a cell %s: refused with %v, want %v", x.name, c.Refused, x.want)
		}
	}
	settle(t, w, 8)
	b.check(t, 8)
	if len(b.mails[8]) != 20 || len(b.results[8]) != 20 {
		t.Errorf("%d deliveries and %d results of epoch 8", len(b.mails[8]), len(b.results[8]))
	}
}

// Whoever claims to be a client without its key, or is none, is refused, and who
// replays an attachment gets nothing.
func TestFalseClaims(t *testing.T) {
	w, b := crowd(t, Config{Params: both(2, 10), Simulated: 10, Seed: 9, LastEpoch: 6, Period: 100 * time.Millisecond}, 2, 0)
	if err := w.Run(time.Minute, func() bool { return w.Committed() >= 2 }); err != nil {
		t.Fatal(err)
	}
	server := w.Geometry.Storages()[w.Geometry.StorageOf(3)]
	m := w.Machine(server)
	prove := func(id uint32, role uint8, salt [16]byte) [16]byte {
		return keys.AttachProof(keys.SimulatedClientKey(w.bytes32("simulated"), id), w.bytes32("cluster"), uint32(server), role, id, salt)
	}
	victim, role := w.clients[3], cell.RoleJoint
	m.Attach(1<<40, 3, role, victim.salt, prove(3, role, victim.salt)) // a replay
	for i := range uint64(10) {
		m.Attach(1<<40+8+i, 3, role, [16]byte{byte(i)}, [16]byte{9}) // claims to be client 3
	}
	m.Attach(1<<40+1, 999, role, [16]byte{}, prove(999, role, [16]byte{}))
	neighbour := uint32(3 + 1 - 2*(3%2)) // another server's client
	m.Attach(1<<40+2, neighbour, role, [16]byte{}, prove(neighbour, role, [16]byte{}))
	for i, other := range []uint8{0, cell.RoleIngestion, cell.RoleStorage, 7} { // the right key, for another role
		m.Attach(1<<40+3+uint64(i), 3, other, [16]byte{}, prove(3, other, [16]byte{}))
	}
	r := m.Ready()
	if len(r.Refused) != 16 {
		t.Errorf("%d attachments were refused, want 16", len(r.Refused))
	}
	for _, x := range r.Refused {
		if x.Code != session.UnknownClient {
			t.Errorf("an attachment was refused with %d", x.Code)
		}
	}
	if len(r.Cells) != 1 || len(r.Cells[0].Sessions) != 1 || r.Cells[0].Type != cell.TypeAnnouncement {
		t.Errorf("the replayer was sent %+v, want one announcement that it cannot open", r.Cells)
	}
	for i := range r.Cells {
		r.Cells[i].Sent()
	}
	settle(t, w, 6)
	b.check(t, 6)
	if len(b.mails[6]) != 10 {
		t.Errorf("%d deliveries of epoch 6, want 10", len(b.mails[6]))
	}
}

// Frames between servers that do not belong to the attempt, or do not fit it,
// change nothing.
func TestBadFrames(t *testing.T) {
	cfg := Config{Params: both(3, 20), Simulated: 20, Seed: 2, LastEpoch: 6}
	var w *World
	cfg.Made = func(x *World) { w = x }
	n := uint32(0)
	cfg.Frame = func(from int, f *Frame) *Frame {
		bad := func(h epoch.Header, payload []byte) {
			w.Machine(f.To).Frame(from, h, payload)
		}
		if f.Header.Kind == epoch.Prepared || f.Header.Kind == epoch.Committed || f.Header.Kind == epoch.Sync {
			bad(f.Header, f.Payload[:len(f.Payload)-1])
			h := f.Header
			h.Epoch += 100
			h.Kind = epoch.Prepared
			bad(h, make([]byte, 16))
			return f
		}
		n++
		h := f.Header
		h.A[n%32] ^= 1 // another attempt
		bad(h, f.Payload)
		h = f.Header
		h.Epoch-- // an old epoch
		bad(h, f.Payload)
		h = f.Header
		h.Part = 1 << 30 // beyond the link
		bad(h, f.Payload)
		h = f.Header
		h.Rows = ^uint32(0)
		bad(h, f.Payload)
		h = f.Header
		h.Kind = 99
		bad(h, f.Payload)
		bad(f.Header, bytes.Repeat([]byte{1}, 3))
		w.Machine(f.To).Frame(-1, f.Header, f.Payload)
		w.Machine(f.To).Frame(99, f.Header, f.Payload)
		w.After(3*time.Millisecond, func() { bad(f.Header, f.Payload) }) // again
		return f
	}
	w, b := crowd(t, cfg, 2, 0)
	settle(t, w, 6)
	b.check(t, 6)
}
