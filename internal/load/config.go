// Package load simulates the clients of a deployment, in a process of its own:
// they hold the keys that a manifest's simulated_clients gives them, attach
// through a gateway with a connection of their own to each of their servers (one,
// if it has all roles), or all over one link to every server, and send each of
// them exactly one cell in each epoch. Connections that are too many for one
// process are held by others, relays.
//
// Who sends what to whom follows from a seed: a fresh permutation of the
// clients in every epoch on the ID channel, or a few hot recipients; a
// permutation for every span of epochs on the token channel, with tokens that
// the recipients really ask for. Every body is a function of (seed, channel,
// epoch, sender, recipient), so that every delivered byte is checked.
//
// What is counted comes from what was sent and from sealed results alone,
// never from what arrived: a message counts as sent if its result says that it
// was taken, over the limit if the plain reference (counts per recipient and
// epoch) says so, and delivered if its very body was found with its recipient.
// An epoch is counted once every client has its result and its delivery.
//
// It guarantees nothing about privacy: it knows everything that its clients
// do. It is a tool for measuring and for checking servers.
package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/manifest"
)

// Kinds of errors.
var (
	// ErrConfig: the simulator cannot be started as it was asked to.
	ErrConfig = errors.New("load: bad configuration")
	// ErrConnection: a connection to a gateway or server failed or ended.
	ErrConnection = errors.New("load: connection lost")
	// ErrProtocol: what a server sent does not fit the protocol.
	ErrProtocol = errors.New("load: the server sent what it must not")
	// ErrRefused: a server refused a client or its cell.
	ErrRefused = errors.New("load: refused")
)

// Lead is how many epochs before its first one a token is asked for: one epoch
// carries the request, and the answer is there two epochs before it is needed.
const Lead = 4

// Fault is how one delivered body is altered after it was opened and before it
// is verified, to see that verification finds it.
type Fault string

// The faults.
const (
	FaultNone      Fault = ""
	FaultFlip      Fault = "flip-bit"
	FaultDrop      Fault = "drop-one"
	FaultDuplicate Fault = "duplicate-one"
)

// Config is what the simulator is told, as JSON.
type Config struct {
	Manifest    string   `json:"manifest"`    // file; the one in force, with simulated clients
	Gateways    []string `json:"gateways"`    // addresses; clients share them out
	Multiplexed bool     `json:"multiplexed"` // links to the servers instead of clients' connections
	Presence    string   `json:"presence"`    // if Multiplexed: where the coordinator asks who is connected
	Relays      []string `json:"relays"`      // addresses of the processes that hold the clients' connections; none: this one does
	Relay       string   `json:"relay"`       // be such a process, at this address
	Seed        uint64   `json:"seed"`
	Hot         int      `json:"hot"`        // recipients on the ID channel; 0: a permutation
	TokenSpan   int      `json:"token_span"` // epochs that a token lasts; 0: as many as allowed
	First       uint64   `json:"first"`      // first epoch with messages, and the first counted
	Last        uint64   `json:"last"`       // the last one
	Fault       Fault    `json:"fault"`
}

// FirstEpoch is the first epoch that a simulation counts if all its clients
// are attached before epoch 1: the first in which tokens can be valid, or the
// second if there are none.
func FirstEpoch(g *geometry.Geometry) uint64 {
	if g.Params().Token.Out > 0 {
		return 1 + Lead
	}
	return 2
}

// ReadConfig reads a configuration strictly.
func ReadConfig(r io.Reader) (Config, error) {
	var c Config
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%w: it is not the JSON that it must be: %v", ErrConfig, err)
	}
	return c, nil
}

// check validates the configuration against a manifest and fills in defaults.
func (c *Config) check(m *manifest.Manifest, g *geometry.Geometry) error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, a...)...)
	}
	p := g.Params()
	switch {
	case !m.HasCluster():
		return bad("manifest %d names no cluster key", m.Sequence)
	case m.SimulatedClients == nil || m.SimulatedClients.Count < 1:
		return bad("manifest %d has no simulated clients", m.Sequence)
	case p.ID.Out > 1 || p.Token.Out > 1:
		return bad("simulated clients send one message a channel and epoch: set out to 1")
	case c.Multiplexed && c.Presence == "":
		return bad("multiplexed clients need an address where the coordinator asks who is connected")
	case !c.Multiplexed && len(c.Gateways) == 0:
		return bad("no gateway address")
	case len(c.Relays) > 0 && (c.Multiplexed || c.Relay != ""):
		return bad("relays hold the connections of clients: neither multiplexed clients nor relays have any")
	case c.Hot < 0 || c.Hot > m.SimulatedClients.Count:
		return bad("%d hot recipients of %d clients", c.Hot, m.SimulatedClients.Count)
	case c.Hot > 0 && p.ID.Out == 0:
		return bad("hot recipients are for the ID channel, which is off: tokens bound what is sent to anyone")
	case c.First < 1 || c.Last < c.First:
		return bad("epochs from %d to %d", c.First, c.Last)
	case p.Token.Out > 0 && c.First <= Lead:
		return bad("the first epoch is %d: tokens take %d epochs", c.First, Lead)
	}
	switch c.Fault {
	case FaultNone, FaultFlip, FaultDrop, FaultDuplicate:
	default:
		return bad("the fault %q is unknown", c.Fault)
	}
	longest := min(p.TokenEpochs, p.HorizonEpochs-Lead)
	if c.TokenSpan == 0 {
		c.TokenSpan = longest
	}
	if p.Token.Out > 0 && (c.TokenSpan < 1 || c.TokenSpan > longest) {
		return bad("tokens of %d epochs: choose 1 to %d", c.TokenSpan, longest)
	}
	return nil
}
