package node

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
)

// Bounds of registrations.
const (
	maxRegistrations = 4096 // connections, most of which wait for a commit
	maxHandshakes    = 256  // that have not said what they want
	registrationTime = 20 * time.Second
	commitTime       = 3 * time.Minute
)

// The messages of a registration; docs/protocol.md, section 4.
const (
	registerFields = 2 + 1 + 1 + ed25519.PublicKeySize + 4 // what is signed
	registerBytes  = registerFields + ed25519.SignatureSize
	answerBytes    = 52

	registerVersion  = 1
	registerNew      = 1
	registerAgain    = 2
	registerExporter = "teems registration"
)

// registration serves one client that registers.
func (f *front) registration(ctx context.Context, conn net.Conn) error {
	if !f.handshakes.take(maxHandshakes) {
		return errMany
	}
	held := true
	done := func() {
		if held {
			f.handshakes.give()
			held = false
		}
	}
	defer done()
	late := f.n.cfg.AfterFunc(registrationTime, func() { conn.Close() })
	secure, err := atls.Server(ctx, conn, &f.attest)
	if err != nil {
		late()
		return err
	}
	defer secure.Close()
	r, status, err := f.request(secure)
	if !late() {
		return fmt.Errorf("it did not register within %v", registrationTime)
	}
	if err != nil {
		return err
	}
	done()
	answer := epoch.Registered{Status: status}
	if status == epoch.RegistrationDone {
		if answer, err = f.register(ctx, secure, r); err != nil {
			return err
		}
	}
	defer f.n.cfg.AfterFunc(registrationTime, func() { conn.Close() })()
	_, err = secure.Write(encodeAnswer(&answer))
	return err
}

// request reads and checks what the client asks for. The status is
// RegistrationDone if the machine is to be asked.
func (f *front) request(conn *atls.Conn) (r epoch.Registration, status epoch.RegistrationStatus, err error) {
	var b [registerBytes]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return r, 0, fmt.Errorf("reading a registration: %w", err)
	}
	fields, signature := b[:registerFields], b[registerFields:]
	public := ed25519.PublicKey(fields[4 : 4+ed25519.PublicKeySize])
	exporter, err := conn.Exporter(registerExporter, 32)
	if err != nil {
		return r, 0, err
	}
	r.KeyHash = keys.Hash(public)
	r.Again = fields[2] == registerAgain
	r.ID = binary.LittleEndian.Uint32(fields[registerFields-4:])
	switch {
	case binary.LittleEndian.Uint16(fields) != registerVersion, fields[3] != 0,
		fields[2] != registerNew && fields[2] != registerAgain, !r.Again && r.ID != 0:
		return r, epoch.RegistrationBad, nil
	case !ed25519.Verify(public, append(exporter, fields...), signature):
		return r, epoch.RegistrationBad, nil
	}
	return r, epoch.RegistrationDone, nil
}

// register hands the registration to the machine and waits for the commit that
// holds it, or for the client to go away.
func (f *front) register(ctx context.Context, conn *atls.Conn, r epoch.Registration) (epoch.Registered, error) {
	l := f.l
	answers := make(chan epoch.Registered, 1)
	gone := make(chan struct{})
	watched := make(chan struct{})
	go func() { // nothing more may come; this notices when the client leaves
		defer f.n.guard(partConnection)
		defer close(watched)
		conn.Read(make([]byte, 1))
		close(gone)
	}()
	defer func() {
		conn.SetReadDeadline(time.Unix(1, 0))
		<-watched
	}()
	if !l.post(l.control, func() {
		l.nextTicket++
		r.Ticket = l.nextTicket
		l.tickets[r.Ticket] = answers
		l.machine.Register(r)
	}) {
		return epoch.Registered{}, errGone
	}
	late := make(chan struct{})
	defer f.n.cfg.AfterFunc(commitTime, func() { close(late) })()
	var err error
	select {
	case a := <-answers:
		return a, nil
	case <-gone:
		err = errors.New("the client left before its registration was committed")
	case <-late:
		err = fmt.Errorf("no epoch was committed within %v", commitTime)
	case <-ctx.Done():
		return epoch.Registered{}, errGone
	}
	// Nobody waits for it any more, so it takes no ID. It may be too late for
	// that: then an answer comes to a ticket that nobody has.
	l.post(l.control, func() {
		delete(l.tickets, r.Ticket)
		l.machine.Withdraw(r.Ticket)
	})
	return epoch.Registered{}, err
}

// encodeAnswer is status u16 | 0 u16 | id u32 | generation u32 | epoch u64 |
// clientKey 32.
func encodeAnswer(a *epoch.Registered) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(make([]byte, 0, answerBytes), uint16(a.Status))
	b = append(b, 0, 0)
	b = le.AppendUint32(b, a.ID)
	b = le.AppendUint32(b, a.Generation)
	b = le.AppendUint64(b, a.Epoch)
	return append(b, a.ClientKey[:]...)
}
