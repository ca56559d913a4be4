//go:build !linux

package load

import (
	"context"
	"net"
	"sync"
)

// holder is the connections of a relay, each with a goroutine.
type holder struct {
	mu        sync.Mutex
	bySession map[uint32]net.Conn // guarded by mu
	opened    chan uint32
	stopped   chan struct{}
}

func newConnections(int) (connections, error) {
	return &holder{bySession: map[uint32]net.Conn{}, opened: make(chan uint32), stopped: make(chan struct{})}, nil
}

func (s *holder) find(session uint32) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bySession[session]
}

func (s *holder) open(session uint32, gateway string, hello []byte) error {
	conn, err := dial(context.Background(), int(session), gateway, hello)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.bySession[session] = conn
	s.mu.Unlock()
	select {
	case s.opened <- session:
	case <-s.stopped:
	}
	return nil
}

func (s *holder) write(session uint32, frames []byte) {
	if conn := s.find(session); conn != nil {
		conn.Write(frames)
	}
}

func (s *holder) serve(take func([]byte, uint32, []byte) ([]byte, int, error), send func([]byte), lost func(uint32, error)) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case session := <-s.opened:
			all.Go(func() { s.carry(session, take, send, lost) })
		case <-s.stopped:
			s.close() // so that reading ends
			return
		}
	}
}

// carry reads a connection until it ends.
func (s *holder) carry(session uint32, take func([]byte, uint32, []byte) ([]byte, int, error), send func([]byte), lost func(uint32, error)) {
	conn, out := s.find(session), []byte(nil)
	buf := make([]byte, socketBuffer)
	for have := 0; ; {
		n, err := conn.Read(buf[have:])
		if err != nil {
			lost(session, err)
			return
		}
		have += n
		done := 0
		if out, done, err = take(out[:0], session, buf[:have]); err != nil {
			lost(session, err)
			return
		}
		if len(out) > 0 {
			send(out)
		}
		if have = copy(buf, buf[done:have]); have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

func (s *holder) stop() { close(s.stopped) }

func (s *holder) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.bySession {
		conn.Close()
	}
}
