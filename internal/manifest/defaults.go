package manifest

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/geometry"
)

// DefaultCellBytes is the size of a message body where none is chosen.
const DefaultCellBytes = 256

// Options are what NewDefault needs to know. Servers, Operators and Policy
// have no default.
type Options struct {
	Servers    []Server            // no roles: all three; weight, threads 0: 1; no name: server-<index>
	Operators  []ed25519.PublicKey //
	Threshold  int                 // 0: more than half of the operators
	Policy     attest.Policy       //
	Parameters Parameters          // see DefaultParameters; virtual_shards 0: by the servers

	SimulatedClients *SimulatedClients
}

// DefaultParameters are those for people: `teems up` and `teems manifest new`.
func DefaultParameters(capacity int) Parameters {
	p := ExperimentParameters(capacity)
	p.IDChannel = IDChannel{Out: 1, Contacts: 2, Strangers: 2, Priority: PriorityPasses}
	p.TokenChannel = TokenChannel{Out: 1, In: 4}
	return p
}

// ExperimentParameters are those of the published experiments: one message
// out and one in on each channel, priorities open.
func ExperimentParameters(capacity int) Parameters {
	return Parameters{
		Capacity:       capacity,
		CellBytes:      DefaultCellBytes,
		IDChannel:      IDChannel{Out: 1, Contacts: 1, Priority: PriorityOpen},
		TokenChannel:   TokenChannel{Out: 1, In: 1},
		TokenEpochs:    geometry.DefaultTokenEpochs,
		HorizonEpochs:  geometry.DefaultHorizonEpochs,
		DeliveryEpochs: geometry.DefaultDeliveryEpochs,
		Attempts:       geometry.DefaultAttempts,
	}
}

// LocalServers returns n servers with all roles on one host, with the ports
// port, port+1, ...: two for each, mesh and front.
func LocalServers(n int, host string, port, threads int) []Server {
	servers := make([]Server, n)
	for i := range servers {
		servers[i] = Server{
			Threads: threads,
			Mesh:    net.JoinHostPort(host, strconv.Itoa(port+2*i)),
			Front:   net.JoinHostPort(host, strconv.Itoa(port+2*i+1)),
		}
	}
	return servers
}

// NewDefault makes manifest 1 of a deployment, unsigned and valid.
func NewDefault(o Options) (*Signed, error) {
	if o.Policy.Recorded != nil {
		return nil, invalid("tees: a policy that makes exceptions for recorded evidence is not one for servers")
	}
	m := Manifest{
		Format:           Format,
		Sequence:         1,
		Era:              1,
		Operators:        Operators{Threshold: o.Threshold},
		Parameters:       o.Parameters,
		TEEs:             teePolicy(o.Policy),
		SimulatedClients: o.SimulatedClients,
	}
	if m.Operators.Threshold == 0 {
		m.Operators.Threshold = len(o.Operators)/2 + 1
	}
	for _, k := range o.Operators {
		m.Operators.Keys = append(m.Operators.Keys, Hex(k))
	}
	for i, s := range o.Servers {
		if s.Name == "" {
			s.Name = "server-" + strconv.Itoa(i)
		}
		if len(s.Roles) == 0 {
			s.Roles = []Role{Ingestion, Routing, Storage}
		}
		s.Weight = max(s.Weight, 1)
		s.Threads = max(s.Threads, 1)
		m.Servers = append(m.Servers, s)
	}
	if m.Parameters.VirtualShards == 0 {
		if _, err := m.Geometry(); err != nil { // all but the virtual shards
			return nil, err
		}
		p, err := m.Params()
		if err != nil {
			return nil, err
		}
		m.Parameters.VirtualShards = geometry.DefaultVirtualShards(p.Servers)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return (&Signed{Manifest: m}).copy()
}

// Successor returns an unsigned copy with the next sequence number and this
// manifest as its predecessor, to be changed and then signed. The successor
// of manifest 1 needs the cluster key before it is valid.
func (s *Signed) Successor() (*Signed, error) {
	if err := s.Manifest.Validate(); err != nil {
		return nil, err
	}
	n, err := (&Signed{Manifest: s.Manifest}).copy()
	if err != nil {
		return nil, err
	}
	h := s.Hash()
	n.Manifest.Sequence++
	n.Manifest.Predecessor = h[:]
	return n, nil
}

// copy returns a copy that shares no memory.
func (s *Signed) copy() (*Signed, error) {
	b, err := json.Marshal(s)
	n := new(Signed)
	if err == nil {
		err = json.Unmarshal(b, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: cannot copy it: %v", ErrInvalid, err)
	}
	n.Manifest.Era = s.Manifest.Era
	return n, nil
}
