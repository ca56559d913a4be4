package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/teemstest"
)

// TestWrongAttestation: a client registers with nobody whose evidence it cannot
// verify, and does not wait for them either.
func TestWrongAttestation(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.Servers(1))
	cfg := c.RegisterConfig()
	cfg.Verifiers = attest.Verifiers{attest.SimulatedTEE: simulated.NewTestRoot([32]byte{1}).Verifier()}
	_, err := client.Register(t.Context(), cfg)
	if !errors.Is(err, client.ErrUnattested) {
		t.Errorf("got %v", err)
	}
	other := teemstest.NewCluster(t, teemstest.Servers(1))
	cfg = c.RegisterConfig()
	cfg.Dial = other.Dial
	if _, err := client.Register(t.Context(), cfg); !errors.Is(err, client.ErrUnattested) {
		t.Errorf("a server of another cluster: %v", err)
	}
}

// TestUnavailable: without Wait the caller hears at once that nobody is there;
// with it when the context ends.
func TestUnavailable(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.Servers(1))
	cfg := c.RegisterConfig()
	cfg.Gateways, cfg.Wait = []string{"nowhere:1", "nowhere:2"}, false
	if _, err := client.Register(t.Context(), cfg); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	cfg.Wait = true
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Register(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	cfg.Gateways = append(cfg.Gateways, c.Gateways()...) // the third one answers
	cfg.Wait = false
	id, err := client.Register(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}

	connect := c.ClientConfig(id)
	connect.Gateways = []string{"nowhere:1"}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Connect(ctx, connect); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	connect.Gateways = append(connect.Gateways, c.Gateways()...)
	c.Connect(t, connect)
}

// TestNotRegistered: an identity that the cluster does not know.
func TestNotRegistered(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.SimulatedClients(2))
	id, err := client.SimulatedIdentity(c.Manifest(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c.Connect(t, c.ClientConfig(id)).Close()
	file := string(id.Encode())
	unknown, err := client.ParseIdentity([]byte(strings.Replace(file, `"id": 1`, `"id": 33`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Connect(t.Context(), c.ClientConfig(unknown)); !errors.Is(err, client.ErrNotRegistered) {
		t.Errorf("got %v", err)
	}
	if _, err := client.RegisterAgain(t.Context(), c.RegisterConfig(), id); !errors.Is(err, client.ErrConfig) {
		t.Errorf("a simulated client registers again: %v", err)
	}
	// Its registration's key is not that of the ID.
	stolen, err := client.ParseIdentity([]byte(strings.Replace(string(c.Identity(t, "alice").Encode()), `"id": 2`, `"id": 0`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.RegisterAgain(t.Context(), c.RegisterConfig(), stolen); !errors.Is(err, client.ErrRegistrationRefused) {
		t.Errorf("registered again with another's ID: %v", err)
	}
}

// TestSilentGateway: a gateway that accepts and says nothing is left, and Close
// waits for nobody.
func TestSilentGateway(t *testing.T) {
	c := teemstest.NewCluster(t, teemstest.SimulatedClients(1))
	id, err := client.SimulatedIdentity(c.Manifest(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.ClientConfig(id)
	ends := make(chan net.Conn, 64)
	cfg.Gateways = []string{"silent", c.Gateways()[0]}
	cfg.IOTimeout = 200 * time.Millisecond
	cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		if address != "silent" {
			return c.Dial(ctx, address)
		}
		near, far := net.Pipe()
		ends <- far
		return near, nil
	}
	c.Connect(t, cfg)
	cfg.Gateways, cfg.IOTimeout = cfg.Gateways[:1], time.Hour
	x, err := client.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	close(ends)
	n := 0
	for far := range ends {
		far.Close()
		n++
	}
	if n == 0 {
		t.Error("no connection to the silent gateway")
	}
}
