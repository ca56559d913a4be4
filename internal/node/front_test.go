package node

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
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
	// The epoch becomes final by its first attempt, with cells for a gateway.
	g, _ := s.connect(wire.ServiceGateway)
	_, err = g.Write((&wire.GatewayAttach{Session: 1, Role: cell.RoleJoint}).Append(nil))
	must(t, err)
	eventually(t, "attached", func() (ok bool) {
		s.fake.get(func() { ok = len(s.fake.attached) == 1 })
		return ok
	})
	time.Sleep(20 * time.Millisecond)
	s.fake.get(func() {
		s.fake.status.Committed, s.fake.status.Offered, s.fake.status.Attempt = 1, 1, 0
		s.fake.ready = append(s.fake.ready, epoch.Ready{Cells: []epoch.ClientCells{
			cellsFor(1, epoch.ClientCells{Type: cell.TypeJointDelivery, Attempt: 1, Epoch: 1, Width: 16}, 1),
		}})
	})
	m := next()
	for m.Newest.Epoch != 1 {
		m = next()
	}
	if m.Committed != 1 || m.Offered != 1 {
		t.Errorf("status %+v", m)
	}
	if n := m.Newest; n.Attempt != 1 || n.DeliveredNanos < uint64(20*time.Millisecond) || n.RoutingNanos == 0 ||
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
