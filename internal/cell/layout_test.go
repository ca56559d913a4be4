package cell

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"

	"github.com/teems-go/teems/geometry"
)

// field is one line of docs/protocol.md: where a field lies, how a view sets
// it, and how it reads it.
type field struct {
	name     string
	at, size int
	set      func(v uint64)
	get      func() uint64
}

// checkFields sets every field to a pattern and compares all of the bytes.
func checkFields(t *testing.T, what string, b []byte, fields []field) {
	t.Helper()
	for _, f := range fields {
		clear(b)
		const pattern = 0xf1e2d3c4b5a69788
		v := uint64(pattern)
		if f.size < 8 {
			v &= 1<<(8*f.size) - 1
		}
		want := make([]byte, len(b))
		var le8 [8]byte
		binary.LittleEndian.PutUint64(le8[:], v)
		copy(want[f.at:f.at+f.size], le8[:])
		f.set(v)
		if !bytes.Equal(b, want) {
			t.Errorf("%s: setting %s wrote\n%x, want\n%x", what, f.name, b, want)
		}
		if got := f.get(); got != v {
			t.Errorf("%s: %s reads %#x, want %#x", what, f.name, got, v)
		}
	}
}

func u8(name string, at int, set func(uint8), get func() uint8) field {
	return field{name, at, 1, func(v uint64) { set(uint8(v)) }, func() uint64 { return uint64(get()) }}
}

func u16(name string, at int, set func(uint16), get func() uint16) field {
	return field{name, at, 2, func(v uint64) { set(uint16(v)) }, func() uint64 { return uint64(get()) }}
}

func u32(name string, at int, set func(uint32), get func() uint32) field {
	return field{name, at, 4, func(v uint64) { set(uint32(v)) }, func() uint64 { return uint64(get()) }}
}

func u64(name string, at int, set func(uint64), get func() uint64) field {
	return field{name, at, 8, set, get}
}

// checkView compares a view of bytes inside b with its place.
func checkView(t *testing.T, what string, b, view []byte, at, size int) {
	t.Helper()
	if len(view) != size || cap(view) != size && size < 64 || &view[0] != &b[at] {
		t.Errorf("%s is not the %d bytes at %d", what, size, at)
	}
}

