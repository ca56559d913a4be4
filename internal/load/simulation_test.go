package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

const (
	fakeClients = 12
	fakeFirst   = Lead + 1
	fakeEpochs  = 6
)

func runFake(t *testing.T, l layout, cfg Config, out io.Writer) Account {
	t.Helper()
	cfg.First, cfg.Last = fakeFirst, fakeFirst+fakeEpochs-1
	f := newFake(t, l, fakeClients, cfg, out)
	for epoch := uint64(1); epoch <= cfg.Last; epoch++ {
		f.epoch(epoch)
	}
	select {
	case <-f.s.ledger.done:
	default:
		t.Fatal("it is not done")
	}
	if n := f.s.outOfToken.Load(); n != 0 {
		t.Errorf("%d messages without a token", n)
	}
	a := f.s.ledger.account()
	a.TokensIssued = int(f.s.issued.Load())
	return a
}

func TestSimulation(t *testing.T) {
	for name, l := range layouts {
		for _, span := range []int{0, 1, 2, 4} {
			a := runFake(t, l, Config{Seed: 5, TokenSpan: span}, io.Discard)
			issued := fakeClients
			if span > 0 {
				issued *= (fakeEpochs + span - 1) / span
			}
			want := Account{
				Epochs: fakeEpochs, Sent: 2 * fakeClients * fakeEpochs, Delivered: 2 * fakeClients * fakeEpochs,
				ReferenceMatch: true, TokensIssued: issued,
			}
			if a != want {
				t.Errorf("%s, span %d: account %+v, want %+v", name, span, a, want)
			}
		}
	}
}

// Every client has the ends that its servers make, and each end is one of its
// server's, once.
func TestEnds(t *testing.T) {
	for name, want := range map[string][3]int{"joint": {12, 0, 0}, "separate": {0, 12, 12}, "mixed": {6, 6, 6}} {
		f := newFake(t, layouts[name], 12, Config{First: fakeFirst, Last: fakeFirst}, io.Discard)
		select {
		case <-f.s.allUp:
		default:
			t.Errorf("%s: %d ends are attached, and not all", name, f.s.attached.Load())
		}
		var byRole [cell.RoleJoint + 1]int
		for i := range f.s.ends {
			e := &f.s.ends[i]
			byRole[e.role]++
			if e.salt == [16]byte{} {
				t.Errorf("%s: client %d has no salt", name, e.c.id)
			}
			if !slices.Contains(f.s.endsOf(int(e.server)), e) || slices.Contains(f.s.endsOf(1-int(e.server)), e) {
				t.Errorf("%s: an end of client %d is not one of server %d", name, e.c.id, e.server)
			}
		}
		if n := len(f.s.endsOf(0)) + len(f.s.endsOf(1)); n != len(f.s.ends) {
			t.Errorf("%s: servers have %d ends, and there are %d", name, n, len(f.s.ends))
		}
		if got := [3]int{byRole[cell.RoleJoint], byRole[cell.RoleIngestion], byRole[cell.RoleStorage]}; got != want {
			t.Errorf("%s: %d ends are joint, %d for ingestion, %d for storage", name, got[0], got[1], got[2])
		}
	}
}

// What a server must not send is not taken: an epoch out of turn, one in another's
// place, a cell of another role.
func TestOrder(t *testing.T) {
	for name, l := range layouts {
		f := newFake(t, l, 4, Config{First: fakeFirst, Last: fakeFirst + 2}, io.Discard)
		f.epoch(1)
		for i := range f.s.ends {
			e := &f.s.ends[i]
			other := cell.TypeResult
			if e.role == cell.RoleIngestion {
				other = cell.TypeDelivery
			}
			late := f.outcome(e, 2)
			if r, d := cell.CutDown(f.s.g, e.role, late); d != nil {
				d.SetEpoch(3)
			} else {
				r.SetEpoch(3)
			}
			for what, m := range map[string]wire.CellDown{
				"again":        f.seal(e, cell.DownType(e.role), 1, f.outcome(e, 1)),
				"left out":     f.seal(e, cell.DownType(e.role), 3, f.outcome(e, 3)),
				"another":      f.seal(e, cell.DownType(e.role), 2, late),
				"short":        f.seal(e, cell.DownType(e.role), 2, f.outcome(e, 2)[1:]),
				"another role": f.seal(e, other, 2, f.outcome(e, 2)),
			} {
				if err := f.s.frame(e, wire.TypeCellDown, m.Append(nil)[wire.HeaderBytes:], -1, f.sc); !errors.Is(err, ErrProtocol) {
					t.Errorf("%s, role %d, %s: %v", name, e.role, what, err)
				}
			}
		}
		f.epoch(2)
	}
}

