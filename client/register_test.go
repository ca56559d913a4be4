package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/wire"
)

// answering is a server that gives every registration the next of some statuses.
type answering struct {
	t      *testing.T
	m      *Manifest
	wg     sync.WaitGroup
	mu     sync.Mutex
	status []uint16 // guarded by mu
	asked  int      // guarded by mu
}

func (a *answering) dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	a.wg.Go(func() {
		defer far.Close()
		a.serve(far)
	})
	return near, nil
}

func (a *answering) serve(conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, wire.PreambleBytes)); err != nil {
		return
	}
	secure, err := atls.Server(a.t.Context(), conn, &atls.Config{
		Manifest: a.m.signed, Verifiers: simulated.Verifiers(), Now: time.Now, Rand: rand.Reader, RequirePeer: atls.None,
		Identity: &atls.Identity{Issuer: simulated.NewIssuer([32]byte{1}), Cluster: ed25519.NewKeyFromSeed(make([]byte, 32))},
	})
	if err != nil {
		return // the client left
	}
	if _, err := io.ReadFull(secure, make([]byte, 4+32+4+64)); err != nil {
		return
	}
	answer := make([]byte, answerBytes)
	a.mu.Lock()
	binary.LittleEndian.PutUint16(answer, a.status[min(a.asked, len(a.status)-1)])
	a.asked++
	a.mu.Unlock()
	binary.LittleEndian.PutUint32(answer[8:], 1)
	secure.Write(answer)
	io.Copy(io.Discard, secure) // until the client closes
}

// TestRegistrationStatus: what a server answers, and which answers are asked
// again.
func TestRegistrationStatus(t *testing.T) {
	m := testManifest(t, nil)
	for name, c := range map[string]struct {
		status []uint16
		wait   bool
		want   error
		asked  int
	}{
		"done":               {[]uint16{0}, false, nil, 1},
		"full":               {[]uint16{1}, true, ErrFull, 1},
		"bad":                {[]uint16{2}, true, ErrRegistrationRefused, 1},
		"refused":            {[]uint16{3}, true, ErrRegistrationRefused, 1},
		"unknown":            {[]uint16{5}, true, ErrRegistrationRefused, 1},
		"busy":               {[]uint16{4}, false, ErrBusy, 1},
		"busy, waits":        {[]uint16{4, 4, 0}, true, nil, 3},
		"busy, then refused": {[]uint16{4, 3}, true, ErrRegistrationRefused, 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answering{t: t, m: m, status: c.status}
			_, err := Register(within(t), RegisterConfig{
				Manifest: m, Gateways: []string{"x"}, Verifiers: simulated.Verifiers(), Dial: a.dial, Wait: c.wait,
			})
			a.wg.Wait()
			if !errors.Is(err, c.want) || a.asked != c.asked {
				t.Errorf("%v after %d times", err, a.asked)
			}
		})
	}
	a := &answering{t: t, m: m, status: []uint16{registeredBusy}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Register(ctx, RegisterConfig{Manifest: m, Gateways: []string{"x"}, Verifiers: simulated.Verifiers(), Dial: a.dial, Wait: true})
	a.wg.Wait()
	if wantErr(t, err, context.DeadlineExceeded); a.asked < 2 {
		t.Errorf("asked %d times", a.asked)
	}
}
