package load

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// TestRelay: a relay makes a client's connections, carries frames both ways as
// they are, tells when a connection is lost, and ends with the simulator.
func TestRelay(t *testing.T) {
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := own.Addr().String()
	own.Close()
	f := newFake(t, separate, 2, Config{First: fakeFirst, Last: fakeFirst}, io.Discard)
	cfg := &Config{Relay: address, Gateways: []string{gateway.Addr().String()}}
	ended := make(chan error, 1)
	go func() { ended <- relayFor(t.Context(), cfg, f.s.g) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	link, err := dialStarting(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	in := wire.NewReader(link, 4096)
	next := func() (wire.Type, []byte) {
		t.Helper()
		typ, payload, err := in.ReadFrame(wire.ToGateway(f.s.g))
		if err != nil {
			t.Fatal(err)
		}
		return typ, payload
	}
	send := func(b []byte) {
		t.Helper()
		if _, err := link.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(wire.Preamble{Service: wire.ServiceGateway}.Append(nil))

	send((&wire.GatewayAttach{Session: 3, Role: 2, Client: 1, Salt: [16]byte{7}, Proof: [16]byte{8}}).Append(nil))
	conn, err := gateway.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client := wire.NewReader(conn, 4096)
	if p, err := client.Preamble(); err != nil || p.Service != wire.ServiceCells || p.Role != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	_, payload, err := client.ReadFrame(wire.FromClient(f.s.g))
	if want := (&wire.Attach{Client: 1, Salt: [16]byte{7}, Proof: [16]byte{8}}).Append(nil); err != nil || !bytes.Equal(payload, want[wire.HeaderBytes:]) {
		t.Fatalf("%x, %v", payload, err)
	}
	attached := (&wire.Attached{Server: 2, Salt: [16]byte{9}}).Append(nil)
	conn.Write(attached[:7]) // in pieces, two of them with the end of one frame and the beginning of another
	time.Sleep(10 * time.Millisecond)
	conn.Write(slices.Concat(attached[7:], attached[:9]))
	conn.Write(attached[9:])
	next()
	typ, payload := next()
	if session, rest, err := wire.SplitSession(payload); err != nil || typ != wire.TypeGatewayAttached || session != 3 || !bytes.Equal(rest, attached[wire.HeaderBytes:]) {
		t.Fatalf("type %d, %x", typ, payload)
	}
	up := wire.CellUp{Type: cell.TypeControl, Epoch: 4, Sequence: 5, Sealed: make([]byte, 16+f.s.g.ControlBytes())}
	send((&wire.GatewayCellUp{Session: 3, Cell: up}).Append(nil))
	_, payload, err = client.ReadFrame(wire.FromClient(f.s.g))
	if err != nil || !bytes.Equal(payload, up.Append(nil)[wire.HeaderBytes:]) {
		t.Fatalf("%d bytes, %v", len(payload), err)
	}
	conn.Close()
	if typ, payload := next(); typ != wire.TypeStopped || !bytes.Contains(payload, []byte("client 1")) {
		t.Errorf("type %d, %q", typ, payload)
	}
	link.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the relay goes on without the simulator")
	}
}
