package epoch

import (
	"io"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/ingestion"
	"github.com/teems-go/teems/internal/session"
)

// Keys is what a server computes under the cluster's secrets. Implementations
// live with the key schedule; the machine never sees a key.
type Keys interface {
	ingestion.Keys
	// HeadMAC vouches for the head of an epoch towards the servers themselves.
	HeadMAC(epoch uint64, head [32]byte) [16]byte
	// ClientKey is the key of a registered client.
	ClientKey(id uint32, keyHash [32]byte, generation uint32) [32]byte
	// SimulatedClientKey is the key of a client that exists at genesis for a simulation.
	SimulatedClientKey(id uint32) [32]byte
	// CheckAttach says, in constant time, whether the proof of an attachment was
	// made with the client's key, for this server, role, client and salt.
	CheckAttach(clientKey, cluster [32]byte, server uint32, role uint8, client uint32, clientSalt, proof [16]byte) bool
	// SessionKey is the key of one direction of one session.
	SessionKey(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) session.Key
	// AEAD makes the AEAD of a session's key.
	AEAD(key *session.Key) session.AEAD
}

// Config is what a server is made of. All of it but the keys is public.
type Config struct {
	Geometry *geometry.Geometry
	Self     int      // this server's index in the manifest
	Cluster  [32]byte // hash of the cluster's public key
	Manifest [32]byte // hash of the manifest in force
	Genesis  [32]byte // hash of the first manifest that names the cluster's key; head_0 is made from it
	Era      uint32
	// Generation of all shards where the store holds no state: tokens of another
	// one, whose watermarks are gone, are not valid. It is the same on all servers.
	Generation uint32
	Simulated  int      // clients that exist at genesis, for simulations
	Boot       [16]byte // drawn at each boot; it is also the salt of this server's sessions
	Workers    int      // T
	Yield      func()   // lets another thread have the processor; nil: none is let go first
	Keys       Keys
	Store      commit.Store
	Random     io.Reader     // for state tags, and for finding sessions
	Log        func(string)  // public facts only; nil discards
	Memory     record.Memory // for bulk arrays; nil: the heap
	CellGap    int           // bytes left free before each of ClientCells, for what its link puts before it
}

// Header is the header of a frame between servers; docs/protocol.md section 2.3.
type Header struct {
	Kind    Kind
	Epoch   uint64
	Attempt uint16
	Part    uint32 // first row
	Rows    uint32
	A       commit.ID
}

// Kind is the kind of a frame between servers.
type Kind uint16

// The kinds of frames between servers.
const (
	Sync Kind = iota + 1
	Headers
	Ranks
	Deal
	Section
	Members
	Prepared
	Committed
)

// PeerFrame is a frame for another server. Its parts are views into the
// machine's arrays: whoever sends it calls Sent once it has been written or
// thrown away, and does not touch Parts afterwards.
type PeerFrame struct {
	To     int
	Header Header
	Parts  [][]byte
	lease  *lease
}

// ClientCells are cells of one type and epoch for many sessions of one link,
// sealed one behind the other in Data: Gap bytes that are free, and Width bytes
// of a cell, each. Call Sent when they are written; Data may be written until then.
type ClientCells struct {
	Type     uint16
	Attempt  uint16
	Epoch    uint64
	Sessions []uint64
	Gap      int
	Width    int
	Data     []byte
	lease    *lease
}

// Cell is the i-th cell.
func (c *ClientCells) Cell(i int) []byte {
	at := i*(c.Gap+c.Width) + c.Gap
	return c.Data[at : at+c.Width : at+c.Width]
}

// Attached answers an attachment: this server's salt and the client's generation.
type Attached struct {
	Session    uint64
	Generation uint32
}

// Refused says plainly why a cell or an attachment was not taken, or that a
// session gave way; what it says is public, known to whoever made the cell.
type Refused = session.Refused

// Registration asks for an ID, or for a new generation of the keys of one.
type Registration struct {
	Ticket  uint64   // the caller's own number, given back with the answer
	KeyHash [32]byte // hash of the client's registration public key
	Again   bool     // ID holds the client that registers again; the caller checked its signature
	ID      uint32
}

// RegistrationStatus is the outcome of a registration.
type RegistrationStatus uint16

// The outcomes of a registration.
const (
	RegistrationDone RegistrationStatus = iota
	RegistrationFull
	RegistrationBad
	RegistrationRefused
	RegistrationBusy // too many wait: try again
)

// Registered answers a registration, after the commit that holds it.
type Registered struct {
	Ticket     uint64
	Status     RegistrationStatus
	ID         uint32
	Generation uint32
	Epoch      uint64
	ClientKey  [32]byte
}

// Status is what this server tells the coordinator: public facts.
type Status struct {
	Committed   uint64 // newest final epoch
	Offered     uint64 // newest final epoch of which all cells were offered
	Open        uint64 // epoch that takes submissions
	Attempt     uint16 // attempt that is under way in epoch Committed+1; 0 for none
	Peers       int    // other servers whose link is up
	Submissions int    // accepted for Open
	Controls    int    // accepted for Open
	Attached    int    // sessions
	Users       []int  // U_v
}

// Ready is what the machine wants done. Durable writes have been made already,
// through the store, before anything that depends on them is offered here.
type Ready struct {
	Peers      []PeerFrame
	Attached   []Attached
	Refused    []Refused
	Cells      []ClientCells // at most one batch at a time; call Ready again for more
	Registered []Registered
	Stopped    error // the machine has stopped for good; nothing else will come
}

// Empty reports that there is nothing to do.
func (r *Ready) Empty() bool {
	return len(r.Peers) == 0 && len(r.Attached) == 0 && len(r.Refused) == 0 &&
		len(r.Cells) == 0 && len(r.Registered) == 0 && r.Stopped == nil
}
