package mesh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

// listener is an in-memory listener, so that synctest's clock rules everything.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, fmt.Errorf("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// events records what a handler is told.
type events struct {
	mu     sync.Mutex
	up     map[int][16]byte
	downs  int
	frames []string
	log    []string
	onUp   func(peer int)
}

func (e *events) PeerUp(peer int, boot [16]byte) {
	e.mu.Lock()
	if e.up == nil {
		e.up = map[int][16]byte{}
	}
	if _, twice := e.up[peer]; twice {
		panic("PeerUp twice")
	}
	e.up[peer] = boot
	e.mu.Unlock()
	if e.onUp != nil {
		e.onUp(peer)
	}
}

func (e *events) PeerDown(peer int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.up[peer]; !ok {
		panic("PeerDown without PeerUp")
	}
	delete(e.up, peer)
	e.downs++
}

func (e *events) Frame(peer int, h wire.PeerHeader, payload []byte, release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames = append(e.frames, fmt.Sprintf("%d:%d:%d:%d:%x", peer, h.Kind, h.Epoch, len(payload), sum(payload)))
	release()
}

func (e *events) Log(line string) {
	e.mu.Lock()
	e.log = append(e.log, line)
	e.mu.Unlock()
}

func (e *events) ups() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.up)
}

func (e *events) logged(parts ...string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.log {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

func sum(b []byte) (s uint32) {
	for _, x := range b {
		s = s*31 + uint32(x)
	}
	return s
}

var measurement = [32]byte{1, 2, 3}

// deployment is manifests 1 and 2 of n servers, and the cluster's key.
type deployment struct {
	signed *manifest.Signed
	key    ed25519.PrivateKey
	mu     sync.Mutex // guards what listen holds
	listen []*listener
}

func (d *deployment) listener(s int) *listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.listen[s]
}

func (d *deployment) restart(s int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listen[s] = newListener()
}

func deploy(t testing.TB, n int) *deployment {
	t.Helper()
	operator, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	first, err := manifest.NewDefault(manifest.Options{
		Servers:    manifest.LocalServers(n, "127.0.0.1", 7000, 1),
		Parameters: manifest.DefaultParameters(64),
		Operators:  []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)},
		Policy:     simulated.Policy(measurement),
	})
	must(t, err)
	must(t, first.Sign(operator))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	second, err := first.Successor()
	must(t, err)
	second.Manifest.ClusterKey = manifest.Hex(key.Public().(ed25519.PublicKey))
	must(t, second.Sign(operator))
	d := &deployment{signed: second, key: key}
	for range n {
		d.listen = append(d.listen, newListener())
	}
	return d
}

func (d *deployment) identity(self int, boot byte) atls.Config {
	return atls.Config{
		Manifest:  d.signed,
		Verifiers: simulated.Verifiers(),
		Now:       time.Now,
		Rand:      rand.Reader,
		Identity: &atls.Identity{
			Issuer: simulated.NewIssuer(measurement), Server: self, Boot: [16]byte{boot}, Cluster: d.key,
		},
	}
}

func (d *deployment) config(t testing.TB, self int, boot byte, e *events) Config {
	g, err := d.signed.Manifest.Geometry()
	must(t, err)
	return Config{
		Self: self, Servers: len(d.listen), Limits: wire.PeerLimitsOf(g),
		Attester: Attested(d.identity(self, boot)),
		Listener: d.listener(self),
		Dial:     func(ctx context.Context, s int) (net.Conn, error) { return d.listener(s).dial(ctx) },
		Handler:  e, Secret: func() []byte { return []byte("the secret of the cluster") }, Log: e.Log,
	}
}

