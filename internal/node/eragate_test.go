package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
)

func nextEra(m *manifest.Manifest) { m.Era++ }

// disks are what the servers of a cluster sealed.
type disks struct {
	mu   sync.Mutex
	held map[int]Secret
	next map[int]*Secret
	fail map[int]bool // the next one that keeps two secrets fails
}

func newDisks() *disks {
	return &disks{held: map[int]Secret{}, next: map[int]*Secret{}, fail: map[int]bool{}}
}

func (d *disks) keep(i int) func(held, next *Secret) error {
	return func(held, next *Secret) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if next != nil && d.fail[i] {
			d.fail[i] = false
			return errors.New("the disk is full")
		}
		d.held[i], d.next[i] = *held, next
		return nil
	}
}

func (d *disks) load(i int) *Secret {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.held[i]; ok {
		return &s
	}
	return nil
}

// use makes a server use its disk.
func (d *disks) use(i int, cfg *Config) { cfg.Secret, cfg.Keep = d.load(i), d.keep(i) }

// one waits until all servers have the same secret of an era, and no other one.
func (d *disks) one(t *testing.T, servers int, era uint32) keys.Master {
	t.Helper()
	eventually(t, fmt.Sprint("all sealed one secret of era ", era), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i := range servers {
			if d.held[i].Era != era || d.next[i] != nil || d.held[i].Master != d.held[0].Master {
				return false
			}
		}
		return true
	})
	return d.load(0).Master
}

// send has every client send a line in an epoch, and checks that all arrive.
func (c *cluster) send() {
	c.t.Helper()
	w := c.crowd()
	c.drive(1)
	eventually(c.t, "delivered", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.delivered[1] == c.clients
	})
	for _, line := range w.wrong {
		c.t.Error(line)
	}
}

// TestEraTurns: under a manifest of the next era all servers make the next
// secret, one that has none included, and serve under it.
func TestEraTurns(t *testing.T) {
	for n := 1; n <= 3; n++ {
		d := deployClients(t, manifest.LocalServers(n, "127.0.0.1", 7000, 1), 12)
		disks := newDisks()
		for i := range max(1, n-1) { // the last one has lost its disk
			must(t, disks.keep(i)(d.secret, nil))
		}
		for era := uint32(2); era <= 3; era++ {
			before := disks.load(0).Master
			d = d.next(t, nextEra)
			c := startDeployment(t, d, disks.use)
			if got := disks.one(t, n, era); got == before {
				t.Error("the secret stayed the same")
			}
			c.send()
			for _, stop := range c.stop {
				must(t, stop())
			}
		}
	}
}

// TestEraTurnResumes: a server fails to seal, and starts again; a later one
// comes back with the secret of the era before, or with none.
func TestEraTurnResumes(t *testing.T) {
	d := deployClients(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 12).next(t, nextEra)
	disks := newDisks()
	for i := range 3 {
		must(t, disks.keep(i)(d.secret, nil))
	}
	disks.fail[1] = true
	c := startDeployment(t, d, disks.use)
	if err := c.stopped(1); err == nil || errors.Is(err, ErrStopped) {
		t.Errorf("a server that cannot seal ended with %v", err)
	}
	for i := range 3 {
		if disks.load(i).Era != 1 {
			t.Errorf("server %d uses the next secret, which one server does not have", i)
		}
	}
	c.restart(1)
	two := disks.one(t, 3, 2)
	for name, put := range map[string]*Secret{"the secret of the era before": d.secret, "no secret": nil} {
		must(t, c.stop[1]())
		disks.mu.Lock()
		delete(disks.held, 1)
		disks.mu.Unlock()
		if put != nil {
			must(t, disks.keep(1)(put, nil))
		}
		c.restart(1)
		if disks.one(t, 3, 2) != two {
			t.Errorf("%s: another secret", name)
		}
	}
	c.send()
}

// stopped waits for a server to end by itself.
func (c *cluster) stopped(i int) error {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("server %d ends", i), func() bool { return c.ended(i) })
	return c.stop[i]()
}

// ended says whether a server has given its port back.
func (c *cluster) ended(i int) bool {
	l, err := net.Listen("tcp", c.mesh[i])
	if err == nil {
		l.Close()
	}
	return err == nil
}

// restart is again, in the server's old place.
func (c *cluster) restart(i int) {
	c.t.Helper()
	c.again(i)
	c.stop[i] = c.stop[len(c.stop)-1]
	c.stop = c.stop[:len(c.stop)-1]
}

// TestEraDisagreement: a server with a foreign secret is named, and nobody
// takes it up.
func TestEraDisagreement(t *testing.T) {
	d := deployClients(t, manifest.LocalServers(2, "127.0.0.1", 7000, 1), 12).next(t, nextEra)
	foreign := *d.secret
	foreign.Master[0] ^= 1
	c := startDeployment(t, d, func(i int, cfg *Config) {
		cfg.Secret = []*Secret{d.secret, &foreign}[i]
	})
	eventually(t, "one of the two stops", func() bool { return c.ended(0) || c.ended(1) })
	var disagree int
	for _, stop := range c.stop {
		if err := stop(); errors.Is(err, ErrStopped) && strings.Contains(err.Error(), "do not agree") {
			disagree++
		}
	}
	if disagree == 0 {
		t.Error("no server stopped")
	}
	c.stop = nil
}

func TestSecretOfALaterEra(t *testing.T) {
	d := deployClients(t, manifest.LocalServers(1, "127.0.0.1", 7000, 1), 12)
	later := *d.secret
	later.Era = 2
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, err = New(Config{Manifest: d.signed, Secret: &later, Front: l, Issuer: simulated.NewIssuer(measurement), Rand: rand.Reader, Now: time.Now})
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "older than the secret") {
		t.Errorf("%v", err)
	}
}
