package keys

import "sync"

// Server is what the machines of one server compute under the cluster's
// secrets: a Schedule with batches of ties and routers spread over T threads.
// Those are called from one goroutine at a time, all other methods from any:
// whoever needs MACs spreads the work around them as well.
//
// Which thread computes what follows from n and T alone.
type Server struct {
	*Schedule
	seed    [32]byte
	threads int
}

// batchLeast is the fewest values worth a thread of their own.
const batchLeast = 512

// NewServer makes the keys of a server with T = workers threads. seed is that
// of the manifest's simulated clients; all zeros where there are none.
func NewServer(s *Schedule, seed [32]byte, workers int) *Server {
	return &Server{Schedule: s, seed: seed, threads: max(workers, 1)}
}

// SimulatedClientKey is the key of a client that exists at genesis for a
// simulation.
func (k *Server) SimulatedClientKey(id uint32) [32]byte { return SimulatedClientKey(k.seed, id) }

// CheckAttach is the function CheckAttach.
func (k *Server) CheckAttach(clientKey, cluster [32]byte, server uint32, role uint8, client uint32, clientSalt, proof [16]byte) bool {
	return CheckAttach(clientKey, cluster, server, role, client, clientSalt, proof)
}

// SessionKey is the function SessionKey.
func (k *Server) SessionKey(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) [SessionKeyBytes]byte {
	return SessionKey(clientKey, direction, role, clientSalt, serverSalt)
}

// AEAD is the function SessionAEAD.
func (k *Server) AEAD(key *[SessionKeyBytes]byte) AEAD { return SessionAEAD(key) }

// Ties is Schedule.Ties on all threads.
func (k *Server) Ties(epoch uint64, in, out []uint64) {
	k.each(len(in), func(from, to int) {
		k.Schedule.Ties(epoch, in[from:to], out[from:to])
	})
}

// Routers is Schedule.Routers on all threads.
func (k *Server) Routers(a [32]byte, recipients []uint32, out []uint64) {
	k.each(len(recipients), func(from, to int) {
		k.Schedule.Routers(a, recipients[from:to], out[from:to])
	})
}

// each runs f over [0, n) in as many consecutive parts as there are threads.
func (k *Server) each(n int, f func(from, to int)) {
	parts := min(k.threads, (n+batchLeast-1)/batchLeast)
	if parts <= 1 {
		f(0, n)
		return
	}
	var wait sync.WaitGroup
	for w := range parts {
		wait.Go(func() { f(w*n/parts, (w+1)*n/parts) })
	}
	wait.Wait()
}