func TestFaultsAreFound(t *testing.T) {
	for fault, want := range map[Fault]Account{
		FaultFlip:      {Lost: 1, Unexpected: 1},
		FaultDrop:      {Lost: 1},
		FaultDuplicate: {Unexpected: 1},
	} {
		for name := range layouts {
			testFault(t, fault, name, want)
		}
	}
}
func testFault(t *testing.T, fault Fault, name string, want Account) {
	t.Helper()
	var out bytes.Buffer
	a := runFake(t, layouts[name], Config{Seed: 5, Fault: fault}, &out)
	if a.Lost != want.Lost || a.Unexpected != want.Unexpected || a.ReferenceMatch {
		t.Errorf("%s, %s: account %+v", fault, name, a)
	}
	told := false
	for d := json.NewDecoder(&out); d.More(); {
		var e Event
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		told = told || e.Event == EventProblem
	}
	if !told {
		t.Errorf("%s, %s: no problem was told", fault, name)
	}
}

func TestRefusals(t *testing.T) {
	var out bytes.Buffer
	f := newFake(t, joint, 2, Config{First: fakeFirst, Last: fakeFirst}, &out)
	e := &f.s.clients[0].ends[0]
	for code, fatal := range map[wire.Code]bool{wire.CodeWrongEpoch: false, wire.CodeBusy: false, wire.CodeBadTag: true} {
		m := wire.Refused{Code: code}
		err := f.s.frame(e, wire.TypeRefused, m.Append(nil)[wire.HeaderBytes:], -1, f.sc)
		if errors.Is(err, ErrRefused) != fatal {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if !strings.Contains(out.String(), "link to server") {
		t.Errorf("a lost link was not told: %s", out.String())
	}
	again := wire.Attached{Server: e.server, Salt: f.salt}
	if err := f.s.frame(e, wire.TypeAttached, again.Append(nil)[wire.HeaderBytes:], -1, f.sc); err != nil {
		t.Errorf("the same server again: %v", err)
	}
	again.Salt[0]++
	if err := f.s.frame(e, wire.TypeAttached, again.Append(nil)[wire.HeaderBytes:], -1, f.sc); !errors.Is(err, ErrConnection) {
		t.Errorf("a server that restarted: %v", err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := ReadConfig(strings.NewReader(`{"unknown": 1}`)); !errors.Is(err, ErrConfig) {
		t.Errorf("an unknown field: %v", err)
	}
	f := newFake(t, joint, 4, Config{First: fakeFirst, Last: fakeFirst}, io.Discard)
	good := f.s.cfg
	m := testManifest(t, joint, 4)
	for name, change := range map[string]func(*Config){
		"no gateway":    func(c *Config) { c.Gateways = nil },
		"no presence":   func(c *Config) { c.Multiplexed = true },
		"too hot":       func(c *Config) { c.Hot = 5 },
		"no epochs":     func(c *Config) { c.Last = c.First - 1 },
		"too early":     func(c *Config) { c.First = Lead },
		"unknown fault": func(c *Config) { c.Fault = "sneeze" },
		"long tokens":   func(c *Config) { c.TokenSpan = 1 << 20 },
	} {
		c := good
		change(&c)
		if err := c.check(m, f.s.g); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
