package atls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

// raw is one end that speaks TLS as package atls does, but sends and accepts
// what it likes: the tool of the adversary.
type raw struct {
	*side
	*tls.Conn
	chain []*x509.Certificate
}

// newRaw makes the TLS part; fixed, if any, is the evidence that the
// certificate carries in place of what cfg's issuer makes.
func newRaw(t *testing.T, conn net.Conn, cfg *Config, d direction, fixed *attest.Evidence) *raw {
	t.Helper()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := *cfg
	if fixed != nil {
		id := *cfg.Identity
		id.Issuer = fixedIssuer{*fixed}
		c.Identity = &id
	}
	s := must(newSide(&c, d))
	config := must(s.tlsConfig())
	s.cfg = cfg // proofs are made with the real issuer
	r := &raw{side: s}
	if d == directionClient {
		r.Conn = tls.Client(conn, config)
	} else {
		r.Conn = tls.Server(conn, config)
	}
	if err := r.Handshake(); err != nil {
		t.Fatal(err)
	}
	state := r.ConnectionState()
	r.chain = state.PeerCertificates
	s.exporter = must(state.ExportKeyingMaterial(exporterLabel, nil, exporterBytes))
	return r
}

// peerEvidence is what the other end's certificate carries.
func (r *raw) peerEvidence() attest.Evidence { return must(findEvidence(r.chain[0].Extensions)) }

// adversary is a proxy's own configuration: a server of the manifest with
// the simulated TEE, which anyone has, and without the cluster key.
func (w *world) adversary(code [32]byte) *Config {
	return with(w.config(2), func(c *Config) {
		c.Identity.Cluster, c.Identity.Issuer, c.RequirePeer = nil, simulated.NewIssuer(code), Attested
	})
}

func victim(t *testing.T, run func(context.Context, net.Conn, *Config) (*Conn, error), cfg *Config) (net.Conn, <-chan error) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	done := make(chan error, 1)
	ctx := within(t, 10*time.Second)
	go func() { _, err := run(ctx, a, cfg); done <- err }()
	return b, done
}

func wantErr(t *testing.T, err error, kinds ...error) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, k := range kinds {
		if !errors.Is(err, k) {
			t.Errorf("%v is not %v", err, k)
		}
	}
}

// TestMiddleBeforeClient puts the proxy between a client and a genuine
// server; the client is the one to be deceived.
func TestMiddleBeforeClient(t *testing.T) {
	noLeak(t)
	w := newWorld()
	for name, client := range map[string]*Config{"server": w.config(0), "person": w.person()} {
		t.Run(name+"/own code", func(t *testing.T) {
			conn, done := victim(t, Client, client)
			newRaw(t, conn, w.adversary(otherCode), directionServer, nil)
			go conn.Read(make([]byte, 1<<16))
			wantErr(t, <-done, ErrCert, attest.ErrPolicy)
		})
		t.Run(name+"/own evidence for the right code", func(t *testing.T) {
			conn, done := victim(t, Client, client)
			r := newRaw(t, conn, w.adversary(goodCode), directionServer, nil)
			must(readMessage(r))
			if err := r.sendProof(r); err != nil {
				t.Fatal(err)
			}
			go conn.Read(make([]byte, 1<<16))
			wantErr(t, <-done, ErrMember)
		})
		t.Run(name+"/relays the certificate's evidence", func(t *testing.T) {
			server, _ := victim(t, Server, with(w.config(1), func(c *Config) { c.RequirePeer = None }))
			genuine := newRaw(t, server, w.adversary(goodCode), directionClient, nil).peerEvidence()
			conn, done := victim(t, Client, client)
			newRaw(t, conn, w.adversary(goodCode), directionServer, &genuine)
			go conn.Read(make([]byte, 1<<16))
			wantErr(t, <-done, ErrCert, attest.ErrBinding)
		})
		t.Run(name+"/relays the proof", func(t *testing.T) {
			conn, done := victim(t, Client, client)
			down := newRaw(t, conn, w.adversary(goodCode), directionServer, nil)
			must(readMessage(down))

			server, _ := victim(t, Server, with(w.config(1), func(c *Config) { c.RequirePeer = None }))
			up := newRaw(t, server, w.person(), directionClient, nil)
			if err := writeMessage(up, kindNone, nil); err != nil {
				t.Fatal(err)
			}
			proof := must(readMessage(up)) // a member's, genuine, and fresh
			if proof.kind != kindProof {
				t.Fatal("no proof to relay")
			}
			if err := writeMessage(down, proof.kind, proof.payload); err != nil {
				t.Fatal(err)
			}
			go conn.Read(make([]byte, 1<<16))
			wantErr(t, <-done, ErrProof, attest.ErrBinding)
		})
	}
	t.Run("reflects the client's own proof", func(t *testing.T) {
		conn, done := victim(t, Client, w.config(0))
		r := newRaw(t, conn, w.adversary(goodCode), directionServer, nil)
		m := must(readMessage(r))
		if err := writeMessage(r, m.kind, m.payload); err != nil {
			t.Fatal(err)
		}
		go conn.Read(make([]byte, 1<<16))
		wantErr(t, <-done, ErrServer)
	})
}

