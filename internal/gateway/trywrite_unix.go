//go:build unix

package gateway

import (
	"net"
	"syscall"
)

// rawConn returns what a poker writes to, nil if conn is not a socket.
func rawConn(conn net.Conn) syscall.RawConn {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// A poker writes to sockets without ever waiting. It belongs to one goroutine
// and is used for many sockets, so that a write allocates nothing.
type poker struct {
	data []byte
	n    int
	err  error
	call func(fd uintptr) bool
}

func newPoker() *poker {
	p := new(poker)
	p.call = p.write
	return p
}

func (p *poker) write(fd uintptr) bool {
	for {
		p.n, p.err = syscall.Write(int(fd), p.data)
		if p.err != syscall.EINTR {
			return true
		}
	}
}

// poke writes what fits now and returns how much that was.
func (p *poker) poke(raw syscall.RawConn, data []byte) (int, error) {
	p.data, p.n, p.err = data, 0, nil
	err := raw.Write(p.call)
	p.data = nil
	if err != nil {
		return 0, err
	}
	if p.err == syscall.EAGAIN {
		return 0, nil
	}
	return max(p.n, 0), p.err
}
