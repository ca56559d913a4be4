package probe

import (
	"fmt"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/sparta"
)

// What a client and a process take apart from what geometry says, in bytes: above
// the largest sizes seen with 4 and 72 servers. A test holds those measurements,
// and docs/experiments.md the command that takes them again.
const (
	sessionBytes     = 1280     // servers: sessions of a client, slack of the heap and of pages
	serverBytes      = 40 << 20 // a server process: code, links, buffers
	simulatedBytes   = 3 << 10  // of a client in the simulator
	socketBytes      = 16 << 10 // a connection: both ends in the kernel (7 KiB), simulator and gateway
	supportBytes     = 256 << 20
	descriptorsSpare = 10 // besides those of clients
	gatewaySpare     = 256
	mostGateways     = 256
	supportThreads   = 1 // gateways and simulator share a core at least
	connectionsEach  = 1 // of a client: every server has all roles
	socketPage       = 4096
)

// Need is what an experiment takes.
type Need struct {
	Threads     int    `json:"threads"` // of servers, gateways and simulator
	Memory      uint64 `json:"memory"`  // bytes
	Connections uint64 `json:"connections"`
	Descriptors uint64 `json:"descriptors"` // of the client simulator
	Gateways    int    `json:"gateways"`    // processes, as descriptors allow
}

// Params returns the parameters of the deployment that an experiment runs.
func Params(e experiment.Experiment) geometry.Params {
	p := geometry.Params{Capacity: e.N, CellBytes: e.B}
	if e.Channel == experiment.ID {
		p.ID = geometry.IDChannel{Out: 1, Contact: 1, Open: true}
	} else {
		p.Token = geometry.TokenChannel{Out: 1, In: 1}
	}
	for range e.M {
		p.Servers = append(p.Servers, geometry.Server{Roles: geometry.AllRoles, Weight: 1})
	}
	return p
}

// need returns what an experiment takes in a mode.
func (m Machine) need(e experiment.Experiment, mode string) (Need, error) {
	n := Need{Threads: e.Threads() + supportThreads}
	if e.System == experiment.Sparta {
		c := sparta.Config{Users: e.N, Sends: e.N, BodyBytes: e.B, Workers: e.T}
		return Need{Threads: e.Threads(), Memory: uint64(c.Memory()) + supportBytes}, nil
	}
	servers, err := serverMemory(e)
	if err != nil {
		return Need{}, fmt.Errorf("sizes of %v: %w", e, err)
	}
	clients := uint64(e.N)
	n.Memory = servers + clients*simulatedBytes + supportBytes
	if mode == experiment.Sockets {
		n.Memory += clients * socketBytes
		n.Connections = clients * connectionsEach
		n.Descriptors = n.Connections + descriptorsSpare
		room := max(m.Descriptors.Reach(), gatewaySpare+1) - gatewaySpare
		n.Gateways = int((n.Connections + room - 1) / room)
	}
	return n, nil
}

// serverMemory returns the bytes of all servers.
func serverMemory(e experiment.Experiment) (uint64, error) {
	g, err := geometry.New(Params(e))
	if err != nil {
		return 0, err
	}
	users := make([]int, g.VirtualShards())
	ingesting := make([]int, len(g.Ingestions()))
	for v := range users {
		users[v] = g.MaxUsers(v)
		ingesting[g.IngestionTable()[v]] += users[v]
	}
	a, err := g.Attempt(users, ingesting)
	if err != nil {
		return 0, err
	}
	sum := uint64(e.N) * sessionBytes
	for s := range g.Servers() {
		sum += uint64(a.Memory(s)) + serverBytes
	}
	return sum, nil
}
