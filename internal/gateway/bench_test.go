//go:build unix

package gateway

import (
	"context"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// BenchmarkEpoch carries a joint cell up and one down for each of 2,000
// connections, over TCP. The figures hold the
// CPU time and the allocations of both ends too; client is one goroutine that
// only writes and reads, so most of what is allocated is the gateway's.
func BenchmarkEpoch(b *testing.B) {
	const clients = 2000
	g, err := geometry.New(geometry.Params{
		Capacity: 4096, CellBytes: 256, Servers: []geometry.Server{{Roles: geometry.AllRoles, Weight: 1}},
		ID: geometry.IDChannel{Out: 1, Contact: 1, Open: true}, Token: geometry.TokenChannel{Out: 1, In: 1},
	})
	if err != nil {
		b.Fatal(err)
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer front.Close()
	gw, err := New(Config{Geometry: g, Fronts: []string{front.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- gw.Serve(ctx, ln) }()
	link, err := front.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	in := wire.NewReader(link, 1<<18)
	if _, err := in.Preamble(); err != nil {
		b.Fatal(err)
	}
	// The server's side: attach all, then an epoch at a time.
	conns := make([]net.Conn, clients)
	limits := wire.FromGateway(g)
	var answer []byte
	for id := range conns {
		if conns[id], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer conns[id].Close()
		m := wire.Attach{Client: uint32(id)}
		conns[id].Write(m.Append(wire.Preamble{Service: wire.ServiceCells, Role: joint}.Append(nil)))
		_, payload, err := in.ReadFrame(limits)
		var f wire.GatewayAttach
		if err != nil || f.Parse(payload) != nil {
			b.Fatal(err)
		}
		down := wire.GatewayCellDown{Session: f.Session, Cell: wire.CellDown{Type: cell.DownType(joint), Sealed: make([]byte, geometry.Sealed(g.JointDeliveryBytes()))}}
		answer = down.Append(answer)
	}
	each := len(answer)/clients - sessionBytes
	up := (&wire.CellUp{Type: cell.UpType(joint), Sealed: make([]byte, geometry.Sealed(g.JointSubmissionBytes()))}).Append(nil)
	back := make([]byte, each)
	cpu := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		for _, conn := range conns {
			conn.Write(up)
		}
		for range conns {
			if _, _, err := in.ReadFrame(limits); err != nil {
				b.Fatal(err)
			}
		}
		link.Write(answer)
		for _, conn := range conns {
			if _, err := io.ReadFull(conn, back); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	n := float64(b.N * clients)
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/n, "cpu-ns/client")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.StackInuse+m.HeapInuse)/clients, "bytes/client")
	if c := gw.Counters(); c.Slow+c.Floods+c.Malformed != 0 {
		b.Errorf("counters: %+v", c)
	} else {
		b.ReportMetric(float64(c.CellsUp)/float64(c.WritesUp), "cells/write")
	}
	cancel()
	<-done
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
