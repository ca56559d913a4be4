// Package node is a server as it runs: it drives the epoch machine from its
// links to the other servers, from gateways, coordinators and registrations.
//
// One goroutine owns the machine. Everything else posts to it over bounded
// queues, so that whoever sends faster than the machine works is held back by
// its own connection, and a machine that works for long holds up no socket. The
// front port is untrusted: whatever comes there is bounded before it is read,
// a connection that says nothing or does not read is cut, and nothing on it
// ends the server.
//
// It guarantees that whatever the machine offers leaves in the order in which
// it was offered, on each link, or is dropped with the link. Log lines and
// reports hold public facts only. State is kept by the store that it is given;
// [NewVolatileStore] forgets everything with the process.
package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/arena"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/mesh"
	"github.com/teems-go/teems/internal/wire"
)

var (
	// ErrConfig says that a node cannot be made as it was asked for.
	ErrConfig = errors.New("node: bad configuration")
	// ErrStopped says that the machine stopped for good: it must not go on
	// without someone looking at why.
	ErrStopped = errors.New("node: the server stopped")
)

// Secret is what makes a server a member of its cluster.
type Secret struct {
	Era     uint32 // of Master, from 1 on
	Master  keys.Master
	Cluster ed25519.PrivateKey // the same in all eras
}

// Config is what a node is made of. Fields that may be zero say so.
type Config struct {
	Manifest *manifest.Signed // in force; verified by the caller; names the cluster key
	Genesis  [32]byte         // hash of the first manifest that names the cluster's key
	Self     int              // this server's index in the manifest
	Secret   *Secret          // of the manifest's era or before; nil: get it from the other servers
	// Keep is called with a secret before it is used, for the caller to seal it
	// in place of what it was given before. While an era turns there is a next
	// one, to be sealed beside it. May be nil.
	Keep func(held, next *Secret) error

	Issuer    attest.Issuer
	Verifiers attest.Verifiers
	Mesh      net.Listener // for the other servers; nil if there are none
	Front     net.Listener // for gateways and coordinators
	Dial      func(ctx context.Context, server int) (net.Conn, error)
	Store     commit.Store // nil: NewVolatileStore
	Rand      io.Reader    // cryptographically secure, safe for concurrent use
	Now       func() time.Time
	Log       func(string) // nil: nowhere
	// AfterFunc is the clock's other half: it calls f after d unless stopped.
	// Nil: time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)

	// QueueBytes is how much may wait for one gateway before it is cut.
	// 0: 64 MiB, and what all clients are owed for two epochs.
	QueueBytes int
}

// Node is one server.
type Node struct {
	cfg     Config
	g       *geometry.Geometry
	boot    [16]byte
	memory  *arena.Arena                        // the machine's
	faults  chan string                         // the part that failed first
	machine func(epoch.Config) (machine, error) // replaced by tests
}

// machine is what the node drives; *epoch.Server.
type machine interface {
	PeerUp(peer int, boot [16]byte)
	PeerDown(peer int)
	Frame(from int, h epoch.Header, payload []byte)
	Propose(epoch uint64, attempt uint16, r epoch.Roster) error
	Attach(session uint64, client uint32, role uint8, salt, proof [16]byte)
	Detach(session uint64)
	DetachLink(link uint32)
	Linked(link uint32) int
	Hold(link uint32, full bool)
	Cells(batch []cellUp)
	Register(r epoch.Registration)
	Withdraw(ticket uint64)
	Tick()
	Status() epoch.Status
	Ready() epoch.Ready
}

// New checks the configuration and draws this boot's ID. The listeners belong
// to the node from now on: Run closes them.
func New(cfg Config) (*Node, error) {
	bad := func(format string, a ...any) (*Node, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, a...)...)
	}
	if cfg.Manifest == nil || cfg.Issuer == nil || cfg.Front == nil || cfg.Rand == nil || cfg.Now == nil {
		return bad("it takes a manifest, an issuer of evidence, a front listener, randomness and a clock")
	}
	m := &cfg.Manifest.Manifest
	if !m.HasCluster() {
		return bad("manifest %d names no cluster key: make one first (genesis)", m.Sequence)
	}
	if cfg.Self < 0 || cfg.Self >= len(m.Servers) {
		return bad("this is server %d, the manifest has %d servers, counted from 0", cfg.Self, len(m.Servers))
	}
	if len(m.Servers) > 1 && (cfg.Mesh == nil || cfg.Dial == nil) {
		return bad("with %d servers it takes a mesh listener and a dialler", len(m.Servers))
	}
	if cfg.Secret != nil {
		if err := cfg.Secret.check(m); err != nil {
			return bad("%w", err)
		}
	}
	g, err := m.Geometry()
	if err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		cfg.Store = NewVolatileStore()
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 64<<20 + 2*m.Parameters.Capacity*(wire.HeaderBytes+g.GatewayDownLimit())
	}
	n := &Node{g: g, memory: arena.New(), faults: make(chan string, 1), machine: func(c epoch.Config) (machine, error) { return epoch.New(c) }}
	after := cfg.AfterFunc
	cfg.AfterFunc = func(d time.Duration, f func()) func() bool {
		return after(d, func() { n.guarded(partTimer, f) })
	}
	n.cfg = cfg
	if _, err := io.ReadFull(cfg.Rand, n.boot[:]); err != nil {
		return bad("no randomness for the boot ID: %w", err)
	}
	return n, nil
}

