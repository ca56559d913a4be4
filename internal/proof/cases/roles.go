package cases

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/ingestion"
	"github.com/teems-go/teems/internal/role/routing"
	"github.com/teems-go/teems/internal/role/storage"
	"github.com/teems-go/teems/internal/token"
)

// plan is a public plan for n records over three routers, one of them heavier.
func plan(n int) idchannel.Plan {
	return idchannel.Plan{
		Classes: idchannel.Classes{Contact: 2, Stranger: 1},
		Pattern: []uint32{0, 1, 0, 2},
		Links:   []int{n/2 + 3, n/4 + 3, n/4 + 3},
	}
}

// Survive is all of package idchannel.
var Survive = []Case{
	{
		Name: "idchannel.Sender.Prepare", Covers: []string{"idchannel.Sender.Section", "idchannel.Sender.Ranks", "idchannel.Sender.Cells"},
		make: func(b *Builder) func() {
			n, p := b.N, plan(b.N)
			in := idchannel.Records{
				Recipient: b.labels(n, n/2+1), Class: b.marks(n), Priority: b.labels(n, 3), Sender: b.labels(n, 1<<20),
				Index: make([]uint16, n), Real: b.marks(n),
			}
			w := newWorld(2, 1)
			s := idchannel.NewSender(b.W, w.keys)
			answers := b.labels(p.Links[0], 4)
			out := make([]uint32, n)
			return func() {
				must(s.Prepare(p, now, [32]byte{1}, in))
				for r := range p.Links {
					_ = s.Section(r)
				}
				copy(s.Ranks(0), bytesOf(answers))
				must(s.Cells(out))
			}
		},
	},
	{Name: "idchannel.Ranker.Rank", Covers: []string{"idchannel.Ranker.Begin"}, make: func(b *Builder) func() {
		d := idchannel.NewRanker(b.W)
		rows := b.rows(b.N, idchannel.RowBytes)
		b.fills = append(b.fills, func(r *rand.Rand) {
			for i := range b.N {
				// Few recipients, and dummies.
				row := rows.Row(i)
				binary.LittleEndian.PutUint64(row, uint64(r.IntN(5))<<32|uint64(r.IntN(2))<<31)
				if r.IntN(4) == 0 {
					binary.LittleEndian.PutUint64(row, ^uint64(0))
				}
			}
		})
		return func() {
			copy(d.Begin(b.N), rows.Data)
			d.Rank(idchannel.Classes{Contact: 2, Stranger: 1})
		}
	}},
}

// cells is a case of one of the judgements of package token.
func cells(name string, passes bool, kind uint8) Case {
	return Case{Name: name, Covers: []string{"token.Directory.Find"}, make: func(b *Builder) func() {
		w := newWorld(b.N, 1)
		const per, width = 3, cell.MessageHeader
		n := per * b.N
		in := token.Cells{Submission: per * width, Cell: width, PerSender: per}
		for i := range b.N {
			in.Senders = append(in.Senders, uint32(i))
		}
		in.Data = secret(b, make([]byte, n*width), func(r *rand.Rand, s []byte) {
			for k := range n {
				w.fillMessage(r, cell.Message(s[k*width:(k+1)*width]), kind, uint32(k/per), max(2, b.N))
			}
		})
		c := token.NewChecker(token.Rules{Passes: passes, Slots: 2, Lmax: 9, Hmax: 9},
			[]token.Key{{Era: era, MAC: w.keys}, {Era: era + 1, MAC: w.keys}}, oblivious.NewWorkers(1))
		tokens := token.Tokens{Real: make([]byte, n), Status: make([]byte, n), Recipient: make([]uint32, n), Slot: make([]uint32, n)}
		passes := token.Passes{Real: make([]byte, n), Status: make([]byte, n), Recipient: make([]uint32, n), Class: make([]byte, n), Priority: make([]uint32, n)}
		return func() {
			if kind == cell.KindToken {
				must(c.Tokens(now, w.dir, in, tokens))
			} else {
				must(c.Passes(now, w.dir, in, passes))
			}
		}
	}}
}

