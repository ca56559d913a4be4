package gateway

import "sync/atomic"

// Counters are a gateway's totals since it was made, but for the first three,
// which are of now. Nothing in them is about one client.
type Counters struct {
	Connections   int64 `json:"connections"`   // open, of every kind
	Clients       int64 `json:"clients"`       // attached
	QueuedBytes   int64 `json:"queued_bytes"`  // waiting for clients that read slowly
	Accepted      int64 `json:"accepted"`      // connections
	Full          int64 `json:"full"`          // connections refused: a limit was reached
	Silent        int64 `json:"silent"`        // cut: nothing, or too little, was said in time
	Malformed     int64 `json:"malformed"`     // cut: what was said is not in the protocol
	Floods        int64 `json:"floods"`        // cut: more cells than epochs
	Slow          int64 `json:"slow"`          // cut: too much was waiting for it, or for too long
	Refused       int64 `json:"refused"`       // told by a server that it is refused
	Dropped       int64 `json:"dropped"`       // cells that came while their server was away
	CellsUp       int64 `json:"cells_up"`      // clients to servers
	CellsDown     int64 `json:"cells_down"`    // servers to clients
	BytesUp       int64 `json:"bytes_up"`      // written to servers
	BytesDown     int64 `json:"bytes_down"`    // frames for clients
	WritesUp      int64 `json:"writes_up"`     // calls that wrote them
	LinksUp       int64 `json:"links_up"`      // links to servers that came up
	LinksLost     int64 `json:"links_lost"`    // and that went
	Registrations int64 `json:"registrations"` // byte streams joined
}

type counters struct {
	connections, clients, queuedBytes        atomic.Int64
	accepted, full, silent, malformed        atomic.Int64
	floods, slow, refused, dropped           atomic.Int64
	cellsUp, cellsDown, bytesUp, bytesDown   atomic.Int64
	writesUp, linksUp, linksLost, registered atomic.Int64
}

// Counters returns the counters as they are now.
func (g *Gateway) Counters() Counters {
	c := &g.count
	return Counters{
		Connections: c.connections.Load(), Clients: c.clients.Load(), QueuedBytes: c.queuedBytes.Load(),
		Accepted: c.accepted.Load(), Full: c.full.Load(), Silent: c.silent.Load(), Malformed: c.malformed.Load(),
		Floods: c.floods.Load(), Slow: c.slow.Load(), Refused: c.refused.Load(), Dropped: c.dropped.Load(),
		CellsUp: c.cellsUp.Load(), CellsDown: c.cellsDown.Load(), BytesUp: c.bytesUp.Load(), BytesDown: c.bytesDown.Load(),
		WritesUp: c.writesUp.Load(), LinksUp: c.linksUp.Load(), LinksLost: c.linksLost.Load(), Registrations: c.registered.Load(),
	}
}