// Run serves until ctx ends, and then returns nil; or until the machine stops or
// a part of the node panics, ErrStopped; or until it cannot begin. When it
// returns no goroutine is left, and none of the machine's bulk memory, but after
// a panic.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() {
		if recover() != nil {
			n.fault(partStart)
			err = errFault(partStart)
		}
	}()
	defer n.cfg.Front.Close()
	if n.cfg.Mesh != nil {
		defer n.cfg.Mesh.Close()
	}
	if err := keys.CheckAES(); err != nil {
		return err
	}
	secret, err := n.secret(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := n.newEraGate(secret, ctx.Done())
	if err != nil {
		return err
	}
	n.cfg.Secret = nil // the turn has it, and replaces it when the era ends
	var all sync.WaitGroup
	failed, ended := make(chan error, 2), make(chan error, 1)
	start := func(part string, f func()) { all.Go(func() { n.guarded(part, f) }) }
	start(partMesh, func() { failed <- t.mesh.Run(ctx) })
	start(partMachine, func() { ended <- n.serve(ctx, t, failed, start) })
	select {
	case err := <-ended:
		cancel()
		all.Wait()
		n.memory.Close()
		select {
		case part := <-n.faults: // it counts, whatever else ended the node
			return errFault(part)
		default:
			return err
		}
	case part := <-n.faults:
		cancel()
		n.end(&all)
		return errFault(part)
	}
}

// serve waits for the era, and then runs the machine until ctx ends.
func (n *Node) serve(ctx context.Context, t *eraGate, failed chan error, start func(part string, f func())) error {
	if err := t.wait(ctx, failed); err != nil || ctx.Err() != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	secret := t.secret()
	l, err := n.newLoop(secret, t.mesh)
	if err != nil {
		return err
	}
	l.done = ctx.Done()
	n.cfg.Log(fmt.Sprintf("node: server %d of %d serves cluster %x under manifest %d, era %d", n.cfg.Self, n.g.Servers(),
		n.cluster(), n.cfg.Manifest.Manifest.Sequence, secret.Era))
	start(partMesh, func() { t.open(l) })
	start(partFront, func() { failed <- l.front.run(ctx) })
	return l.run(ctx, failed)
}

func (n *Node) cluster() [32]byte { return n.cfg.Manifest.Manifest.ClusterID() }

// newLoop makes the machine and everything around it.
func (n *Node) newLoop(secret *Secret, links *mesh.Mesh) (*loop, error) {
	m := &n.cfg.Manifest.Manifest
	var seed [32]byte
	simulated := 0
	if s := m.SimulatedClients; s != nil {
		simulated = s.Count
		copy(seed[:], s.Seed)
	}
	threads := m.Servers[n.cfg.Self].Threads
	schedule := keys.New(secret.Master, n.cluster(), secret.Era)
	mach, err := n.machine(epoch.Config{
		Geometry: n.g, Self: n.cfg.Self, Cluster: n.cluster(),
		Manifest: n.cfg.Manifest.Hash(), Genesis: n.cfg.Genesis, Era: secret.Era,
		Generation: uint32(m.Sequence), // volatile state begins anew under each manifest
		Simulated:  simulated, Boot: n.boot, Workers: threads, Yield: yield,
		Keys: keys.NewServer(schedule, seed, threads), Memory: n.memory, CellGap: cellDownHead,
		Store: n.cfg.Store, Random: n.cfg.Rand,
		Log: func(s string) { n.cfg.Log("machine: " + s) },
	})
	if err != nil {
		return nil, err
	}
	l := &loop{
		n: n, machine: mach, mesh: links,
		peers: make(chan event, peerQueue), clients: make(chan event, clientQueue), control: make(chan event, controlQueue),
		room:     make(chan struct{}, 1),
		gateways: map[uint32]*downlink{}, coordinators: map[*downlink]bool{}, tickets: map[uint64]chan<- epoch.Registered{},
	}
	l.front = &front{n: n, l: l, attest: n.attestation(secret), limits: wire.FromGateway(n.g)}
	l.meter.now, l.meter.attempts = n.cfg.Now, n.g.Params().Attempts
	return l, nil
}

// attestation is how this server proves itself; without a secret it joins.
func (n *Node) attestation(secret *Secret) atls.Config {
	id := &atls.Identity{Issuer: n.cfg.Issuer, Server: n.cfg.Self, Boot: n.boot}
	if secret != nil {
		id.Cluster = secret.Cluster
	}
	return atls.Config{
		Manifest: n.cfg.Manifest, Verifiers: n.cfg.Verifiers, Now: n.cfg.Now, Rand: n.cfg.Rand,
		Identity: id, RequirePeer: atls.None,
	}
}
