package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

// fake is a machine that records what it is told and offers what it is given.
type fake struct {
	mu       sync.Mutex
	calls    []string
	cells    int
	attached map[uint64]uint32
	asked    []epoch.Registration
	withdrew []uint64 // tickets
	ready    []epoch.Ready
	status   epoch.Status
	slow     time.Duration // for each batch
	cfg      epoch.Config  // that it was made with
	onCall   func(f *fake, what string)
}

func (f *fake) called(what string) {
	f.calls = append(f.calls, what)
	if f.onCall != nil {
		f.onCall(f, what)
	}
}

func (f *fake) do(what string, g func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g()
	f.called(what)
}

func (f *fake) PeerUp(int, [16]byte)            { f.do("up", func() { f.status.Peers++ }) }
func (f *fake) PeerDown(int)                    { f.do("down", func() { f.status.Peers-- }) }
func (f *fake) Frame(int, epoch.Header, []byte) { f.do("frame", func() {}) }
func (f *fake) Tick()                           { f.do("tick", func() {}) }
func (f *fake) Propose(e uint64, a uint16, r epoch.Roster) error {
	f.do("propose", func() { f.status.Attempt = a })
	return nil
}

func (f *fake) Attach(session uint64, client uint32, role uint8, salt, proof [16]byte) {
	f.do("attach", func() {
		f.attached[session] = client
		f.ready = append(f.ready, epoch.Ready{Attached: []epoch.Attached{{Session: session, Generation: 5}}})
	})
}

func (f *fake) Detach(session uint64) { f.do("detach", func() { delete(f.attached, session) }) }

func (f *fake) DetachLink(link uint32) {
	f.do("detach link", func() {
		for session := range f.attached {
			if uint32(session>>32) == link {
				delete(f.attached, session)
			}
		}
	})
}

func (f *fake) Linked(link uint32) (n int) {
	f.get(func() {
		for session := range f.attached {
			if uint32(session>>32) == link {
				n++
			}
		}
	})
	return n
}

func (f *fake) Hold(link uint32, full bool) {
	what := "room"
	if full {
		what = "hold"
	}
	f.do(fmt.Sprint(what, " ", link), func() {})
}

func (f *fake) Cells(batch []cellUp) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	time.Sleep(slow)
	f.do("cells", func() {
		f.cells += len(batch)
		for _, c := range batch {
			f.ready = append(f.ready, epoch.Ready{Refused: []epoch.Refused{{Session: c.Session, Code: 3, Epoch: c.Epoch}}})
		}
	})
}

func (f *fake) Register(r epoch.Registration) {
	f.do("register", func() {
		f.asked = append(f.asked, r)
		f.ready = append(f.ready, epoch.Ready{Registered: []epoch.Registered{
			{Ticket: r.Ticket, ID: 77, Generation: 1, Epoch: 9, ClientKey: r.KeyHash},
		}})
	})
}

func (f *fake) Withdraw(ticket uint64) {
	f.do("withdraw", func() { f.withdrew = append(f.withdrew, ticket) })
}

func (f *fake) Status() epoch.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Ready() (r epoch.Ready) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ready) > 0 {
		r, f.ready = f.ready[0], f.ready[1:]
	}
	return r
}

// offer has something ready from now on; the loop sees it with the next event.
func (f *fake) offer(r epoch.Ready) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = append(f.ready, r)
}

func (f *fake) get(g func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g()
}

// deployment is a signed manifest 2 of some servers.
type deployment struct {
	first, signed *manifest.Signed
	secret        *Secret
	operator      ed25519.PrivateKey
}

// next is the deployment under the manifest that follows.
func (d *deployment) next(t testing.TB, change func(m *manifest.Manifest)) *deployment {
	t.Helper()
	s, err := d.signed.Successor()
	must(t, err)
	change(&s.Manifest)
	must(t, s.Sign(d.operator))
	must(t, s.VerifySuccessor(d.signed))
	return &deployment{d.first, s, d.secret, d.operator}
}

