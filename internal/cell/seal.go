package cell

// Announcement is a view of the plaintext of one announcement, 64 bytes. It is
// for sessions that no result or delivery tells which epoch is open.
//
//	open u64 | headEpoch u64 | head 32 | headMAC 16
//
// All methods are oblivious in the content.
type Announcement []byte

// Open is the epoch that takes submissions.
func (a Announcement) Open() uint64 { return le.Uint64(a[0:8]) }

// SetOpen sets the epoch that takes submissions, and HeadEpoch to match.
func (a Announcement) SetOpen(epoch uint64) {
	le.PutUint64(a[0:8], epoch)
	le.PutUint64(a[8:16], HeadEpoch(epoch))
}

// HeadEpoch is the epoch of Head.
func (a Announcement) HeadEpoch() uint64 { return le.Uint64(a[8:16]) }

// Head is a view of the head of HeadEpoch, 32 bytes.
func (a Announcement) Head() []byte { return a[16:48:48] }

// HeadMAC is a view of the MAC over (HeadEpoch, Head), 16 bytes.
func (a Announcement) HeadMAC() []byte { return a[48:64:64] }

// HeadEpoch is the epoch whose head an announcement of the epoch open names,
// max(open, 2) - 2: what is announced for an epoch never changes.
func HeadEpoch(open uint64) uint64 { return max(open, 2) - 2 }

// PutUpNonce writes the nonce of a cell from client to server:
// sequence u64 | type u16 | 0 u16.
func PutUpNonce(dst *[NonceBytes]byte, sequence uint64, typ uint16) {
	le.PutUint64(dst[0:8], sequence)
	le.PutUint16(dst[8:10], typ)
	le.PutUint16(dst[10:12], 0)
}

// PutDownNonce writes the nonce of a cell from server to client:
// epoch u64 | attempt u16 | type u16. An announcement has epoch = open and
// attempt 0.
func PutDownNonce(dst *[NonceBytes]byte, epoch uint64, attempt, typ uint16) {
	le.PutUint64(dst[0:8], epoch)
	le.PutUint16(dst[8:10], attempt)
	le.PutUint16(dst[10:12], typ)
}

// Tag is the authentication tag of a sealed cell, which names it: its last 16
// bytes.
func Tag(sealed []byte) [TagBytes]byte { return [TagBytes]byte(sealed[len(sealed)-TagBytes:]) }

// AD is the associated data of one sealed cell, 60 bytes, all of it public.
//
//	version u16 | cluster 32 | direction u8 | role u8 | type u16 | epoch u64 |
//	attempt u16 | client u32 | server u32 | 0 u32
//
// Made once per worker by MakeAD, then changed field by field for each client.
type AD [ADBytes]byte

// MakeAD is the associated data for cells of one type, direction and role at
// one server of a cluster, with epoch, attempt and client still 0.
func MakeAD(cluster *[32]byte, direction, role uint8, typ uint16, server uint32) AD {
	var a AD
	le.PutUint16(a[0:2], Version)
	copy(a[2:34], cluster[:])
	a[34] = direction
	a[35] = role
	le.PutUint16(a[36:38], typ)
	le.PutUint32(a[52:56], server)
	return a
}

// SetType sets the type of the cell.
func (a *AD) SetType(typ uint16) { le.PutUint16(a[36:38], typ) }

// SetEpoch sets the epoch.
func (a *AD) SetEpoch(epoch uint64) { le.PutUint64(a[38:46], epoch) }

// SetAttempt sets the attempt; it stays 0 on the way up.
func (a *AD) SetAttempt(attempt uint16) { le.PutUint16(a[46:48], attempt) }

// SetClient sets the client's ID.
func (a *AD) SetClient(id uint32) { le.PutUint32(a[48:52], id) }

// SetServer sets the server's number in the manifest.
func (a *AD) SetServer(server uint32) { le.PutUint32(a[52:56], server) }
