package deploy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are taken from below those that systems give to outgoing connections.
const (
	portFrom  = 12000
	portTo    = 32000
	portTries = 200
)

// FreePorts finds loopback addresses whose ports nobody listens on now.
func FreePorts(n int) ([]string, error) {
	var out []string
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for try := 0; len(out) < n; try++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(portFrom+rand.IntN(portTo-portFrom)))
		l, err := net.Listen("tcp", address)
		if err == nil {
			held = append(held, l)
			out = append(out, address)
		} else if try > portTries+10*n {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				return nil, fmt.Errorf("deploy: %d servers and gateways need more descriptors: %w: raise the limit (ulimit -n)", n, err)
			}
			return nil, fmt.Errorf("deploy: no free port from %d to %d on 127.0.0.1: %w: end programs that listen there, or run it in a network of its own (unshare --net --map-root-user)", portFrom, portTo, err)
		}
	}
	return out, nil
}
