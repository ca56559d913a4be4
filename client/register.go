package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/wire"
)

// RegisterConfig is what a registration needs. The first three fields have no
// default.
type RegisterConfig struct {
	Manifest  *Manifest
	Gateways  []string // addresses; the next one is tried when one fails
	Verifiers attest.Verifiers

	// Wait waits for a cluster that cannot be reached yet, or is too busy, until
	// ctx ends.
	Wait bool

	Dial      Dial          // nil: TCP
	Clock     Clock         // nil: the system's
	Random    io.Reader     // nil: crypto/rand. Cryptographically secure, safe for concurrent use
	IOTimeout time.Duration // to connect and attest. 0: 40 s; the commit may take longer
}

// Register makes a new client of the cluster: over a connection on which a
// server has proved what code it runs it gives a new public key, and gets an ID
// and a key in return, once an epoch that holds them is committed. Keep the
// identity: it cannot be had again. Errors: ErrUnavailable, ErrUnattested,
// ErrFull, ErrBusy, ErrRegistrationRefused, ErrOutcomeUnknown (an ID may be
// lost), ErrConfig, ctx's.
func Register(ctx context.Context, cfg RegisterConfig) (*Identity, error) {
	return register(ctx, cfg, nil)
}

// RegisterAgain gives a client new keys, with the same ID. The old identity is
// of no use afterwards, and neither are programs that run with it.
func RegisterAgain(ctx context.Context, cfg RegisterConfig, old *Identity) (*Identity, error) {
	switch {
	case old == nil || old.register == nil:
		return nil, fmt.Errorf("%w: this identity cannot register again", ErrConfig)
	case cfg.Manifest != nil && old.cluster != cfg.Manifest.cluster:
		return nil, fmt.Errorf("%w: the identity", ErrWrongCluster)
	}
	return register(ctx, cfg, old)
}

// The messages of a registration.
const (
	registerVersion  = 1
	registerNew      = 1
	registerAgain    = 2
	registerExporter = "teems registration"
	exporterBytes    = 32
	answerBytes      = 52

	registeredDone    = 0
	registeredFull    = 1
	registeredRefused = 3
	registeredBusy    = 4
)

func register(ctx context.Context, cfg RegisterConfig, old *Identity) (*Identity, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &registration{cfg: cfg, old: old}
	if old != nil {
		r.key = old.register
	} else {
		var seed [ed25519.SeedSize]byte
		if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
			return nil, fmt.Errorf("client: no randomness for a key: %w", err)
		}
		r.key = ed25519.NewKeyFromSeed(seed[:])
	}
	return r.run(ctx)
}

func (cfg RegisterConfig) withDefaults() (RegisterConfig, error) {
	switch {
	case cfg.Manifest == nil || len(cfg.Gateways) == 0 || len(cfg.Verifiers) == 0:
		return cfg, fmt.Errorf("%w: it takes a manifest, the address of a gateway, and verifiers", ErrConfig)
	case cfg.IOTimeout < 0:
		return cfg, fmt.Errorf("%w: times are 0, for the default, or more", ErrConfig)
	}
	if cfg.Dial == nil {
		cfg.Dial = dialTCP
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	setTime(&cfg.IOTimeout, 40*time.Second)
	return cfg, nil
}

type registration struct {
	cfg RegisterConfig
	old *Identity // nil: a new client
	key ed25519.PrivateKey
}

// run tries the gateways, once or, with Wait, until it works.
func (r *registration) run(ctx context.Context) (*Identity, error) {
	backoff := 100 * time.Millisecond
	for try := 1; ; try++ {
		id, err := r.once(ctx, r.cfg.Gateways[(try-1)%len(r.cfg.Gateways)])
		switch {
		case err == nil:
			return id, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrBusy), !r.cfg.Wait && try >= len(r.cfg.Gateways):
			return nil, err
		}
		if try%len(r.cfg.Gateways) == 0 {
			sleep(ctx, r.cfg.Clock, backoff)
			backoff = min(2*backoff, 2*time.Second)
		}
	}
}