var measurement = [32]byte{4, 2}

func deploy(t testing.TB, o manifest.Options) *deployment {
	t.Helper()
	operator, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	o.Operators = []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)}
	if o.Policy.Measurements == nil {
		o.Policy = simulated.Policy(measurement)
	}
	first, err := manifest.NewDefault(o)
	must(t, err)
	must(t, first.Sign(operator))
	master, err := keys.NewMaster(rand.Reader)
	must(t, err)
	key, err := keys.NewClusterKey(rand.Reader)
	must(t, err)
	second, err := first.Successor()
	must(t, err)
	second.Manifest.ClusterKey = manifest.Hex(key.Public().(ed25519.PublicKey))
	must(t, second.Sign(operator))
	return &deployment{first, second, &Secret{1, master, key}, operator}
}

// log collects log lines.
type log struct {
	mu    sync.Mutex
	lines []string
	t     testing.TB
}

func (l *log) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
}

func (l *log) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

func (l *log) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
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

// alarms is a node's clock on which long times are over when the test says so.
type alarms struct {
	mu    sync.Mutex
	set   []*alarm
	ended time.Duration // times of this length are over when they begin
}

type alarm struct {
	after time.Duration
	f     func()
}

func (a *alarms) after(d time.Duration, f func()) func() bool {
	if d < time.Second {
		return time.AfterFunc(d, f).Stop
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if d == a.ended {
		go f()
		return func() bool { return false }
	}
	x := &alarm{d, f}
	a.set = append(a.set, x)
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		i := slices.Index(a.set, x)
		if i >= 0 {
			a.set = slices.Delete(a.set, i, i+1)
		}
		return i >= 0
	}
}

// ring ends the times of this length that run now, and returns how many.
func (a *alarms) ring(d time.Duration) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set = slices.DeleteFunc(a.set, func(x *alarm) bool {
		if x.after != d {
			return false
		}
		n++
		go x.f()
		return true
	})
	return n
}

// over has times of this length be over when they begin; 0: none.
func (a *alarms) over(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = d
}

// single is one node with a fake machine, on loopback.
type single struct {
	t    *testing.T
	d    *deployment
	n    *Node
	fake *fake
	log  *log
	addr string
	stop func() error
}

func startSingle(t *testing.T, change func(*Config)) *single {
	t.Helper()
	before := runtime.NumGoroutine()
	d := deploy(t, manifest.Options{
		Servers: manifest.LocalServers(1, "127.0.0.1", 7000, 1), Parameters: manifest.DefaultParameters(64),
	})
	front, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &single{t: t, d: d, fake: &fake{attached: map[uint64]uint32{}}, log: &log{t: t}, addr: front.Addr().String()}
	s.fake.status.Users = make([]int, d.signed.Manifest.Parameters.VirtualShards)
	cfg := Config{
		Manifest: d.signed, Genesis: d.first.Hash(), Secret: d.secret,
		Issuer: simulated.NewIssuer(measurement), Verifiers: simulated.Verifiers(),
		Front: front, Rand: rand.Reader, Now: time.Now, Log: s.log.add,
	}
	if change != nil {
		change(&cfg)
	}
	s.n, err = New(cfg)
	must(t, err)
	s.n.machine = func(c epoch.Config) (machine, error) {
		s.fake.get(func() { s.fake.cfg = c })
		return s.fake, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.n.Run(ctx) }()
	var once sync.Once
	var result error
	s.stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
		})
		return result
	}
	t.Cleanup(func() {
		s.stop()
		eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

// connect says the preamble and returns the connection.
func (s *single) connect(service wire.Service) (net.Conn, *wire.Reader) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	must(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	_, err = c.Write(wire.Preamble{Service: service}.Append(nil))
	must(s.t, err)
	return c, wire.NewReader(c, 64<<10)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never came true: " + what)
}