// Token is all of package token that meets secrets.
var Token = []Case{
	cells("token.Checker.Tokens", true, cell.KindToken),
	cells("token.Checker.Passes", true, cell.KindPass),
	cells("token.Checker.Passes", false, cell.KindPass),
	{
		Name: "token.Issuer.Issue", Covers: []string{"token.Slots.Clone", "token.Slots.CopyFrom", "token.Slots.Append", "token.ParseSlots"},
		make: func(b *Builder) func() {
			w := newWorld(b.N, 1)
			const per = 2
			width := cell.ControlHeader + per*cell.RequestBytes
			n := len(w.storing)
			in := token.Requests{First: cell.ControlHeader, Control: width, PerClient: per, Clients: w.storing}
			in.Data = secret(b, make([]byte, n*width), func(r *rand.Rand, s []byte) {
				for k := range n {
					for j := range per {
						fillRequest(r, cell.Control(s[k*width:]).Request(cell.ControlHeader+j*cell.RequestBytes), max(2, b.N))
					}
				}
			})
			x := token.NewIssuer(token.Rules{Passes: true, Slots: 2, Lmax: 9, Hmax: 20}, token.Key{Era: era, MAC: w.keys}, oblivious.NewWorkers(1))
			// Watermarks become secret by what is issued.
			slots := token.NewSlots(2, w.g.VirtualShards())
			for v := range w.g.VirtualShards() {
				must(slots.Grow(v, uint32(b.N)))
			}
			out := token.Answers{Data: make([]byte, n*per*cell.AnswerBytes), Delivery: per * cell.AnswerBytes}
			return func() {
				s := slots.Clone()
				must(x.Issue(now, w.dir, s, in, out))
				must(x.Issue(now+1, w.dir, s, in, out))
				_, err := token.ParseSlots(s.Append(nil))
				must(err)
			}
		},
	},
}

