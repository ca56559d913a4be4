package coordinator

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/wire"
)

// listener accepts connections until the test ends, and hands each to serve.
func listener(t *testing.T, serve func(net.Conn, *wire.Reader, wire.Preamble)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				in := wire.NewReader(conn, 100)
				if p, err := in.Preamble(); err == nil {
					serve(conn, in, p)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// fronts are servers that commit what all of them were proposed.
type fronts struct {
	t *testing.T
	g *geometry.Geometry

	mu        sync.Mutex
	conns     []net.Conn // guarded by mu, like what follows
	proposed  []wire.Propose
	committed uint64
	lazy      bool // nothing is committed
}

func (f *fronts) serve(s int) func(net.Conn, *wire.Reader, wire.Preamble) {
	return func(conn net.Conn, in *wire.Reader, p wire.Preamble) {
		if p.Service != wire.ServiceCoordinator {
			f.t.Errorf("preamble: %+v", p)
		}
		f.mu.Lock()
		f.conns[s], f.proposed[s] = conn, wire.Propose{}
		f.tell(s)
		f.mu.Unlock()
		for {
			_, payload, err := in.ReadFrame(wire.FromCoordinator(f.g))
			if err != nil {
				return
			}
			var m wire.Propose
			if err := m.Parse(payload); err != nil {
				f.t.Error(err)
			}
			f.mu.Lock()
			f.proposed[s] = wire.Propose{Epoch: m.Epoch, Attempt: m.Attempt}
			f.commit()
			f.mu.Unlock()
		}
	}
}

func (f *fronts) commit() {
	first := f.proposed[0]
	for _, p := range f.proposed {
		if f.lazy || p.Epoch != f.committed+1 || p.Attempt != first.Attempt {
			return
		}
	}
	f.committed++
	for s := range f.conns {
		f.tell(s)
	}
}

func (f *fronts) tell(s int) {
	m := wire.Status{Committed: f.committed, Offered: f.committed, Open: f.committed + 1, Peers: uint16(len(f.conns) - 1), Users: []uint32{5, 5},
		Newest: wire.EpochReport{Epoch: f.committed}, Submissions: 2, Controls: 2}
	f.conns[s].Write(m.Append(nil))
}

func TestRunner(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
	})
	g := testGeometry(t, 2, 100, 4)
	f := &fronts{t: t, g: g, conns: make([]net.Conn, 2), proposed: make([]wire.Propose, 2)}
	cfg := RunnerConfig{Machine: Config{Geometry: g, RestartDelay: 10 * time.Millisecond,
		StartWhen: func(in, out int) bool { return in == 2 && out == 2 }}}
	for s := range 2 {
		cfg.Servers = append(cfg.Servers, listener(t, f.serve(s)))
	}
	for id := range uint32(2) {
		cfg.Gateways = append(cfg.Gateways, listener(t, func(conn net.Conn, in *wire.Reader, p wire.Preamble) {
			if p.Service != wire.ServiceConnections {
				t.Errorf("preamble: %+v", p)
			}
			conn.Write((&wire.Connections{Changes: both(true, id)}).Append(nil))
			conn.Read(make([]byte, 1))
		}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var events []Event // guarded by mu
	cfg.OnEvent = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	r, err := NewRunner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	until := func(what string, ok func(Event) bool) {
		t.Helper()
		for range 500 {
			mu.Lock()
			for len(events) > 0 {
				e := events[0]
				events = events[1:]
				if ok(e) {
					mu.Unlock()
					return
				}
			}
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("never: %s", what)
	}
	until("epoch 1 with both clients", func(e Event) bool {
		return e.Kind == EpochStarted && e.Epoch == 1 && e.Ingestion == 2 && e.Storage == 2
	})
	until("epoch 5 is done", func(e Event) bool { return e.Kind == EpochDone && e.Epoch >= 5 && len(e.Reports) == 2 })
	// A link is lost during an attempt.
	f.mu.Lock()
	f.lazy = true
	f.mu.Unlock()
	until("a second attempt", func(e Event) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if e.Kind == AttemptStarted && e.Epoch == f.committed+1 && e.Attempt == 1 {
			f.conns[1].Close()
		}
		return e.Kind == AttemptStarted && e.Attempt == 2 && e.Reason != ""
	})
	f.mu.Lock()
	f.lazy = false
	f.commit()
	committed := f.committed
	f.mu.Unlock()
	until("it goes on", func(e Event) bool { return e.Kind == EpochCommitted && e.Epoch > committed })
	// A server stops for good.
	f.mu.Lock()
	f.conns[0].Write((&wire.Stopped{Reason: "disk full"}).Append(nil))
	f.mu.Unlock()
	until("stopped", func(e Event) bool { return e.Kind == Stopped && e.Server == 0 && e.Reason == "disk full" })
	cancel()
	<-done
}

// Nobody there, and talking nonsense: it goes on dialling and ends when told.
func TestRunnerAlone(t *testing.T) {
	g := testGeometry(t, 2, 100, 4)
	nonsense := listener(t, func(conn net.Conn, _ *wire.Reader, _ wire.Preamble) {
		conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	})
	r, err := NewRunner(RunnerConfig{Machine: Config{Geometry: g}, Servers: []string{"127.0.0.1:1", nonsense}, Gateways: []string{nonsense, "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	r.Run(ctx)
	if _, err := NewRunner(RunnerConfig{Machine: Config{Geometry: g}, Servers: []string{"one"}}); err == nil {
		t.Error("one address for two servers was taken")
	}
}
