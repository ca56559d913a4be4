package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/inspect"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/teemstest"
)

func TestVerifyServer(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.Servers(2))
	servers := c.Manifest().StorageServers()
	if len(servers) != 2 {
		t.Fatal(servers)
	}
	for _, s := range servers {
		cfg := c.RegisterConfig()
		cfg.Gateways = append([]string{"nowhere:1"}, cfg.Gateways...)
		v, err := client.VerifyServer(t.Context(), cfg, s)
		if err != nil {
			t.Fatal(err)
		}
		if v.Server != s || v.Gateway != cfg.Gateways[1] || v.Report.Verdict != inspect.Accepted {
			t.Errorf("%+v", v)
		}
		text := v.Report.Text()
		for _, says := range []string{"PROTECTS NOTHING", "freshness", "manifest 2", "X25519MLKEM768", "not checked: the servers behind this one"} {
			if !strings.Contains(text, says) {
				t.Errorf("it does not say %q:\n%s", says, text)
			}
		}
		if b, err := json.Marshal(v); err != nil || !strings.Contains(string(b), `"verdict":"accepted"`) {
			t.Errorf("%s, %v", b, err)
		}
	}
}

func TestVerifyServerRefused(t *testing.T) {
	c, other := teemstest.NewCluster(t, teemstest.Servers(2)), teemstest.NewCluster(t, teemstest.Servers(2))
	for name, x := range map[string]struct {
		change func(*client.RegisterConfig)
		server int
		want   error
	}{
		"no such server":  {nil, 2, client.ErrConfig},
		"no manifest":     {func(c *client.RegisterConfig) { c.Manifest = nil }, 0, client.ErrConfig},
		"nobody there":    {func(c *client.RegisterConfig) { c.Gateways = []string{"nowhere:1"} }, 0, client.ErrUnavailable},
		"another cluster": {func(c *client.RegisterConfig) { c.Dial = other.Dial }, 0, client.ErrUnattested},
		"another root": {func(c *client.RegisterConfig) {
			c.Verifiers = attest.Verifiers{attest.SimulatedTEE: simulated.NewTestRoot([32]byte{1}).Verifier()}
		}, 0, client.ErrUnattested},
		"another server answers": {func(cfg *client.RegisterConfig) {
			cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
				conn, err := c.Dial(ctx, address)
				return &misled{Conn: conn}, err
			}
		}, 0, client.ErrUnattested},
	} {
		cfg := c.RegisterConfig()
		if x.change != nil {
			x.change(&cfg)
		}
		if _, err := client.VerifyServer(t.Context(), cfg, x.server); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// misled asks the gateway for the second storage server, whatever the client does.
type misled struct {
	net.Conn
	asked bool
}

func (m *misled) Write(b []byte) (int, error) {
	if !m.asked {
		m.asked = true
		b = bytes.Clone(b)
		b[len(b)-1] = 2
	}
	return m.Conn.Write(b)
}

func TestSigners(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.Servers(1))
	file := c.ManifestFile(t)
	good := c.Manifest().Signers()
	if len(good.Keys) == 0 || good.Threshold < 1 || good.MinSequence != 2 {
		t.Fatalf("%+v", good)
	}
	m, err := client.ParseManifestSigned(file, good)
	if err != nil || m.Hash() != c.Manifest().Hash() {
		t.Fatal(m, err)
	}
	for name, s := range map[string]client.Signers{
		"nobody":        {},
		"no threshold":  {Keys: good.Keys},
		"too many":      {Keys: good.Keys, Threshold: len(good.Keys) + 1},
		"somebody else": {Keys: []ed25519.PublicKey{make([]byte, ed25519.PublicKeySize)}, Threshold: 1},
		"one is absent": {Keys: append([]ed25519.PublicKey{make([]byte, ed25519.PublicKeySize)}, good.Keys...), Threshold: len(good.Keys) + 1},
		"an old one":    {Keys: good.Keys, Threshold: good.Threshold, MinSequence: 3},
	} {
		if _, err := client.ParseManifestSigned(file, s); !errors.Is(err, client.ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed := []byte(strings.Replace(string(file), `"capacity": `, `"capacity": 1`, 1))
	if _, err := client.ParseManifestSigned(changed, good); !errors.Is(err, client.ErrManifest) {
		t.Errorf("a changed manifest: %v", err)
	}
}
