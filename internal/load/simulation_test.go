package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/wire"
)

const (
	fakeClients = 12
	fakeFirst   = Lead + 1
	fakeEpochs  = 6
)

func runFake(t *testing.T, cfg Config, out io.Writer) Account {
	t.Helper()
	cfg.First, cfg.Last = fakeFirst, fakeFirst+fakeEpochs-1
	f := newFake(t, fakeClients, cfg, out)
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
	for _, span := range []int{0, 1, 2, 4} {
		a := runFake(t, Config{Seed: 5, TokenSpan: span}, io.Discard)
		issued := fakeClients
		if span > 0 {
			issued *= (fakeEpochs + span - 1) / span
		}
		want := Account{
			Epochs: fakeEpochs, Sent: 2 * fakeClients * fakeEpochs, Delivered: 2 * fakeClients * fakeEpochs,
			ReferenceMatch: true, TokensIssued: issued,
		}
		if a != want {
			t.Errorf("span %d: account %+v, want %+v", span, a, want)
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	for fault, want := range map[Fault]Account{
		FaultFlip:      {Lost: 1, Unexpected: 1},
		FaultDrop:      {Lost: 1},
		FaultDuplicate: {Unexpected: 1},
	} {
		var out bytes.Buffer
		a := runFake(t, Config{Seed: 5, Fault: fault}, &out)
		if a.Lost != want.Lost || a.Unexpected != want.Unexpected || a.ReferenceMatch {
			t.Errorf("%s: account %+v", fault, a)
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
			t.Errorf("%s: no problem was told", fault)
		}
	}
}

func TestRefusals(t *testing.T) {
	var out bytes.Buffer
	f := newFake(t, 2, Config{First: fakeFirst, Last: fakeFirst}, &out)
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
	f := newFake(t, 4, Config{First: fakeFirst, Last: fakeFirst}, io.Discard)
	good := f.s.cfg
	m := testManifest(t, 4)
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
