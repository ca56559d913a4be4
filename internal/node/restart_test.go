package node

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/manifest"
)

// again starts a server anew at its old addresses, with nothing but what the
// others tell it.
func (c *cluster) again(i int) {
	c.t.Helper()
	var l [2]net.Listener
	for k, address := range []string{c.mesh[i], c.front[i]} {
		eventually(c.t, "the address is free", func() bool {
			var err error
			l[k], err = net.Listen("tcp", address)
			return err == nil
		})
	}
	c.start(i, l, nil)
}

// TestRestartBeforeAnything: a server that comes back before an epoch is tried
// has lost nothing.
func TestRestartBeforeAnything(t *testing.T) {
	c := startCluster(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 12)
	eventually(t, "linked", func() bool { return c.log.has("2: mesh: server 1 is linked") })
	must(t, c.stop[2]())
	c.again(2)
	w := c.crowd()
	c.drive(1)
	eventually(t, "delivered", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.delivered[1] == 12
	})
	for _, line := range w.wrong {
		t.Error(line)
	}
}

// TestRestartWithoutState: a server that lost what it committed stops for good,
// and says so; it must not serve as if nothing had been.
func TestRestartWithoutState(t *testing.T) {
	c := startCluster(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 12)
	c.crowd()
	c.drive(2)
	must(t, c.stop[2]())
	c.again(2)
	eventually(t, "it stops for good", func() bool { return c.log.has("2: node: this server stops for good") })
	done := make(chan error, 1)
	go func() { done <- c.stop[3]() }()
	select {
	case err := <-done:
		if !errors.Is(err, ErrStopped) {
			t.Errorf("it ended with: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not end")
	}
	c.stop = c.stop[:2] // how the others end is checked below
	for i := range 2 {
		if c.log.has(string(rune('0'+i)) + ": node: this server stops") {
			if err := c.stop[i](); !errors.Is(err, ErrStopped) {
				t.Errorf("server %d ended with: %v", i, err)
			}
		} else if err := c.stop[i](); err != nil {
			t.Errorf("server %d ended with: %v", i, err)
		}
	}
	c.stop = nil
}
