package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/teems-go/teems/geometry"
)

// everything allows all types, each up to 4 KiB.
func everything() *Limits {
	var l Limits
	for _, s := range samples() {
		l.Allow(s.typ, 0, 4096)
	}
	return &l
}

// pieces hands out b in reads of at most n bytes.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(dst[:min(p.n, len(dst))], p.b)
	p.b = p.b[n:]
	return n, nil
}

func TestReader(t *testing.T) {
	var all []byte
	for range 3 {
		for _, s := range samples() {
			all = s.m.Append(all)
		}
	}
	for _, size := range []int{0, 70, 1000, 100000} {
		for _, n := range []int{1, 2, 7, 100, 5000} {
			r := NewReader(&pieces{all, n}, size)
			for range 3 {
				for _, s := range samples() {
					typ, payload, err := r.ReadFrame(everything())
					if err != nil || typ != s.typ || !bytes.Equal(payload, s.m.Append(nil)[HeaderBytes:]) {
						t.Fatalf("size %d, pieces of %d, %T: %d, %x, %v", size, n, s.m, typ, payload, err)
					}
				}
			}
			if _, _, err := r.ReadFrame(everything()); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		}
	}
	r := NewReader(iotest.DataErrReader(bytes.NewReader(all)), 64)
	for range 3 * len(samples()) {
		if _, _, err := r.ReadFrame(everything()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	frame := (&Attach{1, salt, proof}).Append(nil)
	for n := range frame {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, _, err := NewReader(bytes.NewReader(frame[:n]), 64).ReadFrame(everything()); err != want {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	var only Limits
	only.Allow(TypeAttach, attachBytes, attachBytes)
	for _, c := range []struct {
		b    []byte
		want error
	}{
		{Begin(nil, TypeAttached, 24), ErrType}, {Begin(nil, 0, 0), ErrType}, {Begin(nil, 255, 0), ErrType},
		{Begin(nil, TypeAttach, attachBytes-1), ErrLength}, {Begin(nil, TypeAttach, attachBytes+1), ErrLength},
		{Begin(nil, TypeAttach, 1<<32-1), ErrLength},
	} {
		r := NewReader(bytes.NewReader(c.b), 64)
		if _, _, err := r.ReadFrame(&only); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, want %v", c.b, err, c.want)
		}
		if cap(r.buf) > 64 {
			t.Errorf("%x: %d bytes of buffer", c.b, cap(r.buf))
		}
		if _, _, err := NewReader(bytes.NewReader(frame), 64).ReadFrame(new(Limits)); !errors.Is(err, ErrType) {
			t.Errorf("no limits: %v", err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := NewReader(iotest.ErrReader(broken), 64).ReadFrame(&only); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, _, err := NewReader(idle{}, 64).ReadFrame(&only); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// TestMixedStream reads a preamble, peer frames whose payload goes elsewhere,
// and typed frames from one connection.
func TestMixedStream(t *testing.T) {
	body := bytes.Repeat([]byte{1, 2, 3}, 336*100/3)
	var b bytes.Buffer
	w := NewWriter(&b)
	w.PutBytes(Preamble{ServiceGateway, 0}.Append(nil))
	deal := PeerHeader{Kind: KindDeal, Rows: 100}
	w.PutPeer(&deal, body[:1600], nil, body[1600:])
	w.PutPeer(&PeerHeader{Kind: KindHeaders})
	w.PutPeer(&deal, body)
	w.Put(&Detach{7})
	w.Put(&Detach{8})
	if w.Size() != 8+3*64+2*len(body)+2*9 {
		t.Errorf("size %d", w.Size())
	}
	if err := w.Flush(); err != nil || w.Size() != 0 {
		t.Fatal(err)
	}
	for _, n := range []int{1, 13, 64, 1 << 20} {
		for _, size := range []int{64, 200, 100000} {
			r := NewReader(&pieces{b.Bytes(), n}, size)
			if p, err := r.Preamble(); err != nil || p.Service != ServiceGateway {
				t.Fatal(p, err)
			}
			var h PeerHeader
			got := make([]byte, len(body))
			if err := r.ReadPeer(&h, peerLimits); err != nil || h.Rows != 100 || h.Length != uint32(len(body)) {
				t.Fatal(h, err)
			}
			if err := r.ReadFull(got); err != nil || !bytes.Equal(got, body) {
				t.Fatal("body differs", err)
			}
			if err := r.ReadPeer(&h, peerLimits); err != nil || h.Kind != KindHeaders {
				t.Fatal(h, err)
			}
			if err := r.ReadPeer(&h, peerLimits); err != nil {
				t.Fatal(err)
			}
			if err := r.Skip(int(h.Length)); err != nil {
				t.Fatal(err)
			}
			for i := range uint32(2) {
				_, payload, err := r.ReadFrame(everything())
				var d Detach
				if err != nil || d.Parse(payload) != nil || d.Session != 7+i {
					t.Fatal(d, err)
				}
			}
			if len(r.Buffered()) != 0 {
				t.Error("something is left")
			}
			if err := r.ReadFull(got[:1]); err != io.ErrUnexpectedEOF {
				t.Error(err)
			}
			if err := r.Skip(1); err != io.ErrUnexpectedEOF {
				t.Error(err)
			}
		}
	}
}

// TestWritevOverTCP: bulk arrives in order over a real connection.
func TestWritevOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	body := bytes.Repeat([]byte{5}, 336*3000)
	done := make(chan error, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			w := NewWriter(c)
			for range 3 {
				w.PutPeer(&PeerHeader{Kind: KindSection, Rows: 3000}, body[:48000], body[48000:])
			}
			err = w.Flush()
			c.Close()
		}
		done <- err
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := NewReader(c, 4096)
	got := make([]byte, len(body))
	for range 3 {
		var h PeerHeader
		if err := r.ReadPeer(&h, peerLimits); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadFull(got); err != nil || !bytes.Equal(got, body) {
			t.Fatal("body differs", err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWriterError(t *testing.T) {
	broken := errors.New("broken")
	w := NewWriter(failing{broken})
	if err := w.Flush(); err != nil {
		t.Error("wrote nothing and failed: ", err)
	}
	w.Put(&Detach{1})
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Error(err)
	}
	w.PutPeer(&PeerHeader{Kind: KindSync}, make([]byte, 40))
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestLimitsOfGeometry: the limits by kind of connection admit the cells of a
// geometry and nothing longer, and no type of the other direction.
func TestLimitsOfGeometry(t *testing.T) {
	g := someGeometry(t)
	up, down := g.UpCellBytes(), g.DownCellBytes()
	for name, c := range map[string]struct {
		limits *Limits
		types  map[Type]int // longest payload
	}{
		"from client": {FromClient(g), map[Type]int{TypeAttach: 36, TypeCellUp: 20 + up}},
		"to client":   {ToClient(g), map[Type]int{TypeAttached: 24, TypeCellDown: 12 + down, TypeRefused: 12}},
		"from gateway": {FromGateway(g), map[Type]int{TypeGatewayAttach: geometry.GatewayAttachBytes, TypeDetach: 4,
			TypeGatewayCellUp: 24 + up}},
		"to gateway": {ToGateway(g), map[Type]int{TypeGatewayAttached: 28, TypeGatewayCellDown: 16 + down, TypeGatewayRefused: 16,
			TypeStopped: geometry.StoppedLimit}},
		"from coordinator": {FromCoordinator(g), map[Type]int{TypePropose: g.ProposeLimit()}},
		"to coordinator":   {ToCoordinator(g), map[Type]int{TypeStatus: g.StatusLimit(), TypeStopped: geometry.StoppedLimit}},
		"gateway to coordinator": {GatewayToCoordinator(),
			map[Type]int{TypeConnections: geometry.ConnectionBytes * geometry.ConnectionFrameRows}},
	} {
		for typ := range Type(255) {
			most, ok := c.types[typ]
			if !ok {
				if err := c.limits.check(typ, 20); !errors.Is(err, ErrType) {
					t.Errorf("%s: type %d: %v", name, typ, err)
				}
				continue
			}
			if c.limits.check(typ, uint32(most)) != nil || !errors.Is(c.limits.check(typ, uint32(most)+1), ErrLength) {
				t.Errorf("%s: the longest payload of type %d is not %d", name, typ, most)
			}
		}
	}
	if l := PeerLimitsOf(g); l.Bytes != geometry.FrameLimit || l.Servers != g.Servers() || l.RowBytes != g.RowBytes() {
		t.Errorf("%+v", l)
	}
	for name, pair := range map[string][2]int{
		"header": {HeaderBytes, geometry.CellFrameHeaderBytes}, "peer header": {PeerHeaderBytes, geometry.FrameHeaderBytes},
		"preamble": {PreambleBytes, geometry.PreambleBytes}, "attach": {attachBytes, geometry.AttachBytes},
		"attached": {attachedBytes, geometry.AttachedBytes}, "cell up": {cellUpBytes, geometry.ClientCellHeadBytes},
		"cell down": {cellDownBytes, geometry.ServerCellHeadBytes}, "refused": {refusedBytes, geometry.RefusedBytes},
		"sync": {syncBytes, geometry.SyncBytes}, "member": {memberRow, geometry.MemberBytes},
		"tag": {tagRow, geometry.PreparedBytes}, "header row": {headerRow, geometry.HeaderBytes},
		"rank": {rankRow, geometry.RankBytes}, "propose": {proposeHead, geometry.ProposeHeadBytes},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %d bytes here, %d in geometry", name, pair[0], pair[1])
		}
	}
}

func TestCellsDoNotAllocate(t *testing.T) {
	one := GatewayCellUp{1, CellUp{1, 2, 3, make([]byte, 400)}}
	frame := one.Append(nil)
	source := &pieces{}
	r := NewReader(source, 4096)
	w := NewWriter(io.Discard)
	limits := everything()
	var cell GatewayCellUp
	down := &GatewayCellDown{1, CellDown{3, 1, 2, make([]byte, 400)}}
	h, bulk := &PeerHeader{Kind: KindDeal}, make([]byte, 336)
	run := func() {
		source.b, source.n = frame, 4096
		_, payload, err := r.ReadFrame(limits)
		if err != nil || cell.Parse(payload) != nil {
			t.Fatal(err)
		}
		w.Put(down)
		w.PutBytes(payload)
		w.PutPeer(h, bulk)
		w.Flush()
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadCell(b *testing.B) {
	one := GatewayCellUp{1, CellUp{1, 2, 3, make([]byte, 400)}}
	var frames []byte
	for range 64 {
		frames = one.Append(frames)
	}
	source := &pieces{}
	r := NewReader(source, 1<<16)
	limits := everything()
	var cell GatewayCellUp
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%64 == 0 {
			source.b, source.n = frames, 1<<16
		}
		_, payload, err := r.ReadFrame(limits)
		if err != nil || cell.Parse(payload) != nil {
			b.Fatal(err)
		}
	}
}

func someGeometry(t *testing.T) *geometry.Geometry {
	t.Helper()
	g, err := geometry.New(geometry.Params{Capacity: 1000, CellBytes: 256,
		Servers: []geometry.Server{{Roles: geometry.AllRoles, Weight: 1}, {Roles: geometry.AllRoles, Weight: 2}},
		ID:      geometry.IDChannel{Out: 1, Contact: 2, Stranger: 2},
		Token:   geometry.TokenChannel{Out: 1, In: 4}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}
