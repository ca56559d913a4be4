// Package model predicts how long an epoch takes, and what it costs, for any
// number of clients, servers and threads and any network, from costs of single
// steps that were measured on one core ([Calibration]), the counts and bytes
// that geometry gives, and a simple network.
//
// Bytes and counts are exact: they are geometry's (beyond its largest system,
// the same formulas). Times are a model: steps measured alone, a residual for
// each client and server fitted to measured runs, Amdahl's law for threads, and
// phases that do not overlap. Tests say how far that is from what was measured.
package model

import (
	"fmt"
	"math"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/probe"
)

// System is what is asked about: M equal servers with all roles, one message a
// client and epoch on one channel.
type System struct {
	Channel string // experiment.ID or experiment.Token
	N, M, T int    // clients, servers, threads of a server
	B       int    // bytes of a message
}

// Load is what the busiest server works on in an epoch, in rows, and what it
// sends. Servers are equal, so all are about as busy.
type Load struct {
	Clients   float64 // of its mailboxes; as many submit to it
	Records   float64 // that it deals
	Chunk     float64 // rows that it deals at a time
	Routed    float64 // rows that it sorts into sections
	Placed    float64 // rows that it places
	Sent      float64 // headers that it sends (ID channel)
	Ranked    float64 // headers that it ranks (ID channel)
	Bytes     float64 // that it sends to all others, in bulk frames
	Frames    float64 // that it sends to all others: bulk, registrations and votes
	Phases    []Phase // of those bytes, in order
	Memory    float64 // bytes of its tables
	Estimated bool    // not from geometry itself, whose limits the system passes
}

// Phase is a step of the epoch that ends with everyone having received.
type Phase struct {
	Name  string
	Bytes float64
}

func (s System) params() geometry.Params {
	return probe.Params(experiment.Experiment{Channel: s.Channel, N: s.N, M: s.M, B: s.B})
}

// ClientBytes returns the bytes of an epoch's sealed cells to and from a client.
func (s System) ClientBytes() (int, error) {
	s.N, s.M = 1, 1 // cells depend on neither: all servers have all roles
	g, err := geometry.New(s.params())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrModel, err)
	}
	n := 0
	for _, h := range cell.Assignments(g, 0) {
		n += geometry.Sealed(cell.UpBytes(g, h.Role)) + geometry.Sealed(cell.DownBytes(g, h.Role))
	}
	return n, nil
}

func (s System) check() error {
	if s.N < 1 || s.M < 1 || s.T < 1 || s.N < s.M || s.Channel != experiment.ID && s.Channel != experiment.Token {
		return fmt.Errorf("%w: %+v: it needs clients, servers, threads, no more servers than clients, and the channel id or token", ErrModel, s)
	}
	return nil
}