func TestLayouts(t *testing.T) {
	s := Submission(make([]byte, 64+2*96))
	checkFields(t, "submission", s, []field{
		u64("resultsThrough", 0, s.SetResultsThrough, s.ResultsThrough),
		u64("echoEpoch", 8, s.SetEchoEpoch, s.EchoEpoch),
	})
	checkView(t, "echoHead", s, s.EchoHead(), 16, 32)
	checkView(t, "echoMAC", s, s.EchoMAC(), 48, 16)
	checkView(t, "message 1", s, s.Message(160, 96), 160, 96)

	m := Message(make([]byte, 96))
	checkFields(t, "message", m, []field{
		u8("kind", 0, m.SetKind, m.Kind), u16("slot", 2, m.SetSlot, m.Slot),
		u32("recipient", 4, m.SetRecipient, m.Recipient), u32("priority", 8, m.SetPriority, m.Priority),
		u32("ceiling", 12, m.SetCeiling, m.Ceiling), u64("e1", 16, m.SetE1, m.E1), u64("e2", 24, m.SetE2, m.E2),
		u32("era", 32, m.SetEra, m.Era), u32("generation", 36, m.SetGeneration, m.Generation),
	})
	checkView(t, "message mac", m, m.MAC(), 40, 16)
	checkView(t, "message body", m, m.Body(), 64, 32)

	c := Control(make([]byte, 64+2*32))
	checkFields(t, "control", c, []field{u64("ackEpoch", 0, c.SetAckEpoch, c.AckEpoch)})
	checkView(t, "ackHead", c, c.AckHead(), 8, 32)
	checkView(t, "request", c, c.Request(96), 96, 32)
	q := Request(make([]byte, 32))
	checkFields(t, "request", q, []field{
		u8("kind", 0, q.SetKind, q.Kind), u16("slot", 2, q.SetSlot, q.Slot), u32("sender", 4, q.SetSender, q.Sender),
		u32("ceiling", 8, q.SetCeiling, q.Ceiling), u64("e1", 16, q.SetE1, q.E1), u64("e2", 24, q.SetE2, q.E2),
	})

	r := Result(make([]byte, 96))
	checkFields(t, "result", r, []field{
		u64("epoch", 0, r.SetEpoch, r.Epoch), u16("attempt", 8, r.SetAttempt, r.Attempt),
		u16("flags", 10, r.SetFlags, r.Flags),
		u8("status", 81, func(v uint8) { r.SetStatus(81, v) }, func() uint8 { return r.Status(81) }),
	})
	checkView(t, "acceptedTag", r, r.AcceptedTag(), 16, 16)
	checkView(t, "result head", r, r.Head(), 32, 32)
	checkView(t, "result headMAC", r, r.HeadMAC(), 64, 16)

	d := Delivery(make([]byte, 96+48+64))
	checkFields(t, "delivery", d, []field{
		u64("epoch", 0, d.SetEpoch, d.Epoch), u16("attempt", 8, d.SetAttempt, d.Attempt),
		u16("flags", 10, d.SetFlags, d.Flags), u32("dropped", 12, d.SetDropped, d.Dropped),
		u64("ackedThrough", 48, d.SetAckedThrough, d.AckedThrough),
	})
	checkView(t, "delivery head", d, d.Head(), 16, 32)
	checkView(t, "delivery headMAC", d, d.HeadMAC(), 56, 16)
	r.SetEpoch(5)
	d.SetEpoch(6)
	if r.Open() != 6 || d.Open() != 7 {
		t.Errorf("the result of epoch 5 opens %d, the delivery of epoch 6 opens %d", r.Open(), d.Open())
	}
	checkView(t, "mailbox cell", d, d.Cell(96, 48), 96, 48)
	checkView(t, "answer", d, d.Answer(144), 144, 64)
	x := Mailbox(make([]byte, 48))
	checkFields(t, "mailbox", x, []field{u8("kind", 0, x.SetKind, x.Kind), u32("sender", 4, x.SetSender, x.Sender)})
	checkView(t, "mailbox body", x, x.Body(), 16, 32)
	a := Answer(make([]byte, 64))
	checkFields(t, "answer", a, []field{
		u8("status", 0, a.SetStatus, a.Status), u8("kind", 1, a.SetKind, a.Kind), u16("slot", 2, a.SetSlot, a.Slot),
		u32("sender", 4, a.SetSender, a.Sender), u32("ceiling", 8, a.SetCeiling, a.Ceiling), u32("era", 12, a.SetEra, a.Era),
		u64("e1", 16, a.SetE1, a.E1), u64("e2", 24, a.SetE2, a.E2), u32("generation", 32, a.SetGeneration, a.Generation),
	})
	checkView(t, "answer mac", a, a.MAC(), 40, 16)
}

func TestAnnouncement(t *testing.T) {
	a := Announcement(make([]byte, AnnouncementBytes))
	for _, c := range []struct{ open, head uint64 }{{0, 0}, {1, 0}, {2, 0}, {3, 1}, {1 << 63, 1<<63 - 2}} {
		a.SetOpen(c.open)
		if a.Open() != c.open || a.HeadEpoch() != c.head || HeadEpoch(c.open) != c.head {
			t.Errorf("open %d announces the head of %d, want %d", a.Open(), a.HeadEpoch(), c.head)
		}
	}
	checkView(t, "head", a, a.Head(), 16, 32)
	checkView(t, "headMAC", a, a.HeadMAC(), 48, 16)
}

func TestNoncesAndAD(t *testing.T) {
	n := [NonceBytes]byte{9: 0xff, 11: 0xff}
	PutUpNonce(&n, 0x0807060504030201, 0x0a09)
	if n != [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0} {
		t.Errorf("up nonce %x", n)
	}
	PutDownNonce(&n, 0x0807060504030201, 0x0a09, 0x0c0b)
	if n != [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12} {
		t.Errorf("down nonce %x", n)
	}
	cluster := [32]byte{0xc0, 31: 0xc1}
	ad := MakeAD(&cluster, Down, RoleStorage, 0x0201, 0x0d0c0b0a)
	ad.SetEpoch(0x1817161514131211)
	ad.SetAttempt(0x2221)
	ad.SetClient(0x34333231)
	want := append([]byte{1, 0}, cluster[:]...)
	want = append(want, 1, 2, 1, 2, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22,
		0x31, 0x32, 0x33, 0x34, 0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 0)
	if !bytes.Equal(ad[:], want) {
		t.Errorf("associated data\n%x, want\n%x", ad, want)
	}
	ad.SetType(7)
	ad.SetServer(8)
	if ad[36] != 7 || ad[37] != 0 || ad[52] != 8 || ad[53] != 0 {
		t.Error("SetType or SetServer wrote elsewhere")
	}
}

