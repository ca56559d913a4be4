package geometry

import "testing"

// The numbers that docs/protocol.md gives for the defaults.
func TestSizesOfTheDefaults(t *testing.T) {
	sim, up := mustNew(t, simParams(1<<20, 4)), mustNew(t, upParams(1<<20, 4))
	for _, c := range []struct {
		name          string
		get           func(*Geometry) int
		forSim, forUp int
	}{
		{"Outs", (*Geometry).Outs, 2, 2},
		{"IDIns", (*Geometry).IDIns, 1, 4},
		{"Ins", (*Geometry).Ins, 2, 8},
		{"StrangerCell", (*Geometry).StrangerCell, 1, 2},
		{"TokenCell", (*Geometry).TokenCell, 1, 4},
		{"Requests", (*Geometry).Requests, 2, 6},
		{"Stride", (*Geometry).Stride, 256, 256},
		{"RowBytes", (*Geometry).RowBytes, 272, 272},
		{"MessageBytes", (*Geometry).MessageBytes, 320, 320},
		{"SubmissionBytes", (*Geometry).SubmissionBytes, 704, 704},
		{"ControlBytes", (*Geometry).ControlBytes, 128, 256},
		{"ResultBytes", (*Geometry).ResultBytes, 96, 96},
		{"DeliveryBytes", (*Geometry).DeliveryBytes, 96 + 2*272 + 2*64, 96 + 8*272 + 6*64},
		{"JointSubmissionBytes", (*Geometry).JointSubmissionBytes, 704 + 128, 704 + 256},
		{"JointDeliveryBytes", (*Geometry).JointDeliveryBytes, 96 + 768, 96 + 2656},
		{"FrameRows", (*Geometry).FrameRows, 1024, 1024},
		{"HeaderFrameRows", (*Geometry).HeaderFrameRows, 11605, 11605},
		{"CommittedBytes", (*Geometry).CommittedBytes, 64, 64},
		{"ClientUpLimit", (*Geometry).ClientUpLimit, 20 + 832 + 16, 20 + 960 + 16},
		{"ClientDownLimit", (*Geometry).ClientDownLimit, 12 + 864 + 16, 12 + 2752 + 16},
		{"GatewayUpLimit", (*Geometry).GatewayUpLimit, 24 + 832 + 16, 24 + 960 + 16},
		{"GatewayDownLimit", (*Geometry).GatewayDownLimit, 16 + 864 + 16, 16 + 2752 + 16},
		{"ProposeLimit", (*Geometry).ProposeLimit, 12 + 4 + 2*131072, 12 + 4 + 2*131072},
	} {
		if got := c.get(sim); got != c.forSim {
			t.Errorf("sim: %s is %d, want %d", c.name, got, c.forSim)
		}
		if got := c.get(up); got != c.forUp {
			t.Errorf("up: %s is %d, want %d", c.name, got, c.forUp)
		}
	}
}

// The parts of a cell tile it, and frames hold what they say, for many B and k.
func TestLayoutsTile(t *testing.T) {
	for seed := range uint64(300) {
		rng := newRand(seed)
		k := func() int { return 1 + rng.IntN(MaxPerChannel) }
		p := simParams(1000, 1+rng.IntN(MaxServers))
		p.CellBytes = 16 * (1 + rng.IntN(MaxCellBytes/16))
		p.ID = IDChannel{Out: k(), Contact: k(), Stranger: k()}
		p.Token = TokenChannel{k(), k()}
		g := mustNew(t, p)
		for _, c := range []struct {
			name                    string
			offset                  func(int) int
			head, parts, part, size int
		}{
			{"submission", g.SubmissionCell, 64, g.Outs(), 64 + p.CellBytes, g.SubmissionBytes()},
			{"control", g.ControlRequest, 64, g.Requests(), 32, g.ControlBytes()},
			{"delivery cells", g.DeliveryCell, 96, g.Ins(), 16 + p.CellBytes, g.DeliveryAnswer(0)},
			{"delivery answers", g.DeliveryAnswer, g.DeliveryCell(g.Ins()), g.Requests(), 64, g.DeliveryBytes()},
		} {
			at := c.head
			for j := range c.parts {
				if c.offset(j) != at {
					t.Fatalf("seed %d: %s: part %d at %d, want %d", seed, c.name, j, c.offset(j), at)
				}
				at += c.part
			}
			if at != c.size {
				t.Fatalf("seed %d: %s: parts end at %d of %d", seed, c.name, at, c.size)
			}
		}
		if s := g.Stride(); s%64 != 0 || s < p.CellBytes || s >= p.CellBytes+64 {
			t.Fatalf("seed %d: stride %d for B %d", seed, s, p.CellBytes)
		}
		if end := g.ResultStatus(g.Outs()); g.ResultBytes()%16 != 0 || g.ResultBytes() < end || g.ResultBytes() >= end+16 {
			t.Fatalf("seed %d: result of %d for %d", seed, g.ResultBytes(), g.Outs())
		}
		if n := g.FrameRows(); n < 64 || g.RowFrameBytes(n) > FrameLimit || n > 64 && g.RowFrameBytes(n) > FrameUsual || g.RowFrameBytes(n+1) <= FrameUsual {
			t.Fatalf("seed %d: %d rows a frame", seed, n)
		}
		for _, n := range []int{g.HeaderFrameBytes(g.HeaderFrameRows()), g.RankFrameBytes(g.HeaderFrameRows()),
			g.MemberFrameBytes(MemberFrameRows), ConnectionFrameRows * ConnectionBytes, g.CommittedBytes(), SyncBytes} {
			if n > FrameLimit {
				t.Fatalf("seed %d: a frame of %d", seed, n)
			}
		}
	}
}
