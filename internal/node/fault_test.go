package node

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/wire"
)

// secretWord is what must not come out.
const secretWord = "the word 4711"

// rigged is a listener whose connections panic when they are used.
type rigged struct {
	net.Listener
	read, write bool
}

type riggedConn struct {
	net.Conn
	l *rigged
}

func (l *rigged) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &riggedConn{c, l}, err
}

func (c *riggedConn) Read(b []byte) (int, error) {
	if c.l.read {
		panic(secretWord)
	}
	return c.Conn.Read(b)
}

func (c *riggedConn) Write(b []byte) (int, error) {
	if c.l.write {
		panic(errors.New(secretWord))
	}
	return c.Conn.Write(b)
}

// TestFaults: a panic anywhere stops the node; what is said names the part and
// nothing of the value.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		part   string
		change func(*Config)
		do     func(*single)
	}{
		"in the machine": {partMachine, nil, func(s *single) {
			s.fake.get(func() {
				s.fake.onCall = func(f *fake, _ string) {
					word := []int{1}
					word[len(f.calls)+len(secretWord)]++ // its value has the index
				}
			})
		}},
		"in what the machine has ready": {partMachine, nil, func(s *single) {
			s.fake.offer(epoch.Ready{Peers: []epoch.PeerFrame{{To: 1 << 20}}})
		}},
		"reading a connection": {partConnection, func(cfg *Config) { cfg.Front = &rigged{cfg.Front, true, false} }, func(s *single) {
			s.connect(wire.ServiceGateway)
		}},
		"writing a connection": {partConnection, func(cfg *Config) { cfg.Front = &rigged{cfg.Front, false, true} }, func(s *single) {
			s.connect(wire.ServiceCoordinator)
		}},
		"in a timer": {partTimer, nil, func(s *single) { s.n.cfg.AfterFunc(0, func() { panic(secretWord) }) }},
		"from another server": {partMesh, nil, func(s *single) {
			closed := make(chan event)
			close(closed)
			(&loop{n: s.n, peers: closed}).Frame(1, wire.PeerHeader{}, nil, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSingle(t, c.change)
			c.do(s)
			eventually(t, "a fault", func() bool { return s.log.has("a fault in " + c.part) })
			err := s.stop()
			if !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), c.part) {
				t.Errorf("it ended with %v", err)
			}
			if s.log.has(secretWord) || s.log.has("index") || strings.Contains(err.Error(), secretWord) {
				t.Errorf("%v, and %q", err, s.log.lines)
			}
		})
	}
}

// TestFaultAtStart: before there is a loop, too.
func TestFaultAtStart(t *testing.T) {
	s := startSingle(t, func(c *Config) { c.Log = nil })
	s.stop()
	s.n.cfg.Secret = s.d.secret
	s.n.machine = func(epoch.Config) (machine, error) { panic(secretWord) }
	if err := s.n.Run(t.Context()); !errors.Is(err, ErrStopped) || strings.Contains(err.Error(), secretWord) {
		t.Errorf("it ended with %v", err)
	}
}

// TestFaultWithALock: a fault that leaves a lock behind does not keep the node
// from ending.
func TestFaultWithALock(t *testing.T) {
	s := startSingle(t, nil)
	release := make(chan struct{})
	s.fake.get(func() {
		s.fake.onCall = func(f *fake, what string) {
			if what == "tick" {
				go func() {
					defer s.n.guard(partConnection)
					panic(secretWord)
				}()
				<-release // the loop hangs
			}
		}
	})
	eventually(t, "a fault", func() bool { return s.log.has("a fault in") })
	if err := s.stop(); !errors.Is(err, ErrStopped) {
		t.Errorf("it ended with %v", err)
	}
	close(release)
}