// start runs a mesh; stop ends it and waits.
func start(t testing.TB, cfg Config) (m *Mesh, stop func()) {
	t.Helper()
	m, err := New(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition, on synctest's clock.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never came true: " + what)
}

func TestTripleExchangesFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 3)
		var e [3]events
		var m [3]*Mesh
		for i := range 3 {
			var stop func()
			m[i], stop = start(t, d.config(t, i, byte(i+1), &e[i]))
			defer stop()
		}
		for i := range 3 {
			eventually(t, "all linked", func() bool { return e[i].ups() == 2 })
		}
		if e[2].up[0] != [16]byte{1} {
			t.Errorf("server 2 knows server 0 by boot %x", e[2].up[0])
		}
		limits := d.config(t, 0, 1, &e[0]).Limits
		body := bytes.Repeat([]byte{7, 9}, 500*limits.RowBytes/2)
		var want []string
		sent := make(chan int, 100)
		for i := range 20 {
			parts := [][]byte{body[:16*500], body[16*500:]}
			h := wire.PeerHeader{Kind: wire.KindDeal, Epoch: uint64(i), Rows: 500}
			if i%2 == 1 {
				parts, h.Kind, h.Rows = [][]byte{make([]byte, 16)}, wire.KindPrepared, 0
			}
			n := 0
			var all []byte
			for _, p := range parts {
				n += len(p)
				all = append(all, p...)
			}
			want = append(want, fmt.Sprintf("0:%d:%d:%d:%x", h.Kind, i, n, sum(all)))
			m[0].Send(1, h, parts, func() { sent <- i })
		}
		eventually(t, "frames arrive", func() bool {
			e[1].mu.Lock()
			defer e[1].mu.Unlock()
			return len(e[1].frames) == 20
		})
		if got := fmt.Sprint(e[1].frames); got != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		for i := range 20 {
			if j := <-sent; j != i {
				t.Errorf("sent %d when %d was due", j, i)
			}
		}
		if out, _ := m[0].Traffic(1); out < uint64(10*len(body)) {
			t.Errorf("traffic of %d bytes, sent %d", out, 10*len(body))
		}
	})
}

func TestReconnectAndOldBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 2)
		var e [2]events
		m, stop0 := start(t, d.config(t, 0, 1, &e[0]))
		defer stop0()
		_, stop1 := start(t, d.config(t, 1, 2, &e[1]))
		eventually(t, "linked", func() bool { return e[0].ups() == 1 && e[1].ups() == 1 })
		stop1()
		eventually(t, "down", func() bool { return e[0].ups() == 0 })
		dropped := false
		m.Send(1, wire.PeerHeader{Kind: wire.KindPrepared}, [][]byte{make([]byte, 16)}, func() { dropped = true })
		if !dropped {
			t.Error("a frame for a peer that is down was not dropped at once")
		}
		d.restart(1)
		_, stop1 = start(t, d.config(t, 1, 3, &e[1]))
		eventually(t, "linked again", func() bool { return e[0].ups() == 1 })
		stop1()
		d.restart(1)
		_, stop1 = start(t, d.config(t, 1, 2, &e[1]))
		defer stop1()
		eventually(t, "old boot refused", func() bool { return e[0].logged("server 1", "boot ID") })
		time.Sleep(5 * time.Second)
		if e[0].ups() != 0 {
			t.Error("an old boot was linked")
		}
	})
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, d *deployment, a *atls.Config)
		says   string
	}{
		"wrong measurement": {func(t *testing.T, d *deployment, a *atls.Config) {
			a.Identity.Issuer = simulated.NewIssuer([32]byte{9})
		}, "measurement"},
		"not genuine": {func(t *testing.T, d *deployment, a *atls.Config) {
			a.Identity.Issuer = simulated.NewTestRoot([32]byte{5}).Issuer(measurement)
		}, "not genuine"},
		"other manifest": {func(t *testing.T, d *deployment, a *atls.Config) {
			other := deploy(t, 3)
			a.Manifest, a.Identity.Cluster = other.signed, other.key
		}, "another manifest"},
		"other server": {func(t *testing.T, d *deployment, a *atls.Config) {
			a.Identity.Server = 0
		}, "server index"},
		"another server's address": {func(t *testing.T, d *deployment, a *atls.Config) {
			a.Identity.Server = 2
		}, "server 2 answered"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deploy(t, 3)
				var e [2]events
				_, stop := start(t, d.config(t, 0, 1, &e[0]))
				defer stop()
				bad := d.identity(1, 2)
				c.change(t, d, &bad)
				cfg := d.config(t, 1, 2, &e[1])
				cfg.Attester = Attested(bad)
				_, stop1 := start(t, cfg)
				defer stop1()
				eventually(t, "refusal logged", func() bool { return e[0].logged("server 1", c.says) })
				if e[0].ups() != 0 {
					t.Error("it was linked")
				}
			})
		})
	}
}
