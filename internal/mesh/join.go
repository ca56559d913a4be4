package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// The message with the cluster's secret, the only one of its connection:
//
//	"TEEMSKEY" | version u16 (1) | length u16 | secret
const (
	secretMagic  = "TEEMSKEY"
	secretHead   = len(secretMagic) + 4
	secretLimit  = 1024
	secretFormat = 1
)

// release gives the cluster's secret to a server that joins. Its evidence has
// satisfied the manifest, or it would not have come so far.
func (m *Mesh) release(ctx context.Context, conn net.Conn, raw *rawConn, who Peer) error {
	var secret []byte
	if m.cfg.Secret != nil {
		secret = m.cfg.Secret()
	}
	defer clear(secret)
	if len(secret) == 0 || len(secret) > secretLimit {
		return fmt.Errorf("server %d wants to join, and there is no secret to give", who.Server)
	}
	ctx, cancel := m.cfg.timeout(ctx, HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	b := append(make([]byte, 0, secretHead+secretLimit), secretMagic...)
	b = binary.LittleEndian.AppendUint16(b, secretFormat)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(secret)))
	b = append(b, secret...)
	_, err := conn.Write(b)
	clear(b)
	if err != nil {
		return fmt.Errorf("server %d: giving the secret: %w", who.Server, err)
	}
	m.cfg.Log(fmt.Sprintf("mesh: server %d joins: its evidence satisfies the manifest, it was given the cluster's secret", who.Server))
	io.Copy(io.Discard, io.LimitReader(conn, 1)) // until it closes
	return nil
}

// Join gets the cluster's secret from the first member that gives it; it asks
// all of them, again and again, until ctx ends. It needs Self, Servers,
// Attester, Dial, Log and AfterFunc of the configuration. That the secret is
// the cluster's the caller checks, by the public key in the manifest.
func Join(ctx context.Context, cfg Config) ([]byte, error) {
	if cfg.Attester == nil || cfg.Dial == nil {
		return nil, errors.New("mesh: joining takes an attester and a dialler")
	}
	if cfg.Servers < 2 {
		return nil, errors.New("mesh: this is the only server and it has no secret: nobody can give it one")
	}
	cfg.setDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	given := make(chan []byte, cfg.Servers)
	var all sync.WaitGroup
	for s := range cfg.Servers {
		if s != cfg.Self {
			all.Go(func() { cfg.askOn(ctx, s, given) })
		}
	}
	defer all.Wait()
	defer cancel()
	select {
	case secret := <-given:
		return secret, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// askOn asks a server until it gives the secret or ctx ends.
func (c *Config) askOn(ctx context.Context, server int, given chan<- []byte) {
	pause, said := FirstPause, ""
	for {
		secret, err := c.ask(ctx, server)
		if err == nil {
			given <- secret
			return
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			c.Log(fmt.Sprintf("mesh: no secret from server %d: %v; trying on", server, err))
		}
		c.sleep(ctx, pause)
		pause = min(2*pause, LastPause)
	}
}

func (c *Config) ask(ctx context.Context, server int) ([]byte, error) {
	conn, raw, who, err := c.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	if !who.Member {
		return nil, errNotMember
	}
	ctx, cancel := c.timeout(ctx, HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	var head [secretHead]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("it gave no secret: %w", err)
	}
	n := int(binary.LittleEndian.Uint16(head[secretHead-2:]))
	if string(head[:len(secretMagic)]) != secretMagic ||
		binary.LittleEndian.Uint16(head[len(secretMagic):]) != secretFormat || n == 0 || n > secretLimit {
		return nil, errors.New("what it sent is not a secret in a format that this program knows")
	}
	secret := make([]byte, n)
	if _, err := io.ReadFull(conn, secret); err != nil {
		return nil, fmt.Errorf("the secret broke off: %w", err)
	}
	return secret, nil
}
