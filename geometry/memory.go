package geometry

// Size is one thing that a server keeps in memory, at the fullest moment of
// steady epochs.
type Size struct {
	Name  string
	Bytes int64
}

// Numbers are what the sizes of a server follow from.
type Numbers struct {
	Clients, Records, Headers    int // ingestion: Ingesting, Records, HeaderWork
	RouterRecords, RouterHeaders int // routing: RouterWork, RouterHeaders
	Mailboxes, Places            int // storage: Users, Places
	Users                        int // of all servers
}

// What is kept for each row or client, in bytes. The scratch columns are
// estimates, all else is exact.
const (
	recordScratch  = 40  // of a record at an ingestion server: judged, addressed and dealt
	routeScratch   = 9   // of a record at a router
	placeScratch   = 24  // of a record at a storage server
	senderScratch  = 100 // of a header at an ingestion server: sorted, split and put together again
	deciderScratch = 68  // of a header at a router
	verdictBytes   = 17  // of a result that is kept, and a status for each cell
	markBytes      = 8   // an epoch
	registryBytes  = 36  // the hash of a client's key, and its generation
)

// Sizes lists what a server keeps in memory in steady epochs: its clients
// acknowledge every epoch in the next, and none submits while an epoch is
// routed. It leaves out sessions, which are as many as gateways attach, code,
// buffers of links, and the slack of the heap.
func (g *Geometry) Sizes(n Numbers) []Size {
	bytes := func(rows, width int) int64 { return int64(rows) * int64(width) }
	row, taken := g.RowBytes(), TagBytes+1
	return []Size{
		{"submissions", bytes(n.Clients, g.SubmissionBytes()+taken)},
		// A joint cell is counted as two, with the tag and the mark of both.
		{"control cells", bytes(n.Mailboxes, g.ControlBytes()+taken)},
		// A table is given back when its records have been sent, and the next
		// role's takes its memory; it is one more while a link is slow to take them.
		{"tables of two roles at a time", bytes(n.RouterRecords+max(n.Records, n.Places), row)},
		{"mailboxes of the epoch before", bytes(n.Places, row)},
		{"answers and acknowledgements of two epochs", bytes(2*n.Mailboxes, g.Requests()*AnswerBytes+markBytes)},
		{"verdicts of two epochs", bytes(2*n.Clients, verdictBytes+g.Outs()+markBytes)},
		{"watermarks, twice, and what was acknowledged", bytes(n.Mailboxes, (2*g.p.Token.In+1)*markBytes) + bytes(n.Clients, markBytes)},
		{"columns beside the tables", bytes(n.Records, recordScratch) + bytes(n.RouterRecords, routeScratch) + bytes(n.Places, placeScratch)},
		{"headers and ranks", bytes(n.Headers, senderScratch) + bytes(n.RouterHeaders, deciderScratch)},
		{"registry", bytes(n.Users, registryBytes)},
	}
}

// Sizes lists what one server (not role index) keeps in memory in attempts like
// this one.
func (a *Attempt) Sizes(server int) []Size {
	var n Numbers
	for _, users := range a.users {
		n.Users += users
	}
	if i, ok := a.g.IngestionIndex(server); ok {
		n.Clients, n.Records, n.Headers = a.Ingesting(i), a.Records(i), a.HeaderWork(i)
	}
	if r, ok := a.g.RouterIndex(server); ok {
		n.RouterRecords, n.RouterHeaders = a.RouterWork(r), a.RouterHeaders(r)
	}
	if d, ok := a.g.StorageIndex(server); ok {
		n.Mailboxes, n.Places = a.Users(d), a.Places(d)
	}
	return a.g.Sizes(n)
}

// Memory is the sum of Sizes.
func (a *Attempt) Memory(server int) int64 { return sumOf(a.Sizes(server)) }

func sumOf(sizes []Size) (n int64) {
	for _, s := range sizes {
		n += s.Bytes
	}
	return n
}