// Load returns the load of an epoch in which every client submits.
func (s System) Load() (Load, error) {
	if err := s.check(); err != nil {
		return Load{}, err
	}
	if s.M > geometry.MaxServers || s.N > geometry.MaxCapacity {
		return s.formula()
	}
	g, err := geometry.New(s.params())
	if err != nil {
		return Load{}, fmt.Errorf("%w: %w", ErrModel, err)
	}
	users := make([]int, g.VirtualShards())
	ingesting := make([]int, s.M)
	for v, i := range g.IngestionTable() {
		users[v] = g.MaxUsers(v)
		ingesting[i] += users[v]
	}
	a, err := g.Attempt(users, ingesting)
	if err != nil {
		return Load{}, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return exact(g, a), nil
}

// oneEach is how many frames a server sends to every other one besides the bulk
// frames: registrations, and the two rounds of votes.
const oneEach = 1 + votes

// exact reads the load of server 0, which has a client more than others if the
// number does not divide.
func exact(g *geometry.Geometry, a *geometry.Attempt) Load {
	l := Load{
		Clients: float64(a.Users(0)), Records: float64(a.Records(0)), Routed: float64(a.RouterWork(0)), Placed: float64(a.Places(0)),
		Sent: float64(a.HeaderWork(0)), Ranked: float64(a.RouterHeaders(0)), Memory: float64(a.Memory(0)),
	}
	if chunks := a.Chunks(0); chunks > 0 {
		from, to := a.Chunk(0, 0)
		l.Chunk = float64(to - from)
	}
	var headers, ranks, deal, section, frames float64
	l.Frames = float64(oneEach * (g.Servers() - 1))
	for to := 1; to < g.Servers(); to++ {
		all := float64(a.LinkBytes(0, to))
		h, k := float64(g.HeaderFrameBytes(a.HeaderLink(0, to))), float64(g.RankFrameBytes(a.HeaderLink(to, 0)))
		d, s := float64(g.RowFrameBytes(a.DealRows(0, to))), float64(g.RowFrameBytes(a.Section(0, to)))
		headers, ranks, deal, section = headers+h, ranks+k, deal+d, section+s
		frames += all - h - k - d - s
		l.Bytes += all
		l.Frames += float64(a.HeaderFrames(0, to) + a.HeaderFrames(to, 0) + a.SectionFrames(0, to))
		for c := range a.Chunks(0) {
			l.Frames += float64(a.DealFrames(0, c, to))
		}
	}
	l.phases(headers, ranks, deal, section, frames)
	return l
}

// phases notes the phases; the headers of frames are shared out.
func (l *Load) phases(headers, ranks, deal, section, frames float64) {
	sum := headers + ranks + deal + section
	for _, p := range []Phase{{"headers", headers}, {"ranks", ranks}, {"deal", deal}, {"sections", section}} {
		if p.Bytes > 0 {
			p.Bytes += frames * p.Bytes / sum
			l.Phases = append(l.Phases, p)
		}
	}
}

// formula is what geometry does for equal servers, in real numbers and without
// its limits; a test compares the two.
func (s System) formula() (Load, error) {
	small := s
	small.N, small.M = 1, 1 // for the sizes of rows, which depend on neither
	g, err := geometry.New(small.params())
	if err != nil {
		return Load{}, fmt.Errorf("%w: %w", ErrModel, err)
	}
	m := float64(s.M)
	l := Load{Estimated: true}
	l.Clients = math.Ceil(float64(s.N) / m)
	l.Records = math.Ceil(l.Clients/m) * m
	chunks := m * math.Ceil(l.Records/geometry.ChunkRecords)
	l.Chunk = min(geometry.ChunkRecords, l.Records)
	if 50*chunks*(m-1) > l.Clients {
		chunks, l.Chunk = m, l.Records
	}
	section := math.Floor(min(l.Clients, l.Records, (l.Clients+chunks*(m-1))/m))
	l.Routed = max(m*section, l.Records)
	l.Placed = max(m*section, l.Clients)
	others := (m - 1) / m
	row := float64(g.RowFrameBytes(1))
	deal, sections := l.Records*others*row, section*(m-1)*row
	var headers, ranks float64
	if s.Channel == experiment.ID {
		link := linkRows(l.Clients, m)
		l.Sent, l.Ranked = max(link*m, l.Clients), link*m
		headers = link * (m - 1) * float64(g.HeaderFrameBytes(1))
		ranks = link * (m - 1) * float64(g.RankFrameBytes(1))
		l.Frames = 2 * (m - 1) * math.Ceil(link/float64(g.HeaderFrameRows()))
	}
	per := func(rows float64) float64 { return math.Ceil(rows / float64(g.FrameRows())) }
	full := chunks/m - 1 // the last chunk is shorter
	bulk := (m - 1) * (per(section) + full*per(l.Chunk/m) + per((l.Records-full*l.Chunk)/m))
	l.Frames += bulk + oneEach*(m-1)
	frames := geometry.FrameHeaderBytes * bulk
	l.Bytes = headers + ranks + deal + sections + frames
	l.phases(headers, ranks, deal, sections, frames)
	for _, size := range g.Sizes(geometry.Numbers{
		Clients: int(l.Clients), Records: int(l.Records), Headers: int(l.Sent), RouterRecords: int(l.Routed), RouterHeaders: int(l.Ranked),
		Mailboxes: int(l.Clients), Places: int(l.Placed), Users: s.N,
	}) {
		l.Memory += float64(size.Bytes)
	}
	return l, nil
}

// linkRows is the bound of geometry on a header link, for k = 1 and equal
// weights: the least L above n/m whose Chernoff bound is below 2^-80 over all
// links, less 1.
func linkRows(n, m float64) float64 {
	if m == 1 {
		return n
	}
	need := 80*math.Ln2 + 2*math.Log(m)
	unlikely := func(l float64) bool {
		a, p := l/n, 1/m
		d := a * math.Log(a/p)
		if a < 1 {
			d += (1 - a) * math.Log((1-a)/(1-p))
		}
		return n*d >= need
	}
	if !unlikely(n) {
		return n
	}
	low, high := math.Floor(n/m), n
	for high-low > 1 {
		if mid := math.Floor((low + high) / 2); unlikely(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high - 1
}
