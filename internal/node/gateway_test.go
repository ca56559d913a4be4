package node

import (
	"io"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/wire"
)

func TestGatewaySessions(t *testing.T) {
	s := startSingle(t, nil)
	c, r := s.connect(wire.ServiceGateway)
	var out []byte
	for i := range uint32(10) {
		out = (&wire.GatewayAttach{Session: i, Role: 1, Client: 100 + i}).Append(out)
	}
	for i := range uint32(3000) {
		out = (&wire.GatewayCellUp{Session: i % 10, Cell: wire.CellUp{Type: 1, Epoch: 4, Sequence: uint64(i), Sealed: make([]byte, 40)}}).Append(out)
	}
	out = (&wire.Detach{Session: 3}).Append(out)
	go c.Write(out)
	limits := wire.ToGateway(s.n.g)
	attached, refused := 0, 0
	for attached+refused < 3010 {
		typ, payload, err := r.ReadFrame(limits)
		must(t, err)
		switch typ {
		case wire.TypeGatewayAttached:
			var m wire.GatewayAttached
			must(t, m.Parse(payload))
			if m.Session != uint32(attached) || m.Attached.Generation != 5 || m.Attached.Salt != s.n.boot || refused > 0 {
				t.Fatalf("attached %+v", m)
			}
			attached++
		case wire.TypeGatewayRefused:
			var m wire.GatewayRefused
			must(t, m.Parse(payload))
			if m.Session != uint32(refused%10) || m.Refused.Code != 3 || m.Refused.Epoch != 4 {
				t.Fatalf("refused %d: %+v", refused, m)
			}
			refused++
		}
	}
	eventually(t, "detached", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 9 })
		return ok
	})
	c.Close()
	eventually(t, "all detached with the link", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 0 })
		return ok
	})
}

// TestSessionLimit: a gateway has room for a session of every client and one that
// takes its place, and for few more.
func TestSessionLimit(t *testing.T) {
	s := startSingle(t, nil)
	c, r := s.connect(wire.ServiceGateway)
	limit := 2*s.n.g.Params().Capacity + 1024
	var out []byte
	for i := range uint32(limit + 1) {
		out = (&wire.GatewayAttach{Session: i, Role: cell.RoleJoint, Client: i}).Append(out)
	}
	go c.Write(out)
	attached := 0
	for {
		typ, payload, err := r.ReadFrame(wire.ToGateway(s.n.g))
		must(t, err)
		if typ != wire.TypeGatewayRefused {
			attached++
			continue
		}
		var m wire.GatewayRefused
		must(t, m.Parse(payload))
		if m.Session != uint32(limit) || m.Refused.Code != wire.CodeBusy {
			t.Errorf("refused %+v, where %d fit", m, limit)
		}
		break
	}
	// The refusal may overtake the last answers, which the machine has to make.
	for attached < limit {
		_, _, err := r.ReadFrame(wire.ToGateway(s.n.g))
		must(t, err)
		attached++
	}
}

func TestCellsReachTheirGateways(t *testing.T) {
	s := startSingle(t, nil)
	limits := wire.ToGateway(s.n.g)
	var readers [2]*wire.Reader
	for i := range 2 {
		c, r := s.connect(wire.ServiceGateway)
		_, err := c.Write((&wire.GatewayAttach{Session: 7, Role: 2, Client: uint32(i)}).Append(nil))
		must(t, err)
		_, _, err = r.ReadFrame(limits)
		must(t, err)
		readers[i] = r
	}
	const width, rows = 1000, 4096
	for i := range readers {
		cells := cellsFor(i+1, epoch.ClientCells{Type: 4, Attempt: 2, Epoch: 11, Width: width}, rows/2)
		for k := range rows / 2 {
			cells.Sessions[k] |= uint64(2*k + i)
			cells.Cell(k)[0] = byte(2*k + i)
		}
		s.fake.offer(epoch.Ready{Cells: []epoch.ClientCells{cells}})
	}
	for i, r := range readers {
		for k := i; k < rows; k += 2 {
			_, payload, err := r.ReadFrame(limits)
			must(t, err)
			var m wire.GatewayCellDown
			must(t, m.Parse(payload))
			if m.Session != uint32(k) || m.Cell.Type != 4 || m.Cell.Attempt != 2 || m.Cell.Epoch != 11 ||
				len(m.Cell.Sealed) != width || m.Cell.Sealed[0] != byte(k) {
				t.Fatalf("cell %d: %d bytes of session %d", k, len(m.Cell.Sealed), m.Session)
			}
		}
	}
}

