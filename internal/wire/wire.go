// Package wire is the framing of docs/protocol.md, section 2: preambles, the
// frames between clients, gateways, servers and the coordinator, and the
// headers of frames between servers. It adds envelopes only: the bulk inside
// is laid out by lower layers, and passes through without a copy.
//
// Every message is a struct with Append, which appends the whole frame, and
// Parse, which reads a payload. Parsing is strict: an unknown type, a short or
// long payload, a non-zero reserved field and a field out of its range are
// errors, so one message has one encoding: append(parse(b)) == b. A reader is
// bounded before it allocates, by the Limits of its kind of connection. Parsed
// byte slices are views of the payload.
//
// Everything here is public, the sealed cells included, which it never looks
// into. It knows no keys and no state: what may follow what is decided by
// packages that use it.
//
// The length in a frame's header counts the payload, what follows the header:
// 5 bytes (length u32, type u8) on all links but those between servers, 64
// bytes on those. Integers are little-endian.
package wire

import (
	"encoding/binary"
	"errors"
)

var le = binary.LittleEndian

// Version is the version of the protocol in a preamble.
const Version = 1

// HeaderBytes is the length of a frame's header: length u32, type u8.
const HeaderBytes = 5

// Kinds of errors. All mean that the other side does not speak the protocol,
// and that the connection is to be closed; except ErrMore, of Next only.
var (
	// ErrMore: the bytes so far do not hold a whole frame.
	ErrMore = errors.New("wire: the frame is not complete")
	// ErrMagic: the connection does not begin with a preamble of TEEMS.
	ErrMagic = errors.New("wire: not a TEEMS connection")
	// ErrVersion: the other side speaks another version of the protocol.
	ErrVersion = errors.New("wire: other version of the protocol")
	// ErrType: the type of frame is unknown, or not for this kind of connection.
	ErrType = errors.New("wire: unexpected type of frame")
	// ErrLength: a payload is shorter or longer than its type allows.
	ErrLength = errors.New("wire: wrong length")
	// ErrReserved: a field that must be zero is not.
	ErrReserved = errors.New("wire: reserved field is not zero")
	// ErrValue: a field has a value that it cannot have.
	ErrValue = errors.New("wire: value out of range")
)

// Type is the type of a frame.
type Type uint8

// The types of frames.
const (
	TypeAttach          Type = 1  // client to gateway
	TypeAttached        Type = 2  // gateway to client
	TypeCellUp          Type = 3  // client to gateway
	TypeCellDown        Type = 4  // gateway to client
	TypeRefused         Type = 5  // gateway to client
	TypeGatewayAttach   Type = 16 // gateway to server
	TypeDetach          Type = 17 // gateway to server
	TypeGatewayCellUp   Type = 18 // gateway to server
	TypeGatewayAttached Type = 19 // server to gateway
	TypeGatewayCellDown Type = 20 // server to gateway
	TypeGatewayRefused  Type = 21 // server to gateway
	TypePropose         Type = 32 // coordinator to server
	TypeStatus          Type = 33 // server to coordinator
	TypeStopped         Type = 34 // server to coordinator, server to gateway
	TypeConnections     Type = 48 // gateway to coordinator
)

// Code says why a cell or an attachment was refused.
type Code uint16

// The codes of refusals. Whoever made the cell knows them already: they tell
// nothing of what is inside.
const (
	CodeUnknownClient Code = 1
	CodeWrongSize     Code = 2
	CodeBadTag        Code = 3
	CodeWrongEpoch    Code = 4
	CodeAlready       Code = 5
	CodeSequence      Code = 6
	CodeNotOpen       Code = 7
	CodeBusy          Code = 8
	lastCode               = CodeBusy
)

var codeTexts = [lastCode + 1]string{
	CodeUnknownClient: "the server does not know this client: check that the identity belongs to this cluster",
	CodeWrongSize:     "the cell has the wrong size: client and server have different manifests",
	CodeBadTag:        "the cell does not authenticate: the client's key is not the one that the cluster holds; register again",
	CodeWrongEpoch:    "the cell is for another epoch than the one that is open",
	CodeAlready:       "a cell of this client was already accepted for this epoch",
	CodeSequence:      "the cell's sequence number does not rise: attach again",
	CodeNotOpen:       "no session is open for this cell: attach first, then wait for an announcement",
	CodeBusy:          "the server cannot take this connection now: try again later",
}

// String says in words what was refused and what to do.
func (c Code) String() string {
	if c == 0 || c > lastCode {
		return "refused for an unknown reason"
	}
	return codeTexts[c]
}

// Temporary says whether attaching and trying again later may succeed.
func (c Code) Temporary() bool { return c == CodeNotOpen || c == CodeBusy }

// Service is what a connection is for.
type Service uint8

// The services.
const (
	ServiceCells        Service = 1 // client and gateway
	ServiceRegistration Service = 2 // client and storage server, through a gateway
	ServiceGateway      Service = 3 // gateway to server
	ServiceCoordinator  Service = 4 // coordinator to server
	ServiceConnections  Service = 5 // coordinator to gateway
)

// PreambleBytes is the length of a preamble.
const PreambleBytes = 8

// Preamble is what whoever connects says first:
// "TEEM" | version u8 | service u8 | role u8 | 0 u8. Role is 1 (ingestion),
// 2 (storage) or 3 (both) with ServiceCells, and 0 with all other services.
type Preamble struct {
	Service Service
	Role    uint8
}

// Append appends the 8 bytes of a preamble.
func (p Preamble) Append(dst []byte) []byte {
	return append(dst, 'T', 'E', 'E', 'M', Version, byte(p.Service), p.Role, 0)
}

// ParsePreamble reads a preamble of exactly 8 bytes.
func ParsePreamble(b []byte) (Preamble, error) {
	switch {
	case len(b) != PreambleBytes:
		return Preamble{}, ErrLength
	case string(b[:4]) != "TEEM":
		return Preamble{}, ErrMagic
	case b[4] != Version:
		return Preamble{}, ErrVersion
	case b[7] != 0:
		return Preamble{}, ErrReserved
	}
	p := Preamble{Service(b[5]), b[6]}
	switch p.Service {
	case ServiceCells:
		if !validRole(p.Role) {
			return Preamble{}, ErrValue
		}
	case ServiceRegistration, ServiceGateway, ServiceCoordinator, ServiceConnections:
		if p.Role != 0 {
			return Preamble{}, ErrValue
		}
	default:
		return Preamble{}, ErrType
	}
	return p, nil
}

func validRole(role uint8) bool { return role >= 1 && role <= 3 }

// Begin appends the header of a frame whose payload has n bytes.
func Begin(dst []byte, typ Type, n int) []byte {
	return append(le.AppendUint32(dst, uint32(n)), byte(typ))
}
