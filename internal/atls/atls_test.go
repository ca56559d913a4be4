package atls

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/manifest"
)

var (
	goodCode  = [32]byte{1, 2, 3}
	otherCode = [32]byte{4, 5, 6}
	testTime  = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
)

// world is a deployment of three servers with its keys.
type world struct {
	operator, cluster ed25519.PrivateKey
	first, second     *manifest.Signed
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newWorld() *world {
	w := &world{
		operator: must(manifest.GenerateKey(rand.Reader)),
		cluster:  must(manifest.GenerateKey(rand.Reader)),
	}
	w.first = must(manifest.NewDefault(manifest.Options{
		Servers:    manifest.LocalServers(3, "127.0.0.1", 7000, 1),
		Operators:  []ed25519.PublicKey{w.operator.Public().(ed25519.PublicKey)},
		Policy:     simulated.Policy(goodCode),
		Parameters: manifest.DefaultParameters(64),
	}))
	w.second = must(w.first.Successor())
	w.second.Manifest.ClusterKey = manifest.Hex(w.cluster.Public().(ed25519.PublicKey))
	if err := errors.Join(w.first.Sign(w.operator), w.second.Sign(w.operator)); err != nil {
		panic(err)
	}
	return w
}

// config is that of server i, a member, which requires a member.
func (w *world) config(i int) *Config {
	return &Config{
		Manifest:  w.second,
		Verifiers: simulated.Verifiers(),
		Now:       func() time.Time { return testTime },
		Rand:      rand.Reader,
		Identity: &Identity{
			Issuer:  simulated.NewIssuer(goodCode),
			Server:  i,
			Boot:    [16]byte{byte(i + 1)},
			Cluster: w.cluster,
		},
		RequirePeer: Member,
	}
}

// person is the configuration of an unattested client.
func (w *world) person() *Config {
	c := w.config(0)
	c.Identity = nil
	return c
}

func with(c *Config, change func(*Config)) *Config { change(c); return c }

type outcome struct {
	conn *Conn
	err  error
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// connect runs both sides over a synchronous pipe.
func connect(t *testing.T, client, server *Config) (c, s outcome) {
	t.Helper()
	a, b := net.Pipe()
	ctx := within(t, 10*time.Second)
	done := make(chan outcome)
	go func() {
		conn, err := Server(ctx, b, server)
		done <- outcome{conn, err}
	}()
	conn, err := Client(ctx, a, client)
	c = outcome{conn, err}
	s = <-done
	t.Cleanup(func() { a.Close(); b.Close() })
	return c, s
}

// noLeak fails the test if goroutines that it started are left at its end.
func noLeak(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		b := make([]byte, 1<<16)
		t.Errorf("%d goroutines at the start, %d at the end:\n%s", before, runtime.NumGoroutine(), b[:runtime.Stack(b, true)])
	})
}

func TestMembers(t *testing.T) {
	noLeak(t)
	w := newWorld()
	c, s := connect(t, w.config(1), w.config(2))
	if c.err != nil || s.err != nil {
		t.Fatal(c.err, s.err)
	}
	p, q := c.conn.Peer(), s.conn.Peer()
	if p.Server != 2 || p.Boot != [16]byte{3} || !p.Member || !p.Attested || q.Server != 1 || q.Boot != [16]byte{2} || !q.Member || !q.Attested {
		t.Errorf("client sees %+v, server sees %+v", p, q)
	}
	if !p.Claims.Measurement.Equal(goodCode[:]) || !p.Claims.Simulated || p.Claims.Debug {
		t.Errorf("claims are %+v", p.Claims)
	}
	checkTraffic(t, c.conn, s.conn)
	x, y := must(c.conn.Exporter("teems registration", 32)), must(s.conn.Exporter("teems registration", 32))
	z := must(s.conn.Exporter("another", 32))
	if string(x) != string(y) || string(x) == string(z) {
		t.Error("exporters do not agree, or do not differ")
	}
	if _, err := c.conn.Exporter(exporterLabel, 32); !errors.Is(err, ErrConfig) {
		t.Errorf("the exporter of the proofs is given away: %v", err)
	}
}

