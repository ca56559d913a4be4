package coordinator

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// RunnerConfig is what a Runner needs to know.
type RunnerConfig struct {
	Machine  Config
	Servers  []string // front addresses, by the server's number in the geometry
	Gateways []string // addresses

	// Dial connects to an address. nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Clock is what it reads the time from and waits with. nil: the system's.
	Clock Clock
	// OnEvent is called with every event, one after the other; the runner waits
	// for it. nil: nobody.
	OnEvent func(Event)
}

// Clock is a source of time.
type Clock interface {
	// Now returns the time since some fixed moment. It never falls.
	Now() time.Duration
	// Timer returns a channel on which something is sent, or which is closed,
	// after d, unless stop is called before.
	Timer(d time.Duration) (fired <-chan time.Time, stop func())
}

type systemClock struct{ start time.Time }

func (c systemClock) Now() time.Duration { return time.Since(c.start) }

func (c systemClock) Timer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Bounds of what a Runner waits for.
const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 20 * time.Second
	backoffMin   = 20 * time.Millisecond
	backoffMax   = 2 * time.Second
	maxGateways  = 255 // clients counts the gateways of a client in a byte
)

// Runner connects a Machine to servers and gateways, and dials them again when
// a connection ends.
type Runner struct {
	cfg     RunnerConfig
	machine *Machine
	inputs  chan func(*Machine)
	out     []*outbox
	wg      sync.WaitGroup
}

// NewRunner checks the configuration. Errors are of kind ErrConfig.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	m, err := New(cfg.Machine)
	if err != nil {
		return nil, err
	}
	if n := cfg.Machine.Geometry.Servers(); len(cfg.Servers) != n {
		return nil, fmt.Errorf("%w: %d server addresses for %d servers", ErrConfig, len(cfg.Servers), n)
	}
	if len(cfg.Gateways) > maxGateways {
		return nil, fmt.Errorf("%w: %d gateways: use at most %d", ErrConfig, len(cfg.Gateways), maxGateways)
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{time.Now()}
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	r := &Runner{cfg: cfg, machine: m, inputs: make(chan func(*Machine), 64)}
	for range cfg.Servers {
		r.out = append(r.out, &outbox{wake: make(chan struct{}, 1)})
	}
	return r, nil
}

// Run runs until ctx is done, and leaves nothing behind. It is called once. It
// prints nothing: what it has to say is in the events.
func (r *Runner) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	for s, address := range r.cfg.Servers {
		r.wg.Go(func() {
			r.keep(ctx, address, wire.ServiceCoordinator, func(conn net.Conn) bool { return r.server(ctx, s, conn) })
		})
	}
	for g, address := range r.cfg.Gateways {
		r.wg.Go(func() {
			r.keep(ctx, address, wire.ServiceConnections, func(conn net.Conn) bool { return r.gateway(ctx, g, conn) })
		})
	}
	r.loop(ctx)
	cancel()
	r.wg.Wait()
}

// loop feeds the machine.
func (r *Runner) loop(ctx context.Context) {
	for {
		out := r.machine.Tick(r.cfg.Clock.Now())
		if out.Propose != nil {
			frame := out.Propose.Append(nil)
			for _, o := range r.out {
				o.put(frame)
			}
		}
		for _, e := range out.Events {
			r.cfg.OnEvent(e)
		}
		if !r.wait(ctx) {
			return
		}
	}
}

// wait returns when the machine has input or is to be asked again; false if ctx
// is done.
func (r *Runner) wait(ctx context.Context) bool {
	var fired <-chan time.Time
	if next, ok := r.machine.Next(); ok {
		var stop func()
		fired, stop = r.cfg.Clock.Timer(max(0, next-r.cfg.Clock.Now()))
		defer stop()
	}
	select {
	case <-ctx.Done():
		return false
	case <-fired:
		return true
	case input := <-r.inputs:
		input(r.machine)
	}
	for range cap(r.inputs) {
		select {
		case input := <-r.inputs:
			input(r.machine)
		default:
			return true
		}
	}
	return true
}

func (r *Runner) input(ctx context.Context, f func(*Machine)) {
	select {
	case r.inputs <- f:
	case <-ctx.Done():
	}
}

// keep has a connection to an address all the time, with one use after the
// other. A use returns whether the other side spoke the protocol.
func (r *Runner) keep(ctx context.Context, address string, service wire.Service, use func(net.Conn) bool) {
	backoff := backoffMin
	for ctx.Err() == nil {
		if conn, err := r.dial(ctx, address, service); err == nil {
			closed := make(chan struct{})
			stop := context.AfterFunc(ctx, func() { conn.Close(); close(closed) })
			if use(conn) {
				backoff = backoffMin
			}
			if !stop() {
				<-closed
			}
			conn.Close()
		}
		fired, stop := r.cfg.Clock.Timer(backoff)
		select {
		case <-fired:
		case <-ctx.Done():
		}
		stop()
		backoff = min(2*backoff, backoffMax)
	}
}

func (r *Runner) dial(ctx context.Context, address string, service wire.Service) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := r.cfg.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	conn.SetWriteDeadline(time.Now().Add(dialTimeout))
	if _, err = conn.Write(wire.Preamble{Service: service}.Append(nil)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// server speaks with a server until the connection ends.
func (r *Runner) server(ctx context.Context, s int, conn net.Conn) (spoke bool) {
	out := r.out[s]
	out.drop()
	r.input(ctx, func(m *Machine) { m.ServerUp(s) })
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { out.write(conn, done) })
	defer func() {
		close(done)
		conn.Close()
		writer.Wait()
		r.input(ctx, func(m *Machine) { m.ServerDown(s) })
	}()
	limits, in := wire.ToCoordinator(r.cfg.Machine.Geometry), wire.NewReader(conn, 4096)
	for {
		typ, payload, err := in.ReadFrame(limits)
		if err != nil {
			return spoke
		}
		switch typ {
		case wire.TypeStatus:
			status := new(wire.Status)
			if status.Parse(payload) != nil {
				return spoke
			}
			r.input(ctx, func(m *Machine) { m.Status(s, status) })
		case wire.TypeStopped:
			var stopped wire.Stopped
			if stopped.Parse(payload) != nil {
				return spoke
			}
			r.input(ctx, func(m *Machine) { m.Stopped(s, stopped.Reason) })
		}
		spoke = true
	}
}

// gateway listens to a gateway until the connection ends.
func (r *Runner) gateway(ctx context.Context, g int, conn net.Conn) (spoke bool) {
	defer r.input(ctx, func(m *Machine) { m.GatewayDown(g) })
	limits, in := wire.GatewayToCoordinator(), wire.NewReader(conn, 4096)
	for {
		_, payload, err := in.ReadFrame(limits)
		if err != nil {
			return spoke
		}
		var c wire.Connections
		if c.Parse(payload) != nil {
			return spoke
		}
		r.input(ctx, func(m *Machine) { m.Connections(g, c.Changes) })
		spoke = true
	}
}

// outbox holds the newest proposal for one server.
type outbox struct {
	mu    sync.Mutex
	frame []byte // guarded by mu; nil: nothing to send
	wake  chan struct{}
}

func (o *outbox) put(frame []byte) {
	o.mu.Lock()
	o.frame = frame
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	frame := o.frame
	o.frame = nil
	return frame
}

func (o *outbox) drop() { o.take() }

// write sends proposals until done is closed or the connection fails, which it
// then closes.
func (o *outbox) write(conn net.Conn, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-o.wake:
		}
		frame := o.take()
		if frame == nil {
			continue
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := conn.Write(frame); err != nil {
			conn.Close()
			return
		}
	}
}
