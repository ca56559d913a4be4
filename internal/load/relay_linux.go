package load

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// Bounds of a relay's event loop.
const (
	relayEvents = 512     // taken at a time
	relayBuffer = 1 << 16 // read from a connection at once
)

// holder is the connections of a relay without package net: one goroutine for
// all, and nothing kept of a connection but its descriptor. With a goroutine and
// a buffer each, they would take most of the machine's memory.
type holder struct {
	epoll     int
	bySession map[uint32]int // descriptors; the goroutine's that opens
	longest   int            // bytes of a frame that comes
	stopping  atomic.Bool
	wake      [2]int // a pipe
}

func newConnections(longest int) (connections, error) {
	s := &holder{bySession: map[uint32]int{}, longest: longest}
	var err error
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if err = syscall.Pipe2(s.wake[:], syscall.O_CLOEXEC); err == nil {
		err = s.watch(s.wake[0], 0)
	}
	if err != nil {
		syscall.Close(s.epoll)
		return nil, err
	}
	return s, nil
}

func (s *holder) watch(fd int, session uint32) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd), Pad: int32(session)}
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &e)
}

func (s *holder) open(session uint32, gateway string, hello []byte) (err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	address, err := net.ResolveTCPAddr("tcp4", gateway)
	if err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())}
	if from := source(address.IP, int(session)/perSource); from != nil {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1); err != nil {
			return err
		}
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte(from.To4())}); err != nil {
			return err
		}
	}
	// Reset at the end: nobody waits, and the system forgets it at once.
	if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := again(func() error { return syscall.Connect(fd, to) }); err != nil && err != syscall.EISCONN {
		return err
	}
	if err := writeAll(fd, hello); err != nil {
		return err
	}
	s.bySession[session] = fd
	return s.watch(fd, session)
}

func (s *holder) write(session uint32, frames []byte) {
	if fd, ok := s.bySession[session]; ok {
		writeAll(fd, frames)
	}
}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (s *holder) serve(take func([]byte, uint32, []byte) ([]byte, int, error), send func([]byte), lost func(uint32, error)) {
	events := make([]syscall.EpollEvent, relayEvents)
	buf := make([]byte, relayBuffer+s.longest)
	rest := map[int32][]byte{} // the beginning of a frame, by descriptor: rare
	var out []byte
	for {
		n, err := syscall.EpollWait(s.epoll, events, -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || s.stopping.Load() {
			return
		}
		out = out[:0]
		for _, e := range events[:n] {
			if int(e.Fd) == s.wake[0] {
				continue
			}
			session := uint32(e.Pad)
			have := copy(buf, rest[e.Fd])
			delete(rest, e.Fd)
			got, done := 0, 0
			err := again(func() (err error) { got, err = syscall.Read(int(e.Fd), buf[have:]); return err })
			if err == nil && got == 0 {
				err = io.EOF
			}
			if err == nil {
				out, done, err = take(out, session, buf[:have+got])
			}
			if err != nil {
				syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, int(e.Fd), nil)
				lost(session, err)
				continue
			}
			if left := buf[done : have+got]; len(left) > 0 {
				rest[e.Fd] = append([]byte(nil), left...)
			}
		}
		if len(out) > 0 {
			send(out)
		}
	}
}

func (s *holder) stop() {
	s.stopping.Store(true)
	syscall.Write(s.wake[1], []byte{0})
}

func (s *holder) close() {
	for _, fd := range s.bySession {
		syscall.Close(fd)
	}
	for _, fd := range []int{s.epoll, s.wake[0], s.wake[1]} {
		syscall.Close(fd)
	}
}
