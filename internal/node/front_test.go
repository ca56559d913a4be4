package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

func TestStrangersAreClosed(t *testing.T) {
	var alarms alarms
	s := startSingle(t, func(c *Config) { c.AfterFunc = alarms.after })
	const silent = "did not say what it is for"
	for name, c := range map[string]struct{ send, says string }{
		"garbage":      {"GET / HTTP/1.1\r\n\r\n", "not a TEEMS connection"},
		"a client":     {string(wire.Preamble{Service: wire.ServiceCells, Role: 1}.Append(nil)), "connect to a gateway"},
		"silence":      {"", silent},
		"half a word":  {"TEE", silent},
		"bad frame":    {string(wire.Preamble{Service: wire.ServiceGateway}.Append(nil)) + "\xff\xff\xff\xff\x12", "wrong length"},
		"wrong frame":  {string(wire.Preamble{Service: wire.ServiceGateway}.Append(nil)) + "\x00\x00\x00\x00\x20", "unexpected type"},
		"bad proposal": {string(wire.Preamble{Service: wire.ServiceCoordinator}.Append(nil)) + "\x10\x00\x00\x00\x20" + strings.Repeat("\x00", 16), "value out of range"},
		"not TLS":      {string(wire.Preamble{Service: wire.ServiceRegistration}.Append(nil)) + "hello, hello, hello", "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := net.Dial("tcp", s.addr)
			must(t, err)
			defer c2.Close()
			_, err = c2.Write([]byte(c.send))
			must(t, err)
			if c.says == silent {
				eventually(t, "its time is over", func() bool { return alarms.ring(preambleTime) == 1 })
			}
			c2.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.Copy(io.Discard, c2); err != nil && errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("the connection was not closed")
			}
			eventually(t, "a log line with "+c.says, func() bool { return s.log.has(c.says) })
		})
	}
}

func TestGatewaySessions(t *testing.T) {
	s := startSingle(t, nil)
	c, r := s.connect(wire.ServiceGateway)
	var out []byte
	for i := range uint32(10) {
		out = (&wire.FrontAttach{Session: i, Role: 1, Client: 100 + i}).Append(out)
	}
	for i := range uint32(3000) {
		out = (&wire.FrontCellUp{Session: i % 10, Cell: wire.CellUp{Type: 1, Epoch: 4, Sequence: uint64(i), Sealed: make([]byte, 40)}}).Append(out)
	}
	out = (&wire.Detach{Session: 3}).Append(out)
	go c.Write(out)
	limits := wire.ToGateway(s.n.g)
	attached, refused := 0, 0
	for attached+refused < 3010 {
		typ, payload, err := r.ReadFrame(limits)
		must(t, err)
		switch typ {
		case wire.TypeFrontAttached:
			var m wire.FrontAttached
			must(t, m.Parse(payload))
			if m.Session != uint32(attached) || m.Attached.Generation != 5 || m.Attached.Salt != s.n.boot || refused > 0 {
				t.Fatalf("attached %+v", m)
			}
			attached++
		case wire.TypeFrontRefused:
			var m wire.FrontRefused
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

func TestCellsReachTheirGateways(t *testing.T) {
	s := startSingle(t, nil)
	limits := wire.ToGateway(s.n.g)
	var readers [2]*wire.Reader
	for i := range 2 {
		c, r := s.connect(wire.ServiceGateway)
		_, err := c.Write((&wire.FrontAttach{Session: 7, Role: 2, Client: uint32(i)}).Append(nil))
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
			var m wire.FrontCellDown
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
	_, err := deaf.Write((&wire.FrontAttach{Session: 1, Role: 1}).Append(nil))
	must(t, err)
	eventually(t, "attached", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 1 })
		return ok
	})
	c, r := s.connect(wire.ServiceGateway)
	_, err = c.Write((&wire.FrontAttach{Session: 1, Role: 1}).Append(nil))
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
		_, err := c.Write((&wire.FrontAttach{Session: 1, Role: 1}).Append(nil))
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
		if typ == wire.TypeFrontCellDown {
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
			out = (&wire.FrontCellUp{Session: 1, Cell: wire.CellUp{Type: 1, Sequence: uint64(i), Sealed: make([]byte, 100)}}).Append(out)
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

func TestCoordinator(t *testing.T) {
	s := startSingle(t, nil)
	c, r := s.connect(wire.ServiceCoordinator)
	limits := wire.ToCoordinator(s.n.g)
	next := func() (m wire.Status) {
		t.Helper()
		_, payload, err := r.ReadFrame(limits)
		must(t, err)
		must(t, m.Parse(payload))
		return m
	}
	if m := next(); m.Committed != 0 || len(m.Users) != len(s.fake.status.Users) {
		t.Fatalf("first status %+v", m)
	}
	roster := wire.NewRoster(64)
	roster.Set(1, 5, true)
	_, err := c.Write((&wire.Propose{Epoch: 1, Attempt: 2, Roster: *roster}).Append(nil))
	must(t, err)
	if m := next(); m.Attempt != 2 {
		t.Fatalf("after the proposal: %+v", m)
	}
	// The epoch becomes final, with cells for a gateway.
	g, _ := s.connect(wire.ServiceGateway)
	_, err = g.Write((&wire.FrontAttach{Session: 1, Role: 2}).Append(nil))
	must(t, err)
	eventually(t, "attached", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 1 })
		return ok
	})
	time.Sleep(20 * time.Millisecond)
	s.fake.get(func() {
		s.fake.status.Committed, s.fake.status.Offered, s.fake.status.Attempt = 1, 1, 0
		s.fake.ready = append(s.fake.ready, epoch.Ready{Cells: []epoch.ClientCells{
			cellsFor(1, epoch.ClientCells{Type: 4, Attempt: 2, Epoch: 1, Width: 16}, 1),
		}})
	})
	m := next()
	for m.Newest.Epoch != 1 {
		m = next()
	}
	if n := m.Newest; n.Attempt != 2 || n.DeliveredNanos < uint64(20*time.Millisecond) || n.RoutingNanos == 0 ||
		n.DeliveredNanos < n.RoutingNanos || n.CPUNanosTotal < n.CPUNanosRouting {
		t.Errorf("report %+v", n)
	}
	// The machine stops.
	s.fake.offer(epoch.Ready{Stopped: errors.New("two outcomes for one epoch")})
	for {
		typ, payload, err := r.ReadFrame(limits)
		must(t, err)
		if typ == wire.TypeStopped {
			if !strings.Contains(string(payload), "two outcomes") {
				t.Errorf("stopped: %q", payload)
			}
			break
		}
	}
	if err := s.stop(); !errors.Is(err, ErrStopped) {
		t.Errorf("Run returned %v", err)
	}
	if !s.log.has("stops for good", "two outcomes") {
		t.Error("the log does not say why")
	}
}

