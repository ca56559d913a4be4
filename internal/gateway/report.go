package gateway

import (
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// reportRows bounds the changes in one frame.
const reportRows = 1 << 14

// report tells a coordinator which clients are connected, until it goes.
func (g *Gateway) report(conn net.Conn) {
	select {
	case g.coordinators <- struct{}{}:
		defer func() { <-g.coordinators }()
	default:
		g.count.full.Add(1)
		return
	}
	conn.SetReadDeadline(time.Time{})
	o := g.presence.observe()
	defer g.presence.forget(o)
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { g.writeReports(conn, o, done) })
	var b [1]byte
	conn.Read(b[:]) // a coordinator says nothing: this is its end
	conn.Close()
	close(done)
	writer.Wait()
}

func (g *Gateway) writeReports(conn net.Conn, o *observer, done <-chan struct{}) {
	var m wire.Connections
	var frame []byte
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return
		case <-o.wake:
		}
		for more := true; more; {
			m.Changes = m.Changes[:0]
			more = g.presence.take(o, reportRows, func(k presenceKey, up bool) {
				m.Changes = append(m.Changes, wire.Connection{Client: k.client, Role: k.role, Up: up})
			})
			if len(m.Changes) == 0 {
				break
			}
			frame = m.Append(frame[:0])
			conn.SetWriteDeadline(time.Now().Add(g.cfg.WriteTimeout))
			if _, err := conn.Write(frame); err != nil {
				conn.Close()
				return
			}
		}
		pause.Reset(g.cfg.ReportDelay)
		select {
		case <-done:
			return
		case <-pause.C:
		}
	}
}