// once registers through one gateway.
func (r *registration) once(ctx context.Context, gateway string) (*Identity, error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	late := r.cfg.Clock.AfterFunc(r.cfg.IOTimeout, cancel)
	defer late()
	shard := anyShard
	if r.old != nil {
		shard = r.cfg.Manifest.g.StorageOf(r.old.id) // it alone can renew the keys
	}
	secure, closeIt, err := r.cfg.contact(ctx, limited, gateway, shard)
	if err != nil {
		return nil, err
	}
	defer closeIt()
	defer secure.Close()
	request, err := r.request(secure)
	if err != nil {
		return nil, err
	}
	late()
	if _, err := secure.Write(request); err != nil {
		return nil, unavailable(gateway, err)
	}
	var answer [answerBytes]byte
	if _, err := io.ReadFull(secure, answer[:]); err != nil {
		return nil, fmt.Errorf("%w: the connection ended before the server answered: %w", ErrOutcomeUnknown, err)
	}
	return r.take(answer[:], secure.Peer().Server)
}

func unavailable(gateway string, err error) error {
	return fmt.Errorf("%w: gateway %s: %w", ErrUnavailable, gateway, err)
}

// anyShard lets the gateway choose a storage server.
const anyShard = -1

// contact connects to a storage server, through a gateway, and attests it,
// until limited ends; the connection lives until ctx does, or closeIt is called.
func (cfg *RegisterConfig) contact(ctx, limited context.Context, gateway string, shard int) (_ *atls.Conn, closeIt func(), err error) {
	conn, err := cfg.Dial(limited, gateway)
	if err != nil {
		return nil, nil, unavailable(gateway, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	end := func() { stop(); conn.Close() }
	defer func() {
		if err != nil {
			end()
		}
	}()
	preamble := wire.Preamble{Service: wire.ServiceRegistration}.Append(nil)
	preamble[wire.PreambleBytes-1] = byte(1 + shard) // asks the gateway for it; 0: any
	if _, err := conn.Write(preamble); err != nil {
		return nil, nil, unavailable(gateway, err)
	}
	secure, err := atls.Client(limited, conn, &atls.Config{
		Manifest: cfg.Manifest.signed, Verifiers: cfg.Verifiers, Now: cfg.Clock.Now, Rand: cfg.Random,
		RequirePeer: atls.Member,
	})
	switch {
	case err == nil:
		return secure, end, nil
	case unreachable(err):
		return nil, nil, unavailable(gateway, err)
	}
	return nil, nil, fmt.Errorf("%w: %w", ErrUnattested, err)
}

// unreachable says whether a handshake failed because nobody was there, not
// because somebody gave a wrong answer.
func unreachable(err error) bool {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return false
	}
	var timeout interface{ Timeout() bool }
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, new(*net.OpError)) || errors.As(err, &timeout) && timeout.Timeout()
}

// request is version u16 | kind u8 | 0 u8 | publicKey 32 | id u32 | signature 64
// over the connection's exporter and the fields before.
func (r *registration) request(conn *atls.Conn) ([]byte, error) {
	exporter, err := conn.Exporter(registerExporter, exporterBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnattested, err)
	}
	le := binary.LittleEndian
	kind, id := byte(registerNew), uint32(0)
	if r.old != nil {
		kind, id = registerAgain, r.old.id
	}
	b := append(le.AppendUint16(nil, registerVersion), kind, 0)
	b = append(b, r.key.Public().(ed25519.PublicKey)...)
	b = le.AppendUint32(b, id)
	return append(b, ed25519.Sign(r.key, append(exporter, b...))...), nil
}

// take reads the server's answer: status u16 | 0 u16 | id u32 | generation u32 |
// epoch u64 | clientKey 32.
func (r *registration) take(b []byte, server int) (*Identity, error) {
	le := binary.LittleEndian
	switch status := le.Uint16(b); status {
	case registeredDone:
	case registeredFull:
		return nil, ErrFull
	case registeredBusy:
		return nil, ErrBusy
	case registeredRefused:
		return nil, fmt.Errorf("%w: the key is not the one that this ID was registered with, or the server is stopping", ErrRegistrationRefused)
	default:
		return nil, fmt.Errorf("%w: as malformed (status %d)", ErrRegistrationRefused, status)
	}
	m := r.cfg.Manifest
	i := &Identity{
		cluster: m.cluster, id: le.Uint32(b[4:]), generation: le.Uint32(b[8:]), epoch: le.Uint64(b[12:]),
		clientKey: [32]byte(b[20:]), register: r.key, era: m.Era(),
	}
	if int64(i.id) >= int64(m.Capacity()) || !slices.Contains(m.g.Storages(), server) || m.g.Storages()[m.g.StorageOf(i.id)] != server ||
		r.old != nil && (i.id != r.old.id || i.generation <= r.old.generation) || i.generation == 0 {
		return nil, fmt.Errorf("%w: the server's answer contradicts the manifest", ErrRegistrationRefused)
	}
	return i, nil
}
