package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

// register is a client's side of a registration.
func register(t *testing.T, s *single, change func(request []byte)) ([]byte, error) {
	t.Helper()
	raw, _ := s.connect(wire.ServiceRegistration)
	return registerOn(t, s, raw, change)
}

func registerOn(t *testing.T, s *single, raw net.Conn, change func(request []byte)) ([]byte, error) {
	t.Helper()
	c, err := atls.Client(t.Context(), raw, &atls.Config{
		Manifest: s.d.signed, Verifiers: simulated.Verifiers(), Now: time.Now, Rand: rand.Reader, RequirePeer: atls.Member,
	})
	must(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	exporter, err := c.Exporter("teems registration", 32)
	must(t, err)
	b := append([]byte{1, 0, 1, 0}, public...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, ed25519.Sign(private, append(exporter, b...))...)
	if change != nil {
		change(b)
	}
	_, err = c.Write(b)
	must(t, err)
	answer := make([]byte, 52)
	_, err = io.ReadFull(c, answer)
	hash := keys.Hash(public)
	if err == nil && change == nil && !bytes.Equal(answer[20:], hash[:]) {
		t.Errorf("the machine was told another key hash: %x", answer)
	}
	return answer, err
}

func TestRegistration(t *testing.T) {
	s := startSingle(t, nil)
	answer, err := register(t, s, nil)
	must(t, err)
	le := binary.LittleEndian
	if le.Uint16(answer) != 0 || le.Uint32(answer[4:]) != 77 || le.Uint32(answer[8:]) != 1 || le.Uint64(answer[12:]) != 9 {
		t.Errorf("answer %x", answer)
	}
	for name, change := range map[string]func([]byte){
		"signature": func(b []byte) { b[len(b)-1] ^= 1 },
		"key":       func(b []byte) { b[4] ^= 1 },
		"version":   func(b []byte) { b[0] = 2 },
		"kind":      func(b []byte) { b[2] = 3 },
		"reserved":  func(b []byte) { b[3] = 1 },
		"id of new": func(b []byte) { b[36] = 1 },
	} {
		answer, err := register(t, s, change)
		must(t, err)
		if le.Uint16(answer) != uint16(epoch.RegistrationBad) || !bytes.Equal(answer[2:], make([]byte, 50)) {
			t.Errorf("wrong %s: answer %x", name, answer)
		}
	}
	s.fake.get(func() {
		if len(s.fake.asked) != 1 {
			t.Errorf("the machine was asked %d times", len(s.fake.asked))
		}
	})
}

// TestRegistrationsThatStall: clients that say nothing, or leave while they
// wait, leave nothing behind: their registrations are withdrawn.
func TestRegistrationsThatStall(t *testing.T) {
	var alarms alarms
	s := startSingle(t, func(c *Config) { c.AfterFunc = alarms.after })
	s.fake.get(func() {
		s.fake.onCall = func(f *fake, what string) {
			if what == "register" {
				f.ready = f.ready[:len(f.ready)-1] // never answered
			}
		}
	})
	const silent = 20
	for range silent {
		s.connect(wire.ServiceRegistration)
	}
	rung := 0
	eventually(t, "all silent ones have their time", func() bool {
		rung += alarms.ring(registrationTime)
		return rung == silent
	})
	eventually(t, "silent ones are closed", func() bool { return s.log.has("TLS handshake failed") })
	alarms.over(commitTime)
	if _, err := register(t, s, nil); err == nil {
		t.Error("it got an answer without a commit")
	}
	alarms.over(0)
	eventually(t, "those that wait too long are closed", func() bool { return s.log.has("no epoch was committed") })
	withdrawn := func(want ...uint64) {
		t.Helper()
		eventually(t, "withdrawn", func() (ok bool) {
			s.fake.get(func() { ok = slices.Equal(s.fake.withdrew, want) })
			return ok
		})
	}
	withdrawn(1)
	raw, _ := s.connect(wire.ServiceRegistration)
	s.fake.get(func() {
		silent := s.fake.onCall
		s.fake.onCall = func(f *fake, what string) {
			silent(f, what)
			if what == "register" {
				raw.Close()
			}
		}
	})
	if _, err := registerOn(t, s, raw, nil); err == nil {
		t.Error("it got an answer after it left")
	}
	withdrawn(1, 2)
	eventually(t, "said", func() bool { return s.log.has("the client left") })
	// An answer to a ticket that nobody has changes nothing.
	s.fake.offer(epoch.Ready{Registered: []epoch.Registered{{Ticket: 2}}})
	s.fake.get(func() { s.fake.onCall = nil })
	_, err := register(t, s, nil)
	must(t, err)
	withdrawn(1, 2)
}
