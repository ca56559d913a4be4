package mesh

import (
	"context"
	"net"
	"testing"

	"github.com/teems-go/teems/internal/wire"
)

// BenchmarkLoopback sends megabyte frames of records over a loopback socket:
// both ends' TLS on this machine.
func BenchmarkLoopback(b *testing.B) {
	d := deploy(b, 2)
	var e [2]events
	var tcp [2]net.Listener
	var m [2]*Mesh
	var cfg [2]Config
	for i := range 2 {
		var err error
		tcp[i], err = net.Listen("tcp", "127.0.0.1:0")
		must(b, err)
	}
	for i := range 2 {
		cfg[i] = d.config(b, i, byte(i+1), &e[i])
		cfg[i].Listener = tcp[i]
		cfg[i].Dial = func(ctx context.Context, s int) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", tcp[s].Addr().String())
		}
	}
	done := make(chan bool, 1000)
	cfg[1].Handler = sink{&e[1], done}
	for i := range 2 {
		var stop func()
		m[i], stop = start(b, cfg[i])
		defer stop()
	}
	eventually(b, "linked", func() bool { return e[0].ups() == 1 && e[1].ups() == 1 })
	rows := cfg[0].Limits.Bytes / cfg[0].Limits.RowBytes
	body := make([]byte, rows*cfg[0].Limits.RowBytes)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		m[0].Send(1, wire.PeerHeader{Kind: wire.KindDeal, Rows: uint32(rows)}, [][]byte{body[:16*rows], body[16*rows:]}, nil)
		<-done
	}
}

type sink struct {
	*events
	done chan bool
}

func (s sink) Frame(_ int, _ wire.PeerHeader, _ []byte, release func()) {
	release()
	s.done <- true
}
