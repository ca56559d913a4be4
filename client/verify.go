package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/inspect"
	"github.com/teems-go/teems/internal/atls"
)

// Verified is what a server proved about itself on a connection of its own.
type Verified struct {
	Server  int             `json:"server"`  // index in the manifest
	Gateway string          `json:"gateway"` // through which it was reached
	Report  *inspect.Report `json:"report"`  // what was checked, and what the evidence says
}

// StorageServers are the servers that clients can reach to attest them, by their
// index in the manifest. The others these vouch for: a server links itself only
// with those that satisfy the same manifest.
func (m *Manifest) StorageServers() []int { return slices.Clone(m.g.Storages()) }

// VerifyServer connects to a storage server and lets it prove what code it runs,
// in which TEE, under which manifest, that it holds the cluster's key, and that
// all this is so now. Registrations do the same; this is for who wants to see
// it, or see it again. Of cfg it takes what they do, and tries each gateway once.
// Errors: ErrUnattested when the server answers and the proof fails,
// ErrUnavailable, ErrConfig, ctx's.
func VerifyServer(ctx context.Context, cfg RegisterConfig, server int) (*Verified, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	shard := slices.Index(cfg.Manifest.g.Storages(), server)
	if shard < 0 {
		return nil, fmt.Errorf("%w: server %d is no storage server, and clients reach only those", ErrConfig, server)
	}
	for _, gateway := range cfg.Gateways {
		var v *Verified
		v, err = cfg.verify(ctx, gateway, server, shard)
		if err == nil || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return v, err
		}
	}
	return nil, err
}

func (cfg *RegisterConfig) verify(ctx context.Context, gateway string, server, shard int) (*Verified, error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	defer cfg.Clock.AfterFunc(cfg.IOTimeout, cancel)()
	conn, closeIt, err := cfg.contact(ctx, limited, gateway, shard)
	if err != nil {
		return nil, err
	}
	defer closeIt()
	peer := conn.Peer()
	if peer.Server != server {
		return nil, fmt.Errorf("%w: server %d answered in place of server %d: the gateway has another manifest", ErrUnattested, peer.Server, server)
	}
	r := inspect.Connection(peer.Claims, cfg.Manifest.signed.Manifest.Policy(), cfg.Clock.Now(), cfg.Manifest.proved(&peer))
	r.NotChecked = []string{"the servers behind this one: it vouches for them, as it links itself only with those that satisfy the same manifest"}
	if r.Verdict != inspect.Accepted { // the handshake has asked the same policy
		return nil, fmt.Errorf("%w: %s", ErrUnattested, r.Summary)
	}
	return &Verified{Server: server, Gateway: gateway, Report: r}, nil
}

// proved are the checks that the handshake made besides those of the evidence.
func (m *Manifest) proved(peer *atls.PeerInfo) []attest.Check {
	hash := m.Hash()
	ok := func(name, format string, a ...any) attest.Check {
		return attest.Check{Name: name, OK: true, Detail: fmt.Sprintf(format, a...)}
	}
	return []attest.Check{
		ok("connection", "TLS 1.3 with a hybrid post-quantum key exchange (X25519MLKEM768), not resumed"),
		ok("freshness", "the evidence was made for this connection: it is bound to secrets of its key exchange (TLS exporter)"),
		ok("binding", "it is bound to the server's certificate, boot %s and place: server %d", hex.EncodeToString(peer.Boot[:]), peer.Server),
		ok("manifest", "it is bound to manifest %d, hash %x, the one that is trusted here", m.signed.Manifest.Sequence, hash),
		ok("cluster", "the server holds the key of cluster %x, and signed this connection with it", m.cluster),
	}
}