// A sealed cell is named by its last 16 bytes.
func TestTag(t *testing.T) {
	sealed := make([]byte, 40)
	for i := range sealed {
		sealed[i] = byte(i)
	}
	if got := Tag(sealed); !bytes.Equal(got[:], sealed[24:]) {
		t.Errorf("the tag is %x", got)
	}
}

func TestMACInputs(t *testing.T) {
	want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
		25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 0, 0, 0, 0, 0, 0, 0, 0}
	token := Token{Kind: 1, Channel: 2, Slot: 0x0403, Sender: 0x08070605, Recipient: 0x0c0b0a09,
		Ceiling: 0x100f0e0d, Era: 0x14131211, Generation: 0x18171615,
		E1: 0x201f1e1d1c1b1a19, E2: 0x2827262524232221, MAC: [16]byte{0xaa, 15: 0xbb}}
	got := bytes.Repeat([]byte{0xff}, MACInputBytes)
	token.PutMACInput(got)
	if !bytes.Equal(got, want) {
		t.Errorf("token: %x, want %x", got, want)
	}
	m := Message(make([]byte, MessageHeader))
	m.SetToken(&token)
	got = bytes.Repeat([]byte{0xff}, MACInputBytes)
	m.PutMACInput(got, 1, 2, token.Sender)
	if !bytes.Equal(got, want) || !bytes.Equal(m.MAC(), token.MAC[:]) || m.Kind() != Dummy || m.Priority() != 0 {
		t.Errorf("message: %x, want %x", got, want)
	}
	a := Answer(make([]byte, AnswerBytes))
	token.Ceiling = 0 // or it is no token
	a.SetStatus(AnswerIssued)
	a.SetKind(token.Kind)
	a.SetSlot(token.Slot)
	a.SetSender(token.Sender)
	a.SetEra(token.Era)
	a.SetGeneration(token.Generation)
	a.SetE1(token.E1)
	a.SetE2(token.E2)
	copy(a.MAC(), token.MAC[:])
	if back, ok := a.Token(token.Recipient); !ok || back != token {
		t.Errorf("the answer holds %+v (%v), want %+v", back, ok, token)
	}
	want2 := make([]byte, MACInputBytes)
	token.PutMACInput(want2)
	a.PutMACInput(got, ChannelToken, token.Recipient)
	if !bytes.Equal(got, want2) {
		t.Errorf("answer: %x, want %x", got, want2)
	}
	a.SetStatus(AnswerOverlap)
	if _, ok := a.Token(1); ok {
		t.Error("a refusal gave a token")
	}
}

// TestGeometry compares the fixed sizes here with those geometry counts with.
func TestGeometry(t *testing.T) {
	for _, c := range []struct {
		name       string
		here, want int
	}{
		{"submission", SubmissionHeader, geometry.SubmissionHeadBytes}, {"message", MessageHeader, geometry.MessageHeadBytes},
		{"control", ControlHeader, geometry.ControlHeadBytes}, {"request", RequestBytes, geometry.RequestBytes},
		{"result", ResultHeader, geometry.ResultHeadBytes}, {"delivery", DeliveryHeader, geometry.DeliveryHeadBytes},
		{"mailbox", MailboxHeader, geometry.DeliveryCellHeadBytes}, {"answer", AnswerBytes, geometry.AnswerBytes},
		{"announcement", AnnouncementBytes, geometry.AnnouncementBytes}, {"tag", TagBytes, geometry.TagBytes},
	} {
		if c.here != c.want {
			t.Errorf("%s: %d bytes here, %d in geometry", c.name, c.here, c.want)
		}
	}
}

func TestViewsDoNotAllocate(t *testing.T) {
	s := Submission(make([]byte, 64+96))
	cluster := [32]byte{1}
	var in [MACInputBytes]byte
	var nonce [NonceBytes]byte
	if n := testing.AllocsPerRun(100, func() {
		m := s.Message(64, 96)
		m.SetRecipient(m.Recipient() + uint32(m.Slot()) + uint32(m.Kind()))
		m.PutMACInput(in[:], KindToken, ChannelToken, 1)
		ad := MakeAD(&cluster, Up, RoleIngestion, TypeSubmission, 1)
		ad.SetClient(2)
		PutUpNonce(&nonce, 1, TypeSubmission)
		in[0] = ad[0]
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLayer keeps the package where a machine may use it.
func TestLayer(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip("no go command: ", err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		switch p {
		case "os", "net", "syscall", "time", "log", "fmt", "context":
			t.Errorf("reaches %s", p)
		}
	}
}