// Roles is the machines of the three roles.
var Roles = []Case{
	{
		Name: "ingestion.Role.Begin",
		Covers: []string{"ingestion.Role.Headers", "ingestion.Role.Ranks", "ingestion.Role.Complete", "ingestion.Role.Deal",
			"ingestion.Role.Section", "ingestion.Role.Statuses"},
		make: func(b *Builder) func() {
			w := newWorld(b.N, b.workers)
			m := ingestion.New(w.g, 0, w.keys, era, b.W, record.Heap{})
			width, n := w.g.SubmissionBytes(), len(w.ingesting)
			plain := secret(b, make([]byte, n*width), func(r *rand.Rand, s []byte) {
				for i, c := range w.ingesting {
					w.fillSubmission(r, cell.Submission(s[i*width:(i+1)*width]), c, max(2, b.N))
				}
			})
			late := n / 3 // this client misses the deadline: public
			subs := ingestion.Submissions{Clients: w.ingesting, Cell: func(i int) []byte {
				if i == late {
					return nil
				}
				return plain[i*width : (i+1)*width]
			}}
			var answers [][]uint32
			for r := range w.g.Routers() {
				answers = append(answers, b.labels(w.at.HeaderLink(0, r), 4))
			}
			status := make([]byte, w.g.Outs())
			return func() {
				must(m.Begin(w.at, now, [32]byte{1}, w.dir, subs))
				for r, a := range answers {
					_ = m.Headers(r)
					if len(a) > 0 {
						must(m.Ranks(r, 0, uint32(len(a)), bytesOf(a)))
					}
				}
				if m.Complete() {
					must(m.Deal())
				}
				for c := range w.at.Chunks(0) {
					for r := range w.g.Routers() {
						m.Section(c, r)
					}
				}
				for i := range n {
					m.Statuses(i, status)
				}
			}
		},
	},
	{
		Name: "routing.Role.Route",
		Covers: []string{"routing.Role.Begin", "routing.Role.Headers", "routing.Role.HeadersComplete", "routing.Role.Rank",
			"routing.Role.Ranks", "routing.Role.Deal", "routing.Role.Complete", "routing.Role.Section"},
		make: func(b *Builder) func() {
			w := newWorld(b.N, b.workers)
			m := routing.New(w.g, 0, b.W, record.Heap{})
			type input struct{ headers, heads, bodies []byte }
			var in []input
			for i := range w.g.Ingestions() {
				rows := w.at.DealRows(i, 0)
				in = append(in, input{b.rows(w.at.HeaderLink(i, 0), idchannel.RowBytes).Data, b.heads(rows, len(w.g.Storages()), w.at.Cells(0)), b.rows(rows, w.g.Stride()).Data})
			}
			return func() {
				m.Begin(w.at)
				for i, x := range in {
					if rows := len(x.headers) / idchannel.RowBytes; rows > 0 {
						must(m.Headers(i, 0, uint32(rows), x.headers))
					}
				}
				if m.HeadersComplete() {
					m.Rank()
				}
				for i := range in {
					_ = m.Ranks(i)
				}
				for i, x := range in {
					if rows := len(x.heads) / record.HeadBytes; rows > 0 {
						must(m.Deal(i, 0, uint32(rows), x.heads, x.bodies))
					}
				}
				if m.Complete() {
					m.Route()
				}
				for d := range w.g.Storages() {
					m.Section(d)
				}
			}
		},
	},
	{
		Name:   "storage.Role.Place",
		Covers: []string{"storage.Role.Begin", "storage.Role.Section", "storage.Role.Complete", "storage.PutCells"},
		make: func(b *Builder) func() {
			w := newWorld(b.N, b.workers)
			m := storage.New(w.g, 0, w.keys, era, b.W, record.Heap{})
			type input struct{ heads, bodies []byte }
			var in []input
			for r := range w.g.Routers() {
				rows := w.at.Section(r, 0)
				in = append(in, input{b.heads(rows, 1, w.at.Cells(0)), b.rows(rows, w.g.Stride()).Data})
			}
			delivery := make([]byte, w.g.DeliveryBytes())
			return func() {
				m.Begin(w.at)
				for r, x := range in {
					if rows := len(x.heads) / record.HeadBytes; rows > 0 {
						must(m.Section(r, 0, uint32(rows), x.heads, x.bodies))
					}
				}
				if !m.Complete() {
					return
				}
				boxes := m.Place()
				for u := range w.at.Users(0) {
					storage.PutCells(w.g, boxes, u, delivery)
				}
			}
		},
	},
	{Name: "storage.Role.Answer", make: func(b *Builder) func() {
		w := newWorld(b.N, b.workers)
		m := storage.New(w.g, 0, w.keys, era, b.W, record.Heap{})
		width, n := w.g.ControlBytes(), len(w.storing)
		controls := secret(b, make([]byte, n*width), func(r *rand.Rand, s []byte) {
			for k := range n {
				for j := range w.g.Requests() {
					fillRequest(r, cell.Control(s[k*width:]).Request(w.g.ControlRequest(j)), max(2, b.N))
				}
			}
		})
		slots := token.NewSlots(2, w.g.VirtualShards())
		for v := range w.g.VirtualShards() {
			must(slots.Grow(v, uint32(b.N)))
		}
		answers := make([]byte, n*w.g.Requests()*cell.AnswerBytes)
		return func() {
			must(m.Answer(now, w.dir, slots.Clone(), w.storing, width, controls, answers))
		}
	}},
	{Name: "storage.Acknowledged", make: func(b *Builder) func() {
		control := b.bytes(cell.ControlHeader)
		epochs, heads, out := []uint64{3, 4}, [][32]byte{{1}, {2}}, make([]uint64, 1)
		return func() { out[0] = storage.Acknowledged(control, epochs, heads) }
	}},
}

// heads are heads of records, some of them fit and some arbitrary.
func (b *Builder) heads(n, labels, cells int) []byte {
	return secret(b, make([]byte, n*record.HeadBytes), func(r *rand.Rand, s []byte) {
		t := record.Table{}
		t.Headers.Data, t.Headers.Width = s, record.HeadBytes
		for i := range n {
			h := record.Header{Label: uint32(r.IntN(labels + 1)), Cell: uint32(r.IntN(cells + 1)), Sender: r.Uint32(), Real: uint32(r.IntN(2))}
			if r.IntN(5) == 0 {
				h = record.Header{Label: r.Uint32(), Cell: r.Uint32(), Sender: r.Uint32(), Real: r.Uint32()}
			}
			t.SetHeader(i, h)
		}
	})
}