// register is a client's side of a registration.
func register(t *testing.T, s *single, change func(request []byte)) ([]byte, error) {
	t.Helper()
	raw, _ := s.connect(wire.ServiceRegistration)
	return registerOn(t, s, raw, change)
}

func registerOn(t *testing.T, s *single, raw net.Conn, change func(request []byte)) ([]byte, error) {
	t.Helper()
	c, err := atls.Client(t.Context(), raw, &atls.Config{
		Manifest: s.d.signed, Verifiers: simulated.Verifiers(), Now: time.Now, Rand: rand.Reader, RequirePeer: atls.Member,
	})
	must(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	exporter, err := c.Exporter("teems registration", 32)
	must(t, err)
	b := append([]byte{1, 0, 1, 0}, public...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, ed25519.Sign(private, append(exporter, b...))...)
	if change != nil {
		change(b)
	}
	_, err = c.Write(b)
	must(t, err)
	answer := make([]byte, 52)
	_, err = io.ReadFull(c, answer)
	hash := keys.Hash(public)
	if err == nil && change == nil && !bytes.Equal(answer[20:], hash[:]) {
		t.Errorf("the machine was told another key hash: %x", answer)
	}
	return answer, err
}

func TestRegistration(t *testing.T) {
	s := startSingle(t, nil)
	answer, err := register(t, s, nil)
	must(t, err)
	le := binary.LittleEndian
	if le.Uint16(answer) != 0 || le.Uint32(answer[4:]) != 77 || le.Uint32(answer[8:]) != 1 || le.Uint64(answer[12:]) != 9 {
		t.Errorf("answer %x", answer)
	}
	for name, change := range map[string]func([]byte){
		"signature": func(b []byte) { b[len(b)-1] ^= 1 },
		"key":       func(b []byte) { b[4] ^= 1 },
		"version":   func(b []byte) { b[0] = 2 },
		"kind":      func(b []byte) { b[2] = 3 },
		"reserved":  func(b []byte) { b[3] = 1 },
		"id of new": func(b []byte) { b[36] = 1 },
	} {
		answer, err := register(t, s, change)
		must(t, err)
		if le.Uint16(answer) != uint16(epoch.RegistrationBad) || !bytes.Equal(answer[2:], make([]byte, 50)) {
			t.Errorf("wrong %s: answer %x", name, answer)
		}
	}
	s.fake.get(func() {
		if len(s.fake.asked) != 1 {
			t.Errorf("the machine was asked %d times", len(s.fake.asked))
		}
	})
}

// TestRegistrationsThatStall: clients that say nothing, or leave while they
// wait, leave nothing behind: their registrations are withdrawn.
func TestRegistrationsThatStall(t *testing.T) {
	var alarms alarms
	s := startSingle(t, func(c *Config) { c.AfterFunc = alarms.after })
	s.fake.get(func() {
		s.fake.onCall = func(f *fake, what string) {
			if what == "register" {
				f.ready = f.ready[:len(f.ready)-1] // never answered
			}
		}
	})
	const silent = 20
	for range silent {
		s.connect(wire.ServiceRegistration)
	}
	rung := 0
	eventually(t, "all silent ones have their time", func() bool {
		rung += alarms.ring(registrationTime)
		return rung == silent
	})
	eventually(t, "silent ones are closed", func() bool { return s.log.has("TLS handshake failed") })
	alarms.over(commitTime)
	if _, err := register(t, s, nil); err == nil {
		t.Error("it got an answer without a commit")
	}
	alarms.over(0)
	eventually(t, "those that wait too long are closed", func() bool { return s.log.has("no epoch was committed") })
	withdrawn := func(want ...uint64) {
		t.Helper()
		eventually(t, "withdrawn", func() (ok bool) {
			s.fake.get(func() { ok = slices.Equal(s.fake.withdrew, want) })
			return ok
		})
	}
	withdrawn(1)
	raw, _ := s.connect(wire.ServiceRegistration)
	s.fake.get(func() {
		silent := s.fake.onCall
		s.fake.onCall = func(f *fake, what string) {
			silent(f, what)
			if what == "register" {
				raw.Close()
			}
		}
	})
	if _, err := registerOn(t, s, raw, nil); err == nil {
		t.Error("it got an answer after it left")
	}
	withdrawn(1, 2)
	eventually(t, "said", func() bool { return s.log.has("the client left") })
	// An answer to a ticket that nobody has changes nothing.
	s.fake.offer(epoch.Ready{Registered: []epoch.Registered{{Ticket: 2}}})
	s.fake.get(func() { s.fake.onCall = nil })
	_, err := register(t, s, nil)
	must(t, err)
	withdrawn(1, 2)
}
