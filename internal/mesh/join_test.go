package mesh

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/wire"
)

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 3)
		var e [3]events
		joiner := d.config(t, 1, 7, &e[1])
		id := d.identity(1, 7)
		id.Identity.Cluster = nil
		joiner.Attester = Attested(id)
		got := make(chan string, 1)
		go func() {
			secret, err := Join(t.Context(), joiner)
			if err != nil {
				t.Error(err)
			}
			got <- string(secret)
		}()
		time.Sleep(3 * time.Second) // nobody is there yet
		_, stop := start(t, d.config(t, 0, 1, &e[0]))
		defer stop()
		if s := <-got; s != "the secret of the cluster" {
			t.Errorf("got %q", s)
		}
		synctest.Wait() // the member says so after it gave it
		if !e[0].logged("server 1 joins") {
			t.Error("the member did not log to whom it gave the secret")
		}
		if e[0].ups() != 0 {
			t.Error("a server that joins was taken for a link")
		}
	})
}

func TestSecretIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *atls.Config)
		says   string
	}{
		"wrong measurement": {func(a *atls.Config) { a.Identity.Issuer = simulated.NewIssuer([32]byte{9}) }, "measurement"},
		"debug mode": {func(a *atls.Config) {
			a.Identity.Issuer = simulated.PublishedRoot().DebugIssuer(measurement)
		}, "debug"},
		"no evidence": {func(a *atls.Config) { a.Identity = nil }, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deploy(t, 2)
				var e [2]events
				_, stop := start(t, d.config(t, 0, 1, &e[0]))
				defer stop()
				joiner := d.config(t, 1, 7, &e[1])
				id := d.identity(1, 7)
				id.Identity.Cluster = nil
				c.change(&id)
				joiner.Attester = Attested(id)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if secret, err := Join(ctx, joiner); err == nil {
					t.Fatalf("it got %q", secret)
				}
				if !e[0].logged("refused a connection", c.says) {
					t.Errorf("the log does not say why: %q", e[0].log)
				}
				if !e[1].logged("no secret from server 0") {
					t.Errorf("the joiner's log does not say it was refused: %q", e[1].log)
				}
			})
		})
	}
}

// TestSecretFromNonMember: a server with good evidence and no cluster key is
// not asked for the secret.
func TestSecretFromNonMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 2)
		var e [2]events
		impostor := d.identity(0, 1)
		impostor.Identity.Cluster = nil
		cfg := d.config(t, 0, 1, &e[0])
		cfg.Attester = Attested(impostor)
		cfg.Dial = func(context.Context, int) (net.Conn, error) { return nil, net.ErrClosed }
		_, stop := start(t, cfg)
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := Join(ctx, d.config(t, 1, 2, &e[1])); err == nil {
			t.Fatal("it took a secret from a server outside the cluster")
		}
		if !e[1].logged("server 0", "not a member") {
			t.Errorf("log %q", e[1].log)
		}
	})
}

// TestBadFrames: a member that breaks the protocol loses its link, and the log
// says how; silent and noisy strangers change nothing.
func TestBadFrames(t *testing.T) {
	for name, c := range map[string]struct {
		bytes func(limits *wire.PeerLimits) []byte
		says  string
	}{
		"too long": {func(*wire.PeerLimits) []byte {
			h := wire.PeerHeader{Kind: wire.KindDeal, Rows: 1 << 20, Length: 1 << 30, From: 0}
			return h.Append(nil)
		}, "wrong length"},
		"unknown kind": {func(*wire.PeerLimits) []byte {
			h := wire.PeerHeader{Kind: 99}
			return h.Append(nil)
		}, "unexpected type"},
		"another's name": {func(*wire.PeerLimits) []byte {
			h := wire.PeerHeader{Kind: wire.KindPrepared, Length: 16, From: 2}
			return append(h.Append(nil), make([]byte, 16)...)
		}, "in the name of server 2"},
		"broken off": {func(*wire.PeerLimits) []byte {
			h := wire.PeerHeader{Kind: wire.KindPrepared, Length: 16}
			return h.Append(nil)
		}, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deploy(t, 3)
				var e [3]events
				cfg := d.config(t, 1, 2, &e[1])
				_, stop := start(t, cfg)
				defer stop()
				raw, err := d.listener(1).dial(t.Context())
				must(t, err)
				conn, _, err := Attested(d.identity(0, 1)).Client(t.Context(), raw, 1)
				must(t, err)
				eventually(t, "linked", func() bool { return e[1].ups() == 1 })
				go conn.Write(c.bytes(cfg.Limits))
				time.Sleep(time.Second)
				if name == "broken off" {
					raw.Close()
				}
				eventually(t, "cut", func() bool { return e[1].ups() == 0 })
				if !e[1].logged("server 0", c.says) {
					t.Errorf("log %q", e[1].log)
				}
				raw.Close()
			})
		})
	}
}

func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 2)
		var e [2]events
		_, stop1 := start(t, d.config(t, 1, 2, &e[1]))
		defer stop1()
		for i := range 2 * handshakes { // more than the mesh talks to at once
			c, err := d.listener(1).dial(t.Context())
			must(t, err)
			if i%2 == 0 {
				go func() {
					for {
						if _, err := c.Write([]byte(strings.Repeat("garbage", 100))); err != nil {
							return
						}
					}
				}()
			}
		}
		_, stop0 := start(t, d.config(t, 0, 1, &e[0]))
		defer stop0()
		eventually(t, "linked in spite of strangers", func() bool { return e[1].ups() == 1 && e[0].ups() == 1 })
	})
}

// TestSlowReader: a peer that does not read holds back its own link only, and
// what was queued for it is given back when the link is cut.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy(t, 2)
		var e [2]events
		cfg := d.config(t, 1, 2, &e[1])
		m, stop := start(t, cfg)
		raw, err := d.listener(1).dial(t.Context())
		must(t, err)
		_, _, err = Attested(d.identity(0, 1)).Client(t.Context(), raw, 1)
		must(t, err)
		eventually(t, "linked", func() bool { return e[1].ups() == 1 })
		sent := make(chan bool, 100)
		body := make([]byte, 100*cfg.Limits.RowBytes)
		for range 100 {
			m.Send(0, wire.PeerHeader{Kind: wire.KindDeal, Rows: 100}, [][]byte{body}, func() { sent <- true })
		}
		time.Sleep(time.Minute)
		if len(sent) == 100 {
			t.Error("everything was sent to a peer that does not read")
		}
		stop()
		if len(sent) != 100 {
			t.Errorf("%d of 100 frames were given back", len(sent))
		}
		raw.Close()
	})
}
