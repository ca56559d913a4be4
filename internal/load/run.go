package load

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

// The kinds of events.
const (
	EventAttached = "attached" // all clients are attached
	EventEpoch    = "epoch"    // an epoch that counts is complete: Epoch, Account
	EventProblem  = "problem"  // something that should not be: Problem
	EventDone     = "done"     // the end: Account of all complete epochs, Problem if it failed
)

// Event is a line of what the simulator says, as JSON.
type Event struct {
	Event   string   `json:"event"`
	Epoch   uint64   `json:"epoch,omitempty"`
	Clients int      `json:"clients,omitempty"`
	Account *Account `json:"account,omitempty"`
	Problem string   `json:"problem,omitempty"`
	// Complete says that the last epoch was reached.
	Complete bool `json:"complete,omitempty"`
}

// maxTold is how many problems are told; what is counted is not affected.
const maxTold = 20

// teller writes events, one a line. Safe for concurrent use.
type teller struct {
	mu   sync.Mutex
	out  *json.Encoder
	told int // problems, guarded by mu
}

func newTeller(out io.Writer) *teller { return &teller{out: json.NewEncoder(out)} }

func (t *teller) tell(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Event == EventProblem {
		if t.told++; t.told > maxTold {
			return
		}
	}
	_ = t.out.Encode(e) // whoever started us is gone if this fails, and we end with it
}

// Run simulates the clients until the last epoch is complete or ctx is done,
// and writes events, the last of which is EventDone; or is a relay, which says
// nothing, until the simulator has left. The error is what made it
// fail; that messages were lost or altered is for the reader of the account.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	t := newTeller(out)
	m, g, err := readManifest(cfg.Manifest)
	if err == nil && cfg.Relay != "" {
		if err = cfg.check(m, g); err == nil {
			return relayFor(ctx, &cfg, g)
		}
	}
	var s *simulation
	if err == nil {
		s, err = newSimulation(cfg, m, g, t)
	}
	if err != nil {
		t.tell(Event{Event: EventDone, Problem: err.Error()})
		return err
	}
	var fronts []string
	for _, server := range m.Servers {
		fronts = append(fronts, server.Front)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.allUp:
			t.tell(Event{Event: EventAttached, Clients: len(s.clients)})
		case <-ctx.Done():
		}
	}()
	complete := false
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.ledger.done:
			complete = true
			cancel()
		case <-ctx.Done():
		}
	})
	if len(s.cfg.Relays) > 0 {
		err = s.relayed(ctx)
	} else if s.cfg.Multiplexed {
		err = s.multiplexed(ctx, fronts)
	} else {
		err = s.sockets(ctx)
	}
	cancel()
	watch.Wait()
	if complete {
		err = nil // the servers may have gone since
	}
	a := s.ledger.account()
	a.TokensIssued, a.TokensRefused = int(s.issued.Load()), int(s.refused.Load())
	e := Event{Event: EventDone, Account: &a, Complete: complete}
	if err != nil {
		e.Problem = err.Error()
	} else if n := s.outOfToken.Load(); n > 0 {
		e.Problem = fmt.Sprintf("%d messages were not sent because their token was not there in time", n)
	}
	t.tell(e)
	return err
}

// readManifest reads the manifest and what follows from it.
func readManifest(path string) (*manifest.Manifest, *geometry.Geometry, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the manifest: %w", ErrConfig, err)
	}
	signed, err := manifest.Parse(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	g, err := signed.Manifest.Geometry()
	return &signed.Manifest, g, err
}

func newSimulation(cfg Config, m *manifest.Manifest, g *geometry.Geometry, t *teller) (*simulation, error) {
	if err := cfg.check(m, g); err != nil {
		return nil, err
	}
	n := m.SimulatedClients.Count
	s := &simulation{
		cfg: cfg, g: g, cluster: m.ClusterID(),
		plan:    newPlanner(n, cfg.Seed, cfg.Hot, cfg.First, uint64(cfg.TokenSpan)),
		bodies:  newBodies(cfg.Seed),
		clients: make([]client, n),
		in:      wire.ToClient(g), allUp: make(chan struct{}),
	}
	s.onProblem = func(text string) { t.tell(Event{Event: EventProblem, Problem: text}) }
	s.ledger = newLedger(s.plan, [channels]int{g.IDIns(), g.Params().Token.In}, cfg.First, cfg.Last,
		func(epoch uint64, a Account, problems []string) {
			for _, p := range problems {
				s.onProblem(p)
			}
			t.tell(Event{Event: EventEpoch, Epoch: epoch, Account: &a})
		})
	s.fault.Store(cfg.Fault != FaultNone)
	for i := range s.clients {
		c := &s.clients[i]
		c.id = uint32(i)
		c.key = keys.SimulatedClientKey([32]byte(m.SimulatedClients.Seed), c.id)
	}
	s.makeEnds()
	return s, nil
}

// makeEnds gives every client its ends.
func (s *simulation) makeEnds() {
	n := 0
	for i := range s.clients {
		n += len(cell.Assignments(s.g, s.clients[i].id))
	}
	s.ends = make([]end, n)
	rest := s.ends
	for i := range s.clients {
		c := &s.clients[i]
		homes := cell.Assignments(s.g, c.id)
		c.ends, rest = rest[:len(homes):len(homes)], rest[len(homes):]
		for j, h := range homes {
			c.ends[j] = end{c: c, role: h.Role, server: uint32(h.Server)}
			rand.Read(c.ends[j].salt[:])
		}
	}
}
