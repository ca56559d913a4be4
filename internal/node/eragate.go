package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/teems-go/teems/internal/era"
	"github.com/teems-go/teems/internal/mesh"
	"github.com/teems-go/teems/internal/wire"
)

// eraGate brings this server into the manifest's era, and stands between the mesh
// and the loop: the loop sees a peer when that one is in the era as well, and
// holds the same secret. It stays for as long as the node runs, because peers
// that come back later may not be in the era yet.
type eraGate struct {
	n       *Node
	cluster ed25519.PrivateKey
	mesh    *mesh.Mesh
	stop    <-chan struct{} // the node ends
	done    chan struct{}   // closed when this server is in the era, or cannot be
	opened  chan struct{}   // closed when there is a loop

	mu      sync.Mutex // guards what follows; of one peer, calls come one at a time
	machine *era.Machine
	ended   bool // done is closed
	loop    *loop
	peers   []gatePeer
}

type gatePeer struct {
	up    bool
	boot  [16]byte
	shown bool // to the loop
	told  bool // that it holds another secret
}

// newEraGate makes the mesh as well, which is to be run.
func (n *Node) newEraGate(secret *Secret, stop <-chan struct{}) (*eraGate, error) {
	t := &eraGate{
		n: n, cluster: secret.Cluster, stop: stop, done: make(chan struct{}), opened: make(chan struct{}),
		peers: make([]gatePeer, n.g.Servers()),
	}
	m := &n.cfg.Manifest.Manifest
	cfg := era.Config{
		Self: n.cfg.Self, Servers: n.g.Servers(), Era: uint32(m.Era), Cluster: n.cluster(), Manifest: n.cfg.Manifest.Hash(),
		Boot: n.boot, Held: era.Held{Era: secret.Era, Master: secret.Master}, Store: t, Sender: t,
	}
	if _, err := io.ReadFull(n.cfg.Rand, cfg.Fresh[:]); err != nil {
		return nil, fmt.Errorf("%w: no randomness for the next era: %w", ErrConfig, err)
	}
	var err error
	if t.mesh, err = mesh.New(n.meshConfig(secret, t)); err != nil {
		return nil, err
	}
	if secret.Era < cfg.Era {
		n.cfg.Log(fmt.Sprintf("node: manifest %d is of era %d, and this server's secret of era %d: a new one is made when all servers are linked", m.Sequence, cfg.Era, secret.Era))
	}
	if t.machine, err = era.New(cfg); err != nil {
		return nil, err
	}
	t.note()
	return t, nil
}

// secret is the one that is in use, also to be released to a server that joins.
func (t *eraGate) secret() *Secret {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.machine.Held()
	return &Secret{Era: h.Era, Master: h.Master, Cluster: t.cluster}
}

// err is why there is no secret of the era.
func (t *eraGate) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.machine.Err()
	if errors.Is(err, era.ErrDisagree) {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

// note, under mu, closes done once there is an outcome.
func (t *eraGate) note() {
	if !t.ended && (t.machine.Done() || t.machine.Err() != nil) {
		t.ended = true
		close(t.done)
	}
}

// Keep implements era.Store.
func (t *eraGate) Keep(held era.Held, next *era.Held) error {
	h := &Secret{Era: held.Era, Master: held.Master, Cluster: t.cluster}
	if next != nil {
		t.n.cfg.Log(fmt.Sprintf("node: era %d: all servers computed the same secret; it is kept beside that of era %d until all have it", next.Era, held.Era))
		return t.n.keep(h, &Secret{Era: next.Era, Master: next.Master, Cluster: t.cluster})
	}
	if err := t.n.keep(h, nil); err != nil {
		return err
	}
	t.n.cfg.Log(fmt.Sprintf("node: era %d: this server uses its secret, and keeps none of an era before", held.Era))
	return nil
}

// SendState implements era.Sender.
func (t *eraGate) SendState(peer int, s era.State) {
	m := wire.Era{Step: s.Step, Era: s.Era, Held: s.Held, Attempt: s.Attempt, Next: s.Next, Fresh: s.Fresh}
	t.mesh.Send(peer, wire.PeerHeader{Kind: wire.KindEra}, [][]byte{m.Append(nil)}, nil)
}

// SendSecret implements era.Sender.
func (t *eraGate) SendSecret(peer int, h era.Held) {
	t.n.cfg.Log(fmt.Sprintf("node: server %d is given the secret of era %d", peer, h.Era))
	m := wire.Secret{Era: h.Era, Master: h.Master}
	t.mesh.Send(peer, wire.PeerHeader{Kind: wire.KindSecret}, [][]byte{m.Append(nil)}, nil)
}

// open hands the links over to the loop, which runs.
func (t *eraGate) open(l *loop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loop = l
	close(t.opened)
	for i := range t.peers {
		if t.show(i) {
			l.PeerUp(i, t.peers[i].boot)
		}
	}
}

// show, under mu, says whether the loop is to be shown the peer now.
func (t *eraGate) show(i int) bool {
	p := &t.peers[i]
	if t.machine.Done() && t.machine.Differs(i) && !p.told {
		p.told = true
		t.n.cfg.Log(fmt.Sprintf("node: server %d holds another secret of this era: it is not spoken to", i))
	}
	if t.loop == nil || !p.up || p.shown || !t.machine.InEra(i) {
		return false
	}
	p.shown = true
	return true
}

// The mesh's handler; called from its goroutines.

func (t *eraGate) PeerUp(peer int, boot [16]byte) {
	defer t.n.guard(partMesh)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[peer] = gatePeer{up: true, boot: boot}
	t.machine.PeerUp(peer, boot)
}

func (t *eraGate) PeerDown(peer int) {
	defer t.n.guard(partMesh)
	t.mu.Lock()
	shown := t.peers[peer].shown
	t.peers[peer] = gatePeer{}
	t.machine.PeerDown(peer)
	l := t.loop
	t.mu.Unlock()
	if shown {
		l.PeerDown(peer)
	}
}

func (t *eraGate) Frame(peer int, h wire.PeerHeader, payload []byte, release func()) {
	defer t.n.guard(partMesh)
	switch h.Kind {
	case wire.KindEra:
		var m wire.Era
		err := m.Parse(payload)
		release()
		if err == nil {
			t.step(peer, func(x *era.Machine) {
				x.State(peer, era.State{Step: m.Step, Era: m.Era, Held: m.Held, Attempt: m.Attempt, Next: m.Next, Fresh: m.Fresh})
			})
		}
	case wire.KindSecret:
		var m wire.Secret
		err := m.Parse(payload)
		release()
		if err == nil {
			t.step(peer, func(x *era.Machine) { x.Secret(peer, era.Held{Era: m.Era, Master: m.Master}) })
		}
	default:
		select { // it saw this server in the era, so that there is going to be a loop
		case <-t.opened:
		case <-t.stop:
		}
		t.mu.Lock()
		shown, l := t.peers[peer].shown, t.loop
		t.mu.Unlock()
		if !shown {
			release()
			return
		}
		l.Frame(peer, h, payload, release)
	}
}

// step drives the machine with what came from a peer.
func (t *eraGate) step(peer int, f func(*era.Machine)) {
	t.mu.Lock()
	f(t.machine)
	t.note()
	show, boot, l := t.show(peer), t.peers[peer].boot, t.loop
	t.mu.Unlock()
	if show {
		l.PeerUp(peer, boot)
	}
}

// wait waits for the era.
func (t *eraGate) wait(ctx context.Context, failed <-chan error) error {
	select {
	case <-t.done:
		return t.err()
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