// TestMiddleBeforeServer puts the proxy between a genuine client, a member,
// and a server; the server is the one to be deceived.
func TestMiddleBeforeServer(t *testing.T) {
	noLeak(t)
	w := newWorld()
	t.Run("own code", func(t *testing.T) {
		conn, done := victim(t, Server, w.config(0))
		r := newRaw(t, conn, w.adversary(otherCode), directionClient, nil)
		if err := r.sendProof(r); err != nil {
			t.Fatal(err)
		}
		go conn.Read(make([]byte, 1<<16))
		wantErr(t, <-done, ErrCert, attest.ErrPolicy)
	})
	t.Run("own evidence for the right code", func(t *testing.T) {
		conn, done := victim(t, Server, w.config(0))
		r := newRaw(t, conn, w.adversary(goodCode), directionClient, nil)
		if err := r.sendProof(r); err != nil {
			t.Fatal(err)
		}
		go conn.Read(make([]byte, 1<<16))
		wantErr(t, <-done, ErrMember)
	})
	// The genuine client may join, so it speaks to a server that it can only
	// know to be attested; that is the most it gives away.
	client := with(w.config(1), func(c *Config) { c.RequirePeer = Attested })
	relay := func(t *testing.T, certificateToo bool, kind error) {
		up, _ := victim(t, Client, client)
		genuine := newRaw(t, up, w.adversary(goodCode), directionServer, nil)
		proof := must(readMessage(genuine))
		if proof.kind != kindProof {
			t.Fatal("no proof to relay")
		}
		var fixed *attest.Evidence
		if certificateToo {
			e := genuine.peerEvidence()
			fixed = &e
		}
		conn, done := victim(t, Server, w.config(0))
		r := newRaw(t, conn, w.adversary(goodCode), directionClient, fixed)
		if err := writeMessage(r, proof.kind, proof.payload); err != nil {
			t.Fatal(err)
		}
		go conn.Read(make([]byte, 1<<16))
		wantErr(t, <-done, kind, attest.ErrBinding)
	}
	t.Run("relays the certificate's evidence", func(t *testing.T) { relay(t, true, ErrCert) })
	t.Run("relays the proof", func(t *testing.T) { relay(t, false, ErrProof) })
}

// TestMessages has what a peer may send in place of a proof.
func TestMessages(t *testing.T) {
	noLeak(t)
	w := newWorld()
	for name, x := range map[string]struct {
		send []byte
		kind error
	}{
		"none though attested": {[]byte{1, 0, 0, 0, kindNone}, ErrProof},
		"accepted too early":   {[]byte{1, 0, 0, 0, kindAccepted}, ErrProof},
		"unknown kind":         {[]byte{1, 0, 0, 0, 99}, ErrProof},
		"an empty proof":       {[]byte{1, 0, 0, 0, kindProof}, ErrProof},
		"a short proof":        {append([]byte{85, 0, 0, 0, kindProof}, make([]byte, 84)...), ErrProof},
		"no evidence in it":    {append([]byte{86, 0, 0, 0, kindProof}, make([]byte, 85)...), attest.ErrEvidence},
		"length 0":             {[]byte{0, 0, 0, 0, kindProof}, ErrProof},
		"oversize":             {[]byte{0, 0, 2, 0, kindProof}, ErrProof},
		"length 2^32-1":        {[]byte{255, 255, 255, 255, kindProof}, ErrProof},
		"refused":              {[]byte{2, 0, 0, 0, kindRefused, 5}, ErrRefused},
		"refused, unknown":     {[]byte{2, 0, 0, 0, kindRefused, 77}, ErrRefused},
		"refused, no code":     {[]byte{1, 0, 0, 0, kindRefused}, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range []direction{directionClient, directionServer} {
				run := map[direction]func(context.Context, net.Conn, *Config) (*Conn, error){directionClient: Client, directionServer: Server}[d.other()]
				conn, done := victim(t, run, w.config(0))
				r := newRaw(t, conn, w.config(1), d, nil)
				if d == directionServer {
					must(readMessage(r))
				}
				if _, err := r.Write(x.send); err != nil {
					t.Fatal(err)
				}
				go conn.Read(make([]byte, 1<<16))
				wantErr(t, <-done, x.kind)
			}
		})
	}
	t.Run("silence after TLS", func(t *testing.T) {
		a, b := net.Pipe()
		done := make(chan error, 1)
		ctx := within(t, 300*time.Millisecond)
		go func() { _, err := Server(ctx, a, w.config(0)); done <- err }()
		newRaw(t, b, w.config(1), directionClient, nil)
		wantErr(t, <-done, ErrHandshake, context.DeadlineExceeded)
	})
	t.Run("no acceptance", func(t *testing.T) {
		conn, done := victim(t, Server, w.config(0))
		r := newRaw(t, conn, w.config(1), directionClient, nil)
		if err := r.sendProof(r); err != nil {
			t.Fatal(err)
		}
		must(readMessage(r))
		conn.Close()
		wantErr(t, <-done, ErrHandshake)
	})
	t.Run("old TLS", func(t *testing.T) {
		for _, config := range []*tls.Config{
			{MaxVersion: tls.VersionTLS12},
			{CurvePreferences: []tls.CurveID{tls.X25519}},
			{}, // no ALPN
		} {
			config.InsecureSkipVerify = true
			conn, done := victim(t, Server, with(w.config(0), func(c *Config) { c.RequirePeer = None }))
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			tls.Client(conn, config).Handshake()
			wantErr(t, <-done, ErrHandshake)
		}
	})
}