func checkTraffic(t *testing.T, c, s *Conn) {
	t.Helper()
	for _, x := range [][2]*Conn{{c, s}, {s, c}} {
		sent := make(chan error, 1)
		go func() { _, err := x[0].Write([]byte("hello")); sent <- err }()
		b := make([]byte, 5)
		if _, err := io.ReadFull(x[1], b); err != nil || string(b) != "hello" {
			t.Fatalf("read %q, %v", b, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

func TestJoiningServer(t *testing.T) {
	w := newWorld()
	joining := func(c *Config) { c.Identity.Cluster = nil }
	c, s := connect(t, with(w.config(1), joining), with(w.config(0), func(c *Config) { c.RequirePeer = Attested }))
	if c.err != nil || s.err != nil {
		t.Fatal(c.err, s.err)
	}
	if p := s.conn.Peer(); p.Member || !p.Attested || p.Server != 1 {
		t.Errorf("the member sees %+v", p)
	}
	if !c.conn.Peer().Member {
		t.Error("the joining server does not see a member")
	}
	checkTraffic(t, c.conn, s.conn)
}

func TestGenesisWithoutClusterKey(t *testing.T) {
	w := newWorld()
	under1 := func(c *Config) { c.Manifest, c.Identity.Cluster, c.RequirePeer = w.first, nil, Attested }
	c, s := connect(t, with(w.config(1), under1), with(w.config(0), under1))
	if c.err != nil || s.err != nil || c.conn.Peer().Member {
		t.Fatal(c.err, s.err)
	}
}

func TestUnattestedClient(t *testing.T) {
	w := newWorld()
	anyone := with(w.config(2), func(c *Config) { c.RequirePeer = None })
	c, s := connect(t, w.person(), anyone)
	if c.err != nil || s.err != nil {
		t.Fatal(c.err, s.err)
	}
	if p := s.conn.Peer(); p.Attested || p.Member || p.Server != -1 {
		t.Errorf("the server sees %+v", p)
	}
	if p := c.conn.Peer(); !p.Member || p.Server != 2 {
		t.Errorf("the client sees %+v", p)
	}
	// A server that lets anyone in still knows those who are attested.
	c, s = connect(t, w.config(1), anyone)
	if c.err != nil || s.err != nil || !s.conn.Peer().Member || s.conn.Peer().Server != 1 {
		t.Error(c.err, s.err)
	}
}

// TestRefused has one wrong thing a case. Each error is of all kinds listed.
func TestRefused(t *testing.T) {
	noLeak(t)
	w, other := newWorld(), newWorld()
	testRoot := simulated.NewTestRoot([32]byte{9})
	issuer := func(i attest.Issuer) func(*Config) { return func(c *Config) { c.Identity.Issuer = i } }
	attested := func(c *Config) { c.RequirePeer = Attested }
	realOnly := *w.second
	realOnly.Manifest.TEEs = manifest.TEEPolicy{
		Measurements: map[string][]attest.Measurement{"snp": {make([]byte, 48)}},
		SNP:          &attest.SNPRules{Signers: []string{attest.None}, Platforms: []string{attest.Any}, MinTCB: attest.AMDTCB{SNP: 1}},
	}
	realTEEs := func(c *Config) {
		c.Manifest = &realOnly
		c.Verifiers = attest.Verifiers{"snp": simulated.NewVerifier(), attest.SimulatedTEE: simulated.NewVerifier()}
	}
	for _, x := range []struct {
		name   string
		bad    func(*Config) // what is wrong with one side
		good   func(*Config) // what else the other side has
		kinds  []error       // what the other side says
		badErr error         // what the bad side is told
	}{
		{"wrong measurement", issuer(simulated.NewIssuer(otherCode)), nil, []error{ErrCert, attest.ErrPolicy}, ErrRefused},
		{"debug mode", issuer(simulated.PublishedRoot().DebugIssuer(goodCode)), nil, []error{ErrCert, attest.ErrPolicy}, ErrRefused},
		{"another root", issuer(testRoot.Issuer(goodCode)), nil, []error{ErrCert, attest.ErrNotGenuine}, ErrRefused},
		{"another TEE", issuer(fixedIssuer{attest.Evidence{TEE: "sgx", Raw: []byte{1}}}), nil, []error{ErrCert, attest.ErrUnknownTEE}, ErrRefused},
		{"evidence for something else", issuer(fixedIssuer{must(simulated.NewIssuer(goodCode).Issue(attest.ReportData{}))}), nil, []error{ErrCert, attest.ErrBinding}, ErrRefused},
		{"stale evidence in the proof", issuer(&staleIssuer{Issuer: simulated.NewIssuer(goodCode)}), nil, []error{ErrProof, attest.ErrBinding}, ErrRefused},
		{"simulated against real TEEs only", realTEEs, realTEEs, []error{ErrCert, attest.ErrPolicy}, nil},
		{"another manifest", func(c *Config) { c.Manifest, c.Identity.Cluster, c.RequirePeer = w.first, nil, Attested }, nil, []error{ErrManifest}, nil},
		{"another cluster", func(c *Config) { c.Manifest, c.Identity.Cluster = other.second, other.cluster }, nil, []error{ErrManifest}, nil},
		{"no cluster proof", func(c *Config) { c.Identity.Cluster = nil }, nil, []error{ErrMember}, ErrRefused},
		{"the same server", func(c *Config) { c.Identity.Server = 0 }, attested, []error{ErrServer}, nil},
		{"its clock far ahead", func(c *Config) { c.Now = func() time.Time { return testTime.Add(2 * time.Hour) } }, nil, []error{ErrCert}, nil},
		{"its clock far behind", func(c *Config) { c.Now = func() time.Time { return testTime.Add(-2 * time.Hour) } }, nil, []error{ErrCert}, nil},
	} {
		check := func(t *testing.T, victim, bad outcome) {
			if victim.err == nil || bad.err == nil {
				t.Fatalf("accepted: the victim has %v, the bad side %v", victim.err, bad.err)
			}
			if x.badErr != nil && !errors.Is(bad.err, x.badErr) {
				t.Errorf("the bad side is told %v", bad.err)
			}
			if errors.Is(victim.err, ErrRefused) && x.badErr == nil {
				return // both are bad to each other, and the other one spoke first
			}
			for _, k := range x.kinds {
				if !errors.Is(victim.err, k) {
					t.Errorf("%v is not %v", victim.err, k)
				}
			}
		}
		good := w.config(0)
		if x.good != nil {
			x.good(good)
		}
		bad := with(w.config(1), x.bad)
		t.Run(x.name+", by the client", func(t *testing.T) { c, s := connect(t, good, bad); check(t, c, s) })
		if i, ok := bad.Identity.Issuer.(*staleIssuer); ok {
			i.first = nil
		}
		t.Run(x.name+", by the server", func(t *testing.T) { c, s := connect(t, bad, good); check(t, s, c) })
	}
	t.Run("no evidence, by the server", func(t *testing.T) {
		for _, q := range []Requirement{Attested, Member} {
			c, s := connect(t, w.person(), with(w.config(0), func(c *Config) { c.RequirePeer = q }))
			if !errors.Is(s.err, ErrUnattested) || !errors.Is(c.err, ErrRefused) {
				t.Error(c.err, s.err)
			}
		}
	})
}

// fixedIssuer gives the same evidence for everything.
type fixedIssuer struct{ e attest.Evidence }

func (f fixedIssuer) Issue(attest.ReportData) (attest.Evidence, error) { return f.e, nil }
func (f fixedIssuer) Measurement() attest.Measurement                  { return goodCode[:] }

// staleIssuer gives the certificate's evidence as the proof's as well.
type staleIssuer struct {
	attest.Issuer
	first *attest.Evidence
}

func (i *staleIssuer) Issue(d attest.ReportData) (attest.Evidence, error) {
	if i.first == nil {
		e, err := i.Issuer.Issue(d)
		i.first = &e
		return e, err
	}
	return *i.first, nil
}

func TestConfigRefused(t *testing.T) {
	w := newWorld()
	empty := *w.second
	empty.Manifest.TEEs = manifest.TEEPolicy{}
	notAllowed := *w.second
	notAllowed.Manifest.TEEs.AllowSimulatedTEEThatProtectsNothing = false
	for name, x := range map[string]struct {
		change func(*Config)
		kind   error
	}{
		"no manifest":            {func(c *Config) { c.Manifest = nil }, ErrConfig},
		"no clock":               {func(c *Config) { c.Now = nil }, ErrConfig},
		"no randomness":          {func(c *Config) { c.Rand = nil }, ErrConfig},
		"no requirement":         {func(c *Config) { c.RequirePeer = 0 }, ErrConfig},
		"wrong requirement":      {func(c *Config) { c.RequirePeer = Member + 1 }, ErrConfig},
		"empty policy":           {func(c *Config) { c.Manifest = &empty }, attest.ErrEmptyPolicy},
		"simulated, not allowed": {func(c *Config) { c.Manifest = &notAllowed }, attest.ErrPolicy},
		"no verifiers":           {func(c *Config) { c.Verifiers = nil }, attest.ErrNoVerifier},
		"nil verifier":           {func(c *Config) { c.Verifiers = attest.Verifiers{"simulated": nil} }, attest.ErrNoVerifier},
		"member without key":     {func(c *Config) { c.Manifest, c.Identity.Cluster = w.first, nil }, ErrConfig},
		"no issuer":              {func(c *Config) { c.Identity.Issuer = nil }, ErrConfig},
		"index too large":        {func(c *Config) { c.Identity.Server = 3 }, ErrConfig},
		"index negative":         {func(c *Config) { c.Identity.Server = -1 }, ErrConfig},
		"wrong cluster key":      {func(c *Config) { c.Identity.Cluster = w.operator }, ErrConfig},
		"short cluster key":      {func(c *Config) { c.Identity.Cluster = w.operator[:5] }, ErrConfig},
	} {
		for _, run := range []func(context.Context, net.Conn, *Config) (*Conn, error){Client, Server} {
			a, b := net.Pipe()
			_, err := run(t.Context(), a, with(w.config(0), x.change))
			if !errors.Is(err, ErrConfig) || !errors.Is(err, x.kind) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := b.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: the connection was not closed: %v", name, err)
			}
		}
	}
	a, _ := net.Pipe()
	if _, err := Client(t.Context(), a, with(w.config(0), func(c *Config) { c.RequirePeer = None })); !errors.Is(err, ErrConfig) {
		t.Errorf("a client that requires nothing: %v", err)
	}
	a, _ = net.Pipe()
	if _, err := Server(t.Context(), a, w.person()); !errors.Is(err, ErrConfig) {
		t.Errorf("a server without identity: %v", err)
	}
}

func TestTimes(t *testing.T) {
	for _, run := range []func(context.Context, net.Conn, *Config) (*Conn, error){Client, Server} {
		noLeak(t)
		w := newWorld()
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		start := time.Now()
		_, err := run(within(t, 50*time.Millisecond), a, w.config(0))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrHandshake) || time.Since(start) > 5*time.Second {
			t.Errorf("a silent peer: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		a, b = net.Pipe()
		go io.Copy(io.Discard, b)
		if _, err := run(ctx, a, w.config(0)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	w := newWorld()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	for name, client := range map[string]*Config{"members": w.config(1), "client": w.person()} {
		b.Run(name, func(b *testing.B) {
			server := with(w.config(0), func(c *Config) { c.RequirePeer = None })
			for b.Loop() {
				done := make(chan outcome)
				go func() {
					conn, err := Server(b.Context(), must(l.Accept()), server)
					done <- outcome{conn, err}
				}()
				c, err := Client(b.Context(), must(net.Dial("tcp", l.Addr().String())), client)
				s := <-done
				if err != nil || s.err != nil {
					b.Fatal(err, s.err)
				}
				c.NetConn().Close()
				s.conn.NetConn().Close()
			}
		})
	}
}
