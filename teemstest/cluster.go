package teemstest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/gateway"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node"
)

// measurement is what the simulated TEEs claim to run.
var measurement = [32]byte{'t', 'e', 'e', 'm', 's', 't', 'e', 's', 't'}

const (
	gatewayAddress = "gateway:1"
	// patience bounds what the methods with a testing.TB wait for.
	patience = time.Minute
)

// Cluster is a running cluster.
type Cluster struct {
	manifest *client.Manifest
	signed   *manifest.Signed
	net      *network
	log      *log

	mu         sync.Mutex
	identities map[string]*client.Identity // guarded by mu: by name
}

// NewCluster starts a cluster that runs until the test ends.
func NewCluster(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	s := settings{servers: make([]manifest.Server, 2), parameters: manifest.DefaultParameters(64), period: 20 * time.Millisecond}
	for _, o := range options {
		o(&s)
	}
	c := &Cluster{net: newNetwork(), log: &log{}, identities: map[string]*client.Identity{}}
	named, secret := c.genesis(t, &s)
	g, err := c.signed.Manifest.Geometry()
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	run := func(what string, f func() error) {
		all.Go(func() {
			if err := f(); err != nil {
				c.log.add("%s ended: %v", what, err)
				t.Errorf("teemstest: %s ended: %v", what, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
		if t.Failed() || s.logs {
			c.log.print(t)
		}
	})
	for i := range c.signed.Manifest.Servers {
		n, err := node.New(c.nodeConfig(i, named, secret))
		must(t, err)
		run("server "+strconv.Itoa(i), func() error { return n.Run(ctx) })
	}
	var fronts []string
	for _, s := range c.signed.Manifest.Servers {
		fronts = append(fronts, s.Front)
	}
	gate, err := gateway.New(gateway.Config{Geometry: g, Fronts: fronts, Dial: c.net.dial, Log: slog.New(slog.NewTextHandler(c.log, nil))})
	must(t, err)
	ln := c.net.listen(gatewayAddress)
	run("the gateway", func() error { return gate.Serve(ctx, ln) })
	runner, err := coordinator.NewRunner(coordinator.RunnerConfig{
		Machine: coordinator.Config{Geometry: g, Period: s.period, SubmitTimeout: 200 * time.Millisecond},
		Servers: fronts, Gateways: []string{gatewayAddress}, Dial: c.net.dial,
		OnEvent: c.event,
	})
	must(t, err)
	run("the coordinator", func() error { runner.Run(ctx); return nil })
	return c
}

// event logs what is not the course of things.
func (c *Cluster) event(e coordinator.Event) {
	switch e.Kind {
	case coordinator.EpochStarted, coordinator.EpochCommitted, coordinator.EpochDone:
	case coordinator.AttemptStarted:
		if e.Attempt > 1 {
			c.log.add("coordinator: epoch %d, attempt %d: %s", e.Epoch, e.Attempt, e.Reason)
		}
	default:
		c.log.add("coordinator: event %d, server %d: %s", e.Kind, e.Server, e.Reason)
	}
}

// genesis makes the two manifests and the secret of a new cluster.
func (c *Cluster) genesis(t testing.TB, s *settings) (named [32]byte, secret *node.Secret) {
	t.Helper()
	operator, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	for i := range s.servers {
		s.servers[i].Mesh, s.servers[i].Front = fmt.Sprintf("mesh-%d:1", i), fmt.Sprintf("front-%d:1", i)
	}
	o := manifest.Options{
		Servers: s.servers, Parameters: s.parameters, Policy: simulated.Policy(measurement),
		Operators: []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)},
	}
	if s.simulated > 0 {
		seed := make([]byte, manifest.SeedBytes)
		rand.Read(seed)
		o.SimulatedClients = &manifest.SimulatedClients{Count: s.simulated, Seed: seed}
	}
	one, err := manifest.NewDefault(o)
	must(t, err)
	must(t, one.Sign(operator))
	master, err := keys.NewMaster(rand.Reader)
	must(t, err)
	key, err := keys.NewClusterKey(rand.Reader)
	must(t, err)
	c.signed, err = one.Successor()
	must(t, err)
	c.signed.Manifest.ClusterKey = manifest.Hex(key.Public().(ed25519.PublicKey))
	must(t, c.signed.Sign(operator))
	must(t, c.signed.VerifySuccessor(one))
	c.manifest, err = client.FromSigned(c.signed)
	must(t, err)
	return c.signed.Hash(), &node.Secret{Era: 1, Master: master, Cluster: key}
}

func (c *Cluster) nodeConfig(i int, named [32]byte, secret *node.Secret) node.Config {
	servers := c.signed.Manifest.Servers
	cfg := node.Config{
		Manifest: c.signed, Genesis: named, Self: i,
		Issuer: simulated.NewIssuer(measurement), Verifiers: simulated.Verifiers(),
		Front: c.net.listen(servers[i].Front),
		Dial:  func(ctx context.Context, s int) (net.Conn, error) { return c.net.dial(ctx, servers[s].Mesh) },
		Rand:  rand.Reader, Now: time.Now, Log: func(line string) { c.log.add("server %d: %s", i, line) },
	}
	if len(servers) > 1 {
		cfg.Mesh = c.net.listen(servers[i].Mesh)
	}
	if i == 0 {
		cfg.Secret = secret // the others join
	}
	return cfg
}

// Manifest is the cluster's manifest.
func (c *Cluster) Manifest() *client.Manifest { return c.manifest }

// ManifestFile is the manifest as a file, for client.ParseManifest.
func (c *Cluster) ManifestFile(t testing.TB) []byte {
	t.Helper()
	b, err := c.signed.Encode()
	must(t, err)
	return b
}

// Verifiers is what clients need to verify the cluster's evidence.
func (c *Cluster) Verifiers() attest.Verifiers { return simulated.Verifiers() }

// Gateways is the addresses of the cluster's gateways, for Dial.
func (c *Cluster) Gateways() []string { return []string{gatewayAddress} }

// Dial connects to the address of a gateway; it is a client.Dial.
func (c *Cluster) Dial(ctx context.Context, address string) (net.Conn, error) {
	return c.net.dial(ctx, address)
}

// Cut closes every connection to the gateway, the clients' and the
// coordinator's; they connect again.
func (c *Cluster) Cut() { c.net.cut(gatewayAddress) }

// CutServer closes every connection to a server's front, the gateway's and the
// coordinator's; they connect again.
func (c *Cluster) CutServer(server int) { c.net.cut(c.signed.Manifest.Servers[server].Front) }

// ClientConfig is the configuration of a client with an identity, to be changed
// and given to client.Connect.
func (c *Cluster) ClientConfig(id *client.Identity) client.Config {
	return client.Config{
		Manifest: c.manifest, Identity: id, Gateways: c.Gateways(), Dial: c.Dial,
		BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond,
	}
}

// RegisterConfig is the configuration of a registration.
func (c *Cluster) RegisterConfig() client.RegisterConfig {
	return client.RegisterConfig{
		Manifest: c.manifest, Gateways: c.Gateways(), Verifiers: c.Verifiers(), Dial: c.Dial, Wait: true,
	}
}

// Identity returns the identity of a name, which is registered first if it is
// new. Names stay in the test.
func (c *Cluster) Identity(t testing.TB, name string) *client.Identity {
	t.Helper()
	c.mu.Lock()
	id := c.identities[name]
	c.mu.Unlock()
	if id != nil {
		return id
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	id, err := client.Register(ctx, c.RegisterConfig())
	if err != nil {
		t.Fatalf("teemstest: registering %s: %v", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identities[name] = id
	return id
}

// Register returns a connected client of a name, which is registered first if
// it is new. It is closed when the test ends.
func (c *Cluster) Register(t testing.TB, name string) *client.Client {
	t.Helper()
	return c.Connect(t, c.ClientConfig(c.Identity(t, name)))
}

// Connect returns a connected client, which is closed when the test ends.
func (c *Cluster) Connect(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	x, err := client.Connect(ctx, cfg)
	if err != nil {
		t.Fatalf("teemstest: connecting: %v", err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("teemstest: %v", err)
	}
}

// log keeps lines until the test has ended.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, time.Now().Format("05.000 ")+fmt.Sprintf(format, a...))
}

// Write implements io.Writer for the gateway's log.
func (l *log) Write(b []byte) (int, error) {
	l.add("gateway: %s", b)
	return len(b), nil
}

// logLines is how many lines are printed at most.
const logLines = 200

func (l *log) print(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(0, len(l.lines)-logLines)
	t.Logf("teemstest: the last %d of %d lines of the cluster's logs", len(l.lines)-from, len(l.lines))
	for _, line := range l.lines[from:] {
		t.Log(line)
	}
}