// TestProofTampered turns every byte of a good proof, cuts it everywhere and
// makes it longer.
func TestProofTampered(t *testing.T) {
	w := newWorld()
	for name, member := range map[string]bool{"member": true, "joining": false} {
		prover := must(newSide(with(w.config(1), func(c *Config) {
			if !member {
				c.Identity.Cluster = nil
			}
		}), directionClient))
		prover.exporter, prover.spki = []byte("exporter"), [32]byte{7}
		var sent bytes.Buffer
		if err := prover.sendProof(&sent); err != nil {
			t.Fatal(err)
		}
		m := must(readMessage(&sent))
		checker := must(newSide(with(w.config(0), func(c *Config) { c.RequirePeer = Attested }), directionServer))
		checker.exporter = prover.exporter
		if p, err := checker.checkProof(prover.spki, m); err != nil || p.Member != member {
			t.Fatal(name, p, err)
		}
		for i := range m.payload {
			for _, x := range []byte{1, 0x80, 0xff} {
				p := bytes.Clone(m.payload)
				p[i] ^= x
				if _, err := checker.checkProof(prover.spki, message{kindProof, p}); err == nil {
					t.Errorf("%s: byte %d was changed by %#x, and the proof accepted", name, i, x)
				}
			}
			if _, err := checker.checkProof(prover.spki, message{kindProof, m.payload[:i]}); err == nil {
				t.Errorf("%s: cut to %d bytes, the proof was accepted", name, i)
			}
		}
		if _, err := checker.checkProof(prover.spki, message{kindProof, append(bytes.Clone(m.payload), 0)}); err == nil {
			t.Errorf("%s: with a byte behind it the proof was accepted", name)
		}
		// Everything that a proof is bound to.
		for what, change := range map[string]func(*side){
			"exporter":  func(s *side) { s.exporter = []byte("another") },
			"manifest":  func(s *side) { s.manifest[0] ^= 1 },
			"direction": func(s *side) { s.direction = directionClient },
		} {
			c := *checker
			change(&c)
			if _, err := c.checkProof(prover.spki, m); !errors.Is(err, attest.ErrBinding) {
				t.Errorf("%s: another %s: %v", name, what, err)
			}
		}
		if _, err := checker.checkProof([32]byte{8}, m); !errors.Is(err, attest.ErrBinding) {
			t.Errorf("%s: another key: %v", name, err)
		}
	}
}

func TestExtension(t *testing.T) {
	e := must(simulated.NewIssuer(goodCode).Issue(attest.ReportData{1}))
	good := must(encodeExtension(e))
	if got, err := parseExtension(good); err != nil || got.TEE != e.TEE || !bytes.Equal(got.Raw, e.Raw) {
		t.Fatal(got, err)
	}
	for i := range good {
		if _, err := parseExtension(good[:i]); err == nil {
			t.Errorf("cut to %d bytes it was accepted", i)
		}
	}
	largest := attest.Evidence{TEE: "0123456789abcdef", Raw: make([]byte, attest.MaxRawBytes)}
	if b, err := encodeExtension(largest); err != nil || len(b) > maxCMWBytes {
		t.Errorf("%d bytes, %v", len(b), err)
	} else if _, err := parseExtension(b); err != nil {
		t.Error(err)
	}
	// The same with lengths that are not the shortest.
	long := append([]byte{derOctetString, 0x82, 0, byte(len(good) - 4)}, good[4:]...)
	if _, err := parseExtension(long); err == nil {
		t.Error("a long length was accepted")
	}
}

func FuzzExtension(f *testing.F) {
	for _, n := range []int{1, 100, 300, 65536} {
		f.Add(must(encodeExtension(attest.Evidence{TEE: "simulated", Raw: make([]byte, n)})))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseExtension(b)
		if err != nil {
			return
		}
		if again := must(encodeExtension(e)); !bytes.Equal(again, b) {
			t.Errorf("%x was accepted, its encoding is %x", b, again)
		}
	})
}

func FuzzProof(f *testing.F) {
	w := newWorld()
	prover := must(newSide(w.config(1), directionClient))
	prover.exporter = []byte("exporter")
	var sent bytes.Buffer
	if err := prover.sendProof(&sent); err != nil {
		f.Fatal(err)
	}
	good := bytes.Clone(sent.Bytes())
	f.Add(good)
	f.Add([]byte{2, 0, 0, 0, kindRefused, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		s := must(newSide(w.config(0), directionServer))
		s.exporter = prover.exporter
		if _, err := s.checkProof(prover.spki, m); err == nil && !bytes.HasPrefix(b, good) {
			t.Errorf("accepted %x", b)
		}
	})
}
