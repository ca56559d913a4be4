package teemstest

import (
	"time"

	"github.com/teems-go/teems/internal/manifest"
)

// settings are what options change.
type settings struct {
	servers    []manifest.Server
	parameters manifest.Parameters
	simulated  int
	period     time.Duration
	logs       bool
}

// Option changes a cluster that NewCluster makes.
type Option func(*settings)

// Servers makes n servers with all roles. Default: 2.
func Servers(n int) Option {
	return func(s *settings) { s.servers = make([]manifest.Server, n) }
}

// Layout makes one server for each string, with the roles whose first letters
// it holds: Layout("i", "r", "s") or Layout("irs", "rs").
func Layout(servers ...string) Option {
	return func(s *settings) {
		s.servers = nil
		for _, letters := range servers {
			var one manifest.Server
			for _, l := range letters {
				one.Roles = append(one.Roles, map[rune]manifest.Role{
					'i': manifest.Ingestion, 'r': manifest.Routing, 's': manifest.Storage,
				}[l])
			}
			s.servers = append(s.servers, one)
		}
	}
}

// Capacity is how many clients there can be. Default: 64.
func Capacity(n int) Option { return func(s *settings) { s.parameters.Capacity = n } }

// CellBytes is the size of a cell's body, of which a message can use all but 4
// bytes. Default: 256.
func CellBytes(n int) Option { return func(s *settings) { s.parameters.CellBytes = n } }

// IDChannel sets what a client can send and receive in an epoch on the ID
// channel, with passes for contacts; IDChannel(0, 0, 0) disables it. Default:
// 1, 2, 2.
func IDChannel(out, contacts, strangers int) Option {
	return func(s *settings) {
		s.parameters.IDChannel = manifest.IDChannel{Out: out, Contacts: contacts, Strangers: strangers, Priority: manifest.PriorityPasses}
	}
}

// OpenIDChannel is an ID channel on which every sender's priority counts.
func OpenIDChannel(out, in int) Option {
	return func(s *settings) {
		s.parameters.IDChannel = manifest.IDChannel{Out: out, Contacts: in, Priority: manifest.PriorityOpen}
	}
}

// TokenChannel sets what a client can send and receive in an epoch on the token
// channel; TokenChannel(0, 0) disables it. Default: 1, 4.
func TokenChannel(out, in int) Option {
	return func(s *settings) { s.parameters.TokenChannel = manifest.TokenChannel{Out: out, In: in} }
}

// TokenEpochs is the most epochs that a token can span. Default: 256.
func TokenEpochs(n int) Option {
	return func(s *settings) {
		s.parameters.TokenEpochs = n
		s.parameters.HorizonEpochs = 2*n + 8
	}
}

// DeliveryEpochs is for how many epochs deliveries are kept. Default: 64.
func DeliveryEpochs(n int) Option { return func(s *settings) { s.parameters.DeliveryEpochs = n } }

// SimulatedClients makes n clients that exist from the start on; see
// client.SimulatedIdentity. Default: 0.
func SimulatedClients(n int) Option { return func(s *settings) { s.simulated = n } }

// Period is the time from the start of one epoch to the next, at least; 0: as
// fast as the connected clients submit. Default: 20 ms.
func Period(d time.Duration) Option { return func(s *settings) { s.period = d } }

// Logs writes the servers' logs to the test's, failed or not.
func Logs() Option { return func(s *settings) { s.logs = true } }
