package epoch

import "sync/atomic"

// lease counts the frames that still hold views into one set of arrays, so that
// the arrays are written again only when nobody reads them.
type lease struct{ out atomic.Int64 }

func (l *lease) free() bool { return l == nil || l.out.Load() == 0 }

// Sent gives the frame's views back.
func (f *PeerFrame) Sent() {
	if f.lease != nil {
		f.lease.out.Add(-1)
		f.lease = nil
	}
}

// Sent gives the cells' buffer back.
func (c *ClientCells) Sent() {
	if c.lease != nil {
		c.lease.out.Add(-1)
		c.lease = nil
	}
}
