package wire

import "github.com/teems-go/teems/geometry"

// Limits says which types of frames one side of a kind of connection may send
// and how long their payloads may be. The zero value allows none.
type Limits struct {
	least, most [maxType + 1]uint32
	allowed     [maxType + 1]bool
}

const maxType = TypeConnections

// Allow admits a type with payloads of least to most bytes.
func (l *Limits) Allow(typ Type, least, most int) {
	l.least[typ], l.most[typ], l.allowed[typ] = uint32(least), uint32(most), true
}

// check says whether a frame may come.
func (l *Limits) check(typ Type, n uint32) error {
	if typ > maxType || !l.allowed[typ] {
		return ErrType
	}
	if n < l.least[typ] || n > l.most[typ] {
		return ErrLength
	}
	return nil
}

// FromClient is what a client may send to a gateway.
func FromClient(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypeAttach, attachBytes, attachBytes)
	l.Allow(TypeCellUp, cellUpBytes+tagBytes, cellUpBytes+g.UpCellBytes())
	return &l
}

// ToClient is what a gateway may send to a client.
func ToClient(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypeAttached, attachedBytes, attachedBytes)
	l.Allow(TypeCellDown, cellDownBytes+tagBytes, cellDownBytes+g.DownCellBytes())
	l.Allow(TypeRefused, refusedBytes, refusedBytes)
	return &l
}

// FromGateway is what a gateway may send to a server.
func FromGateway(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypeGatewayAttach, gatewayAttachBytes, gatewayAttachBytes)
	l.Allow(TypeDetach, sessionBytes, sessionBytes)
	l.Allow(TypeGatewayCellUp, sessionBytes+cellUpBytes+tagBytes, sessionBytes+cellUpBytes+g.UpCellBytes())
	return &l
}

// ToGateway is what a server may send to a gateway.
func ToGateway(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypeGatewayAttached, sessionBytes+attachedBytes, sessionBytes+attachedBytes)
	l.Allow(TypeGatewayCellDown, sessionBytes+cellDownBytes+tagBytes, sessionBytes+cellDownBytes+g.DownCellBytes())
	l.Allow(TypeGatewayRefused, sessionBytes+refusedBytes, sessionBytes+refusedBytes)
	l.Allow(TypeStopped, 0, StoppedLimit)
	return &l
}

// FromCoordinator is what the coordinator may send to a server.
func FromCoordinator(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypePropose, proposeHead+rosterHead, g.ProposeLimit())
	return &l
}

// ToCoordinator is what a server may send to the coordinator.
func ToCoordinator(g *geometry.Geometry) *Limits {
	var l Limits
	l.Allow(TypeStatus, statusHead, g.StatusLimit())
	l.Allow(TypeStopped, 0, StoppedLimit)
	return &l
}

// GatewayToCoordinator is what a gateway may send to the coordinator.
func GatewayToCoordinator() *Limits {
	var l Limits
	l.Allow(TypeConnections, 0, connectionBytes*ConnectionsLimit)
	return &l
}

// PeerLimitsOf is the bounds of frames between the servers of a geometry.
func PeerLimitsOf(g *geometry.Geometry) *PeerLimits {
	return &PeerLimits{Bytes: geometry.FrameLimit, Servers: g.Servers(), RowBytes: g.RowBytes()}
}
