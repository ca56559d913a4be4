// Package geometry turns a deployment's public parameters into every size,
// count and padding bound of TEEMS. A [Geometry] is what follows from the
// manifest alone (tables, cell and frame sizes); an [Attempt] is what follows
// from the IDs allocated and the roster as well (records, sections, links).
//
// It guarantees that no load of honest servers passes a section's bound, nor a
// header link's but with probability 2^-80 an attempt (each bound carries its
// argument in its comment), that all servers
// compute the same numbers (integers, or IEEE operations that no compiler may
// fuse), and that parameters which would break a layout are refused by
// [Params.Validate]. No other package multiplies record sizes.
//
// Everything here is public: no argument and no result may depend on a secret,
// and nothing here is oblivious. Values are immutable once made and safe for
// concurrent use; slices that are returned belong to the caller.
package geometry

import (
	"errors"
	"slices"
	"strconv"
)

// The kinds of error, to be told apart with errors.Is.
var (
	// ErrParams says that a deployment's parameters cannot be used.
	ErrParams = errors.New("geometry: bad parameters")
	// ErrCounts says that an attempt's counts contradict the parameters.
	ErrCounts = errors.New("geometry: bad counts")
)

// geometryError is a message with a sentinel kind.
type geometryError struct {
	kind error
	text string
}

func (e *geometryError) Error() string { return e.kind.Error() + ": " + e.text }
func (e *geometryError) Unwrap() error { return e.kind }

func badParams(text string) error { return &geometryError{ErrParams, text} }
func badCounts(text string) error { return &geometryError{ErrCounts, text} }

// Role is a set of roles of one server.
type Role uint8

// The roles. A server has one or more.
const (
	Ingestion Role = 1 << iota
	Routing
	Storage

	AllRoles = Ingestion | Routing | Storage
)

// Limits on parameters.
const (
	MaxServers       = 72
	MaxWeight        = 256
	MaxCapacity      = 1 << 28
	MaxCellBytes     = 16384 - 64
	MaxPerChannel    = 64   // each of the k_out and k_in
	MaxVirtualShards = 4096 // an explicit V; the default is at most 1024
	MaxRows          = 1 << 31
	MaxEpochs        = 1 << 20 // token, horizon and delivery epochs
	MaxAttempts      = 1024

	defaultMaxVirtualShards = 1024
)

// Defaults for the fields of Params that may be zero.
const (
	DefaultTokenEpochs    = 256
	DefaultHorizonEpochs  = 512
	DefaultDeliveryEpochs = 64
	DefaultAttempts       = 8
)

// Server is one server of the manifest.
type Server struct {
	Roles  Role
	Weight int // 1..MaxWeight, used for each of its roles
}

// Params are the parameters of a deployment, as the manifest holds them.
type Params struct {
	Capacity      int // N: client IDs are below it
	VirtualShards int // V; 0: DefaultVirtualShards of the servers
	Servers       []Server
	CellBytes     int // B, plaintext bytes of a message body, a multiple of 16
	ID            IDChannel
	Token         TokenChannel

	TokenEpochs    int // Lmax, epochs a token may span; 0: DefaultTokenEpochs
	HorizonEpochs  int // Hmax, epochs ahead a token may end; 0: DefaultHorizonEpochs
	DeliveryEpochs int // deliveries kept for a client; 0: DefaultDeliveryEpochs
	Attempts       int // cap on the attempts of an epoch; 0: DefaultAttempts
}

// IDChannel holds the ID channel's counts per client and epoch.
type IDChannel struct {
	Out      int  // k_out_id; 0: the channel is disabled
	Contact  int  // k_contact, or k_id if Open
	Stranger int  // k_stranger; 0 if Open
	Open     bool // "priority: open": one class, priorities count as they are
}

// TokenChannel holds the token channel's counts per client and epoch.
type TokenChannel struct {
	Out int // k_out_token; 0: the channel is disabled
	In  int // k_token
}

