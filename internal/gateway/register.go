package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// registerBytes bounds what a registration may carry in either direction; an
// attested handshake takes some tens of kilobytes.
const registerBytes = 1 << 20

// register joins a client's byte stream with a storage server's: the one with
// role index chosen-1, or the next in turn if chosen is 0.
func (g *Gateway) register(ctx context.Context, conn net.Conn, chosen int) {
	select {
	case g.registrations <- struct{}{}:
		defer func() { <-g.registrations }()
	default:
		g.count.full.Add(1)
		return
	}
	if chosen > len(g.storages) {
		g.count.malformed.Add(1)
		return
	}
	far := g.dialStorage(ctx, chosen)
	if far == nil {
		return
	}
	defer g.untrack(far)
	until := time.Now().Add(g.cfg.RegisterTimeout)
	conn.SetDeadline(until)
	far.SetDeadline(until)
	if _, err := far.Write(wire.Preamble{Service: wire.ServiceRegistration}.Append(nil)); err != nil {
		return
	}
	g.count.registered.Add(1)
	var up sync.WaitGroup
	up.Go(func() { join(far, conn) })
	join(conn, far)
	up.Wait()
}

// dialStorage connects to a storage server; in turn it tries every one once.
func (g *Gateway) dialStorage(ctx context.Context, chosen int) net.Conn {
	first, tries := chosen-1, 1
	if chosen == 0 {
		first, tries = int(g.inTurn.Add(1)-1)%len(g.storages), len(g.storages)
	}
	for i := range tries {
		address := g.cfg.Fronts[g.storages[(first+i)%len(g.storages)]]
		dialling, cancel := context.WithTimeout(ctx, g.cfg.DialTimeout)
		far, err := g.cfg.Dial(dialling, address)
		cancel()
		if err != nil {
			continue
		}
		if !g.track(far, 1<<62) {
			far.Close()
			return nil
		}
		return far
	}
	return nil
}

// join copies from src to dst until src ends, and tells dst. If there is more
// than a registration needs, both are closed.
func join(dst, src net.Conn) {
	buf := make([]byte, 4096)
	// The wrappers keep io.Copy from kernel pipes, which cost descriptors.
	n, err := io.CopyBuffer(struct{ io.Writer }{dst}, io.LimitReader(src, registerBytes), buf)
	half, ok := dst.(interface{ CloseWrite() error })
	if err == nil && n < registerBytes && ok && half.CloseWrite() == nil {
		return
	}
	dst.Close()
	src.Close()
}
