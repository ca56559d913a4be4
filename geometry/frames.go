package geometry

// Sizes of frames, so that every parser is bounded before it allocates. All are
// of payloads, what follows a frame's header; layouts are in docs/protocol.md,
// section 2.
const (
	FrameHeaderBytes = 64        // header of a frame between servers
	FrameLimit       = 1 << 20   // largest payload between servers
	FrameUsual       = 272 << 10 // that bulk payloads are cut to: 1024 rows of 256-byte cells

	SyncBytes     = 40 // committed u64, head 32
	MemberBytes   = 40 // one registration
	PreparedBytes = 16 // a state tag

	CellFrameHeaderBytes = 5 // length u32, type u8: on every link but those between servers
	PreambleBytes        = 8

	AttachBytes         = 36 // client to gateway
	AttachedBytes       = 24 // gateway to client
	ClientCellHeadBytes = 20 // client to gateway, before the sealed cell
	ServerCellHeadBytes = 12 // gateway to client, before the sealed cell
	RefusedBytes        = 12 // gateway to client
	SessionBytes        = 4  // what the frames above grow by between gateway and server
	GatewayAttachBytes  = 44 // gateway to server: also the role
	ProposeHeadBytes    = 12 // before the roster
	StatusHeadLimit     = 4096
	StoppedLimit        = 1024 // a reason, UTF-8
	ConnectionBytes     = 8    // one change of a connection
	ConnectionFrameRows = FrameLimit / ConnectionBytes
	MemberFrameRows     = FrameLimit / MemberBytes
	RegistrationLimit   = 1024 // either message of a registration
	rosterHeadBytes     = 4
)

// leastFrameRows keeps the header small beside the rows, however long they are.
const leastFrameRows = 64

// FrameRows returns the most rows of a Deal or Section frame: as many whole rows
// as FrameUsual holds, so that a frame stays in a core's cache from the cipher to
// the table, and at least 64, which FrameLimit holds for any cell.
func (g *Geometry) FrameRows() int { return max(leastFrameRows, FrameUsual/g.RowBytes()) }

// HeaderFrameRows returns the most rows of a Headers frame, and of a Ranks frame,
// so that one Ranks frame answers one Headers frame.
func (g *Geometry) HeaderFrameRows() int { return FrameUsual / HeaderBytes }

// RowFrameBytes returns the payload of a Deal or Section frame of so many rows.
func (g *Geometry) RowFrameBytes(rows int) int { return rows * g.RowBytes() }

// HeaderFrameBytes returns the payload of a Headers frame of so many rows.
func (g *Geometry) HeaderFrameBytes(rows int) int { return rows * HeaderBytes }

// RankFrameBytes returns the payload of a Ranks frame of so many rows.
func (g *Geometry) RankFrameBytes(rows int) int { return rows * RankBytes }

// MemberFrameBytes returns the payload of a Members frame of so many rows.
func (g *Geometry) MemberFrameBytes(rows int) int { return rows * MemberBytes }

// CommittedBytes returns the payload of a Committed frame: a tag of every server.
func (g *Geometry) CommittedBytes() int { return len(g.p.Servers) * PreparedBytes }

// RosterBytes returns the bytes of a roster for the IDs below limit: the limit
// and two bits an ID.
func (g *Geometry) RosterBytes(limit int) int { return rosterHeadBytes + 2*((limit+7)/8) }

// ProposeBytes returns the payload of a Propose frame for the IDs below limit.
func (g *Geometry) ProposeBytes(limit int) int { return ProposeHeadBytes + g.RosterBytes(limit) }

// UpCellBytes returns the longest sealed cell that a client sends.
func (g *Geometry) UpCellBytes() int { return Sealed(g.JointSubmissionBytes()) }

// DownCellBytes returns the longest sealed cell that a client receives.
func (g *Geometry) DownCellBytes() int {
	return Sealed(max(g.JointDeliveryBytes(), AnnouncementBytes))
}

// ClientUpLimit returns the longest payload from a client to a gateway.
func (g *Geometry) ClientUpLimit() int {
	return max(AttachBytes, ClientCellHeadBytes+g.UpCellBytes())
}

// ClientDownLimit returns the longest payload from a gateway to a client.
func (g *Geometry) ClientDownLimit() int {
	return max(AttachedBytes, RefusedBytes, ServerCellHeadBytes+g.DownCellBytes())
}

// GatewayUpLimit returns the longest payload from a gateway to a server.
func (g *Geometry) GatewayUpLimit() int {
	return max(GatewayAttachBytes, SessionBytes+ClientCellHeadBytes+g.UpCellBytes())
}

// GatewayDownLimit returns the longest payload from a server to a gateway.
func (g *Geometry) GatewayDownLimit() int { return SessionBytes + g.ClientDownLimit() }

// ProposeLimit returns the longest payload from the coordinator to a server.
func (g *Geometry) ProposeLimit() int { return g.ProposeBytes(g.p.Capacity) }

// StatusLimit returns the longest payload from a server to the coordinator: room
// for the fixed part, and U_v for every virtual shard.
func (g *Geometry) StatusLimit() int { return StatusHeadLimit + 4*g.p.VirtualShards }
