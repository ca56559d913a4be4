package epoch_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
)

type disk struct {
	m     map[string][]byte
	crash func(op, name string) bool
}

var errCrash = errors.New("crash")

func (d *disk) Put(name string, parts ...[]byte) error {
	if d.crash != nil && d.crash("put", name) {
		return errCrash
	}
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	d.m[name] = b
	return nil
}
func (d *disk) Get(name string) ([]byte, error) {
	b, ok := d.m[name]
	if !ok {
		return nil, commit.ErrNotFound
	}
	return append([]byte(nil), b...), nil
}
func (d *disk) Delete(name string) error {
	if d.crash != nil && d.crash("delete", name) {
		return errCrash
	}
	delete(d.m, name)
	return nil
}

// keptEpochs is how many epochs' deliveries a server of one keeps.
const keptEpochs = 2

// start is a server of one, with the state of a disk.
func start(d *disk, boot byte) (*epoch.Server, error) {
	g, err := geometry.New(geometry.Params{
		Capacity: 8, CellBytes: 64, DeliveryEpochs: keptEpochs, Token: geometry.TokenChannel{Out: 1, In: 1}, ID: geometry.IDChannel{Out: 1, Contact: 1},
		Servers: []geometry.Server{{Roles: geometry.AllRoles, Weight: 1}},
	})
	if err != nil {
		return nil, err
	}
	return epoch.New(epoch.Config{
		Geometry: g, Cluster: [32]byte{1}, Era: 1, Simulated: 8, Boot: [16]byte{boot}, Workers: 1,
		Keys: keys.NewServer(keys.New(keys.Master{2}, [32]byte{1}, 1), [32]byte{3}, 1), Store: d, Random: rand.Reader,
	})
}

func single(t *testing.T, d *disk, boot byte) *epoch.Server {
	t.Helper()
	s, err := start(d, boot)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// announcements opens what client 0 is told by its server.
func announcements(t *testing.T, s *epoch.Server, boot byte) map[uint64][2]string {
	key := keys.SimulatedClientKey([32]byte{3}, 0)
	down := keys.Session(key, cell.Down, cell.RoleJoint, [16]byte{9}, [16]byte{boot})
	out := map[uint64][2]string{}
	for {
		r := s.Ready()
		if r.Empty() {
			return out
		}
		for _, c := range r.Cells {
			if c.Type == cell.TypeAnnouncement {
				var nonce [12]byte
				cell.PutDownNonce(&nonce, c.Epoch, 0, c.Type)
				ad := cell.MakeAD(&[32]byte{1}, cell.Down, cell.RoleJoint, c.Type, 0)
				ad.SetEpoch(c.Epoch)
				b, err := down.Open(nil, nonce[:], c.Cell(0), ad[:])
				if err != nil {
					t.Fatal(err)
				}
				a := cell.Announcement(b)
				out[a.Open()] = [2]string{fmt.Sprint(a.HeadEpoch()), fmt.Sprintf("%x", a.Head()[:4])}
			}
			c.Sent()
		}
		if r.Stopped != nil {
			return out
		}
	}
}

// After a crash between base and the commit's last record a server announces
// what it announced before.
func TestCrashKeepsAnnouncements(t *testing.T) {
	d := &disk{m: map[string][]byte{}}
	s := single(t, d, 1)
	s.Attach(1, 0, cell.RoleJoint, [16]byte{9}, attachProof(0, 0, cell.RoleJoint, [16]byte{9}))
	said := announcements(t, s, 1)
	for e := uint64(1); e <= 5; e++ {
		if e == 5 {
			d.crash = func(op, name string) bool { return op == "put" && name == "commit-final" }
		}
		if err := s.Propose(e, 1, fullRoster(8)); err != nil && e != 5 {
			t.Fatal(err)
		}
		for k, v := range announcements(t, s, 1) {
			said[k] = v
		}
	}
	d.crash = nil
	s = single(t, d, 2)
	compared := 0
	s.Attach(1, 0, cell.RoleJoint, [16]byte{9}, attachProof(0, 0, cell.RoleJoint, [16]byte{9}))
	for k, v := range announcements(t, s, 2) {
		if w, ok := said[k]; ok && w != v {
			t.Errorf("of epoch %d it said %v before, and says %v now", k, w, v)
		}
		compared++
	}
	if compared == 0 {
		t.Error("nothing was announced after the restart")
	}
}

// A crash at any write of an epoch: the server restarts, the epoch is final or
// can be tried again, and the next ones follow; nothing is left of old epochs.
func TestCrashPoints(t *testing.T) {
	for point := 0; ; point++ {
		d := &disk{m: map[string][]byte{}}
		s := single(t, d, 1)
		for e := uint64(1); e <= 3; e++ {
			if err := s.Propose(e, 1, fullRoster(8)); err != nil {
				t.Fatal(err)
			}
			s.Ready()
		}
		n, at := 0, ""
		d.crash = func(op, name string) bool {
			if n == point && at == "" {
				at = op + " " + name
			}
			n++
			return at != ""
		}
		_ = s.Propose(4, 1, fullRoster(8))
		d.crash = nil
		if at == "" {
			if point < 8 {
				t.Errorf("an epoch has %d writes only", point)
			}
			return
		}
		s = single(t, d, 2)
		s.Tick()
		if s.Status().Committed == 3 {
			if err := s.Propose(4, 2, fullRoster(8)); err != nil {
				t.Fatalf("after a crash at %s: %v", at, err)
			}
		}
		for e := uint64(5); e <= 7; e++ {
			if err := s.Propose(e, 1, fullRoster(8)); err != nil {
				t.Fatalf("after a crash at %s, epoch %d: %v", at, e, err)
			}
		}
		if s.Stopped() != nil || s.Status().Committed != 7 {
			t.Errorf("after a crash at %s: committed %d, stopped %v", at, s.Status().Committed, s.Stopped())
		}
		kept := 0
		for name := range d.m {
			if strings.HasPrefix(name, "history/") {
				kept++
			}
		}
		if kept != keptEpochs {
			t.Errorf("after a crash at %s: %d records of old epochs are there, want %d", at, kept, keptEpochs)
		}
	}
}

// A host that gives back one old record, or none, with the rest current: the
// server does not start.
func TestOldRecords(t *testing.T) {
	d := &disk{m: map[string][]byte{}}
	s := single(t, d, 1)
	for e := uint64(1); e <= 3; e++ {
		if err := s.Propose(e, 1, fullRoster(8)); err != nil {
			t.Fatal(err)
		}
		s.Ready()
	}
	old := maps.Clone(d.m)
	for e := uint64(4); e <= 6; e++ {
		if err := s.Propose(e, 1, fullRoster(8)); err != nil {
			t.Fatal(err)
		}
		s.Ready()
	}
	single(t, d, 2) // as it is, it starts
	checked := 0
	for name, now := range d.m {
		for what, b := range map[string][]byte{"missing": nil, "old": old[name]} {
			if name == "commit-final" && what == "old" {
				continue // the commit as a whole is older: then base is too new
			}
			if what == "old" && (b == nil || bytes.Equal(b, now)) {
				continue
			}
			mixed := &disk{m: maps.Clone(d.m)}
			delete(mixed.m, name)
			if b != nil {
				mixed.m[name] = b
			}
			if _, err := start(mixed, 3); err == nil {
				t.Errorf("with %s %s the server starts", what, name)
			}
			checked++
		}
	}
	if checked < 4 {
		t.Errorf("only %d mixtures were tried", checked)
	}
}