// cellsFor is cells for so many sessions of a link.
func cellsFor(link int, cells epoch.ClientCells, rows int) epoch.ClientCells {
	cells.Gap, cells.Data = cellDownHead, make([]byte, rows*(cellDownHead+cells.Width))
	for range rows {
		cells.Sessions = append(cells.Sessions, uint64(link)<<32)
	}
	return cells
}

// TestSlowGateway: one that does not read is cut, and the others notice nothing.
func TestSlowGateway(t *testing.T) {
	s := startSingle(t, func(c *Config) { c.QueueBytes = 20 << 20 })
	limits := wire.ToGateway(s.n.g)
	deaf, _ := s.connect(wire.ServiceGateway)
	_, err := deaf.Write((&wire.GatewayAttach{Session: 1, Role: 1}).Append(nil))
	must(t, err)
	eventually(t, "attached", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 1 })
		return ok
	})
	c, r := s.connect(wire.ServiceGateway)
	_, err = c.Write((&wire.GatewayAttach{Session: 1, Role: 1}).Append(nil))
	must(t, err)
	_, _, err = r.ReadFrame(limits)
	must(t, err)
	const width, rows, batches = 1000, 1000, 64
	for range batches {
		for link := 1; link <= 2; link++ {
			s.fake.offer(epoch.Ready{Cells: []epoch.ClientCells{cellsFor(link, epoch.ClientCells{Type: 4, Epoch: 1, Width: width}, rows)}})
		}
		_, err = c.Write((&wire.Detach{Session: 9}).Append(nil)) // an event, so that it is seen
		must(t, err)
		for range rows {
			_, _, err := r.ReadFrame(limits)
			must(t, err)
		}
	}
	eventually(t, "cut", func() bool { return s.log.has("gateway link 1", "does not read") })
}

// TestHold: the machine is told when a gateway has enough to write, and when it
// has room again.
func TestHold(t *testing.T) {
	s := startSingle(t, nil)
	limits := wire.ToGateway(s.n.g)
	c, r := s.connect(wire.ServiceGateway)
	event := func() {
		_, err := c.Write((&wire.GatewayAttach{Session: 1, Role: 1}).Append(nil))
		must(t, err)
	}
	event()
	_, _, err := r.ReadFrame(limits)
	must(t, err)
	const width, rows = 1000, 1000
	last := func() (what string) {
		s.fake.get(func() {
			for _, call := range s.fake.calls {
				if call == "hold 1" || call == "room 1" {
					what = call
				}
			}
		})
		return what
	}
	offered := 0
	for ; last() == ""; offered++ {
		if offered > 1000 {
			t.Fatal("the machine offered a gigabyte and was not told to hold")
		}
		s.fake.offer(epoch.Ready{Cells: []epoch.ClientCells{cellsFor(1, epoch.ClientCells{Type: 4, Epoch: 1, Width: width}, rows)}})
		event()
		// The machine offers no more than is taken, and hears of Hold in between.
		eventually(t, "taken", func() (ok bool) {
			s.fake.get(func() { ok = len(s.fake.ready) == 0 })
			return ok
		})
	}
	for got := 0; got < offered*rows; {
		typ, _, err := r.ReadFrame(limits)
		must(t, err)
		if typ == wire.TypeGatewayCellDown {
			got++
		}
	}
	eventually(t, "there is room again", func() bool { return last() == "room 1" })
}

// TestFlood: a gateway that sends faster than the machine works is held back,
// and loses nothing; a coordinator is heard meanwhile.
func TestFlood(t *testing.T) {
	s := startSingle(t, nil)
	s.fake.get(func() { s.fake.slow = 5 * time.Millisecond })
	c, r := s.connect(wire.ServiceGateway)
	go io.Copy(io.Discard, c)
	_ = r
	const cells = 100_000
	go func() {
		var out []byte
		for i := range cells {
			out = (&wire.GatewayCellUp{Session: 1, Cell: wire.CellUp{Type: 1, Sequence: uint64(i), Sealed: make([]byte, 100)}}).Append(out)
			if len(out) > 1<<20 {
				c.Write(out)
				out = out[:0]
			}
		}
		c.Write(out)
	}()
	k, _ := s.connect(wire.ServiceCoordinator)
	_, err := k.Write((&wire.Propose{Epoch: 1, Attempt: 3, Roster: *wire.NewRoster(10)}).Append(nil))
	must(t, err)
	eventually(t, "the proposal came through", func() (ok bool) {
		s.fake.get(func() { ok = s.fake.status.Attempt == 3 })
		return ok
	})
	eventually(t, "all cells came", func() (ok bool) {
		s.fake.get(func() { ok = s.fake.cells == cells })
		return ok
	})
}