// withDefaults returns p with its zero fields that have defaults filled in,
// VirtualShards excepted, and with its own copy of Servers.
func (p Params) withDefaults() Params {
	p.Servers = slices.Clone(p.Servers)
	for _, f := range []struct {
		field *int
		value int
	}{
		{&p.TokenEpochs, DefaultTokenEpochs},
		{&p.HorizonEpochs, DefaultHorizonEpochs},
		{&p.DeliveryEpochs, DefaultDeliveryEpochs},
		{&p.Attempts, DefaultAttempts},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return p
}

// Validate returns nil if New would accept p, else an error of kind ErrParams
// that says which parameter is wrong and what to do.
func (p Params) Validate() error {
	_, err := New(p)
	return err
}

// check validates everything but the tables; p has its defaults.
func (p Params) check() error {
	if err := p.checkServers(); err != nil {
		return err
	}
	if err := p.checkChannels(); err != nil {
		return err
	}
	if p.CellBytes%16 != 0 {
		return badParams("CellBytes " + strconv.Itoa(p.CellBytes) + " is not a multiple of 16: round it up")
	}
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"Capacity", p.Capacity, 1, MaxCapacity},
		{"VirtualShards", p.VirtualShards, 0, MaxVirtualShards},
		{"CellBytes", p.CellBytes, 16, MaxCellBytes},
		{"TokenEpochs", p.TokenEpochs, 1, MaxEpochs},
		{"HorizonEpochs", p.HorizonEpochs, 1, MaxEpochs},
		{"DeliveryEpochs", p.DeliveryEpochs, 1, MaxEpochs},
		{"Attempts", p.Attempts, 1, MaxAttempts},
	} {
		if err := inRange(f.name, f.value, f.min, f.max); err != nil {
			return err
		}
	}
	if p.HorizonEpochs < p.TokenEpochs+2 {
		return badParams("HorizonEpochs " + strconv.Itoa(p.HorizonEpochs) + " is less than TokenEpochs + 2 = " +
			strconv.Itoa(p.TokenEpochs+2) + ", so no token could have its full length: raise it, or lower TokenEpochs")
	}
	per := max(p.ID.Out+p.Token.Out, p.ID.Contact+p.ID.Stranger+p.Token.In)
	if p.Capacity*per > MaxRows {
		return badParams("Capacity " + strconv.Itoa(p.Capacity) + " with " + strconv.Itoa(per) +
			" cells a client is more than 2^31 cells, which a u32 label cannot address: lower one of them")
	}
	return nil
}

func (p Params) checkServers() error {
	if err := inRange("the number of Servers", len(p.Servers), 1, MaxServers); err != nil {
		return err
	}
	var all Role
	for m, s := range p.Servers {
		name := "server " + strconv.Itoa(m)
		if s.Roles == 0 || s.Roles&^AllRoles != 0 {
			return badParams(name + " has the roles " + strconv.Itoa(int(s.Roles)) + ": give it at least one of ingestion (1), routing (2), storage (4)")
		}
		if err := inRange(name+"'s Weight", s.Weight, 1, MaxWeight); err != nil {
			return err
		}
		all |= s.Roles
	}
	for _, r := range []struct {
		role Role
		name string
	}{{Ingestion, "ingestion"}, {Routing, "routing"}, {Storage, "storage"}} {
		if all&r.role == 0 {
			return badParams("no server has the " + r.name + " role: give it to at least one")
		}
	}
	return nil
}

func (p Params) checkChannels() error {
	id, token := p.ID, p.Token
	if id.Out == 0 && token.Out == 0 {
		return badParams("both channels are disabled: set ID.Out or Token.Out")
	}
	if id.Out == 0 {
		if id != (IDChannel{}) {
			return badParams("ID.Out is 0, which disables the channel, but other fields of ID are set: set Out or clear them")
		}
	} else {
		if err := inRange("ID.Out", id.Out, 1, MaxPerChannel); err != nil {
			return err
		}
		if err := inRange("ID.Contact", id.Contact, 1, MaxPerChannel); err != nil {
			return err
		}
		if id.Open && id.Stranger != 0 {
			return badParams("ID.Stranger is " + strconv.Itoa(id.Stranger) + " with open priorities, which have one class: put k_id in Contact and 0 in Stranger")
		}
		if err := inRange("ID.Stranger", id.Stranger, 0, MaxPerChannel); err != nil {
			return err
		}
	}
	if token.Out == 0 {
		if token != (TokenChannel{}) {
			return badParams("Token.Out is 0, which disables the channel, but Token.In is " + strconv.Itoa(token.In) + ": set Out or clear In")
		}
		return nil
	}
	if err := inRange("Token.Out", token.Out, 1, MaxPerChannel); err != nil {
		return err
	}
	return inRange("Token.In", token.In, 1, MaxPerChannel)
}

func inRange(name string, value, low, high int) error {
	if value >= low && value <= high {
		return nil
	}
	return badParams(name + " is " + strconv.Itoa(value) + ": choose " + strconv.Itoa(low) + " to " + strconv.Itoa(high))
}
