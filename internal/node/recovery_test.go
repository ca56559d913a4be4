package node

import (
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/manifest"
)

var newMeasurement = [32]byte{4, 3}

// accepts sets the measurements of the simulated TEE that a manifest accepts.
func accepts(m *manifest.Manifest, measurements ...[32]byte) {
	var all []attest.Measurement
	for _, x := range measurements {
		all = append(all, x[:])
	}
	m.TEEs.Measurements = map[string][]attest.Measurement{attest.SimulatedTEE: all}
}

// TestNewMeasurement: servers take a new measurement from the next signed
// manifest only, and the old one no longer then: whoever runs other code gets
// neither a link nor the secret, whatever it holds.
func TestNewMeasurement(t *testing.T) {
	old := deployClients(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 12)
	next := old.next(t, func(m *manifest.Manifest) { m.Era++; accepts(m, newMeasurement) })
	for name, x := range map[string]struct {
		d      *deployment // of servers 0 and 1
		other  *deployment // of server 2
		runs   [32]byte    // server 2
		secret bool        // server 2 has one
		says   string      // a server to which it comes
	}{
		"new code, old manifest, with the secret":    {old, old, newMeasurement, true, "measurement"},
		"new code, old manifest, joins":              {old, old, newMeasurement, false, "measurement"},
		"new code under its own manifest, joins":     {old, next, newMeasurement, false, "manifest"},
		"old code, new manifest, with the secret":    {next, next, measurement, true, "measurement"},
		"old code, new manifest, joins":              {next, next, measurement, false, "measurement"},
		"old code under the old manifest, a member":  {next, old, measurement, true, "manifest"},
		"old code under the old manifest, and joins": {next, old, measurement, false, "manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			right := measurement
			if x.d == next {
				right = newMeasurement
			}
			disks := newDisks()
			for i := range 3 {
				if i < 2 || x.secret {
					must(t, disks.keep(i)(x.d.secret, nil))
				}
			}
			c := startDeployment(t, x.d, func(i int, cfg *Config) {
				disks.use(i, cfg)
				cfg.Issuer = simulated.NewIssuer(right)
				if i == 2 {
					cfg.Manifest, cfg.Issuer = x.other.signed, simulated.NewIssuer(x.runs)
				}
			})
			eventually(t, "servers 0 and 1 are linked", func() bool {
				return c.log.has("0: mesh: server 1 is linked") && c.log.has("1: mesh: server 0 is linked")
			})
			refused := func() bool {
				return c.log.has("0: mesh: no link to server 2", x.says) || c.log.has("0: mesh: refused a connection", x.says) ||
					c.log.has("2: mesh: no secret from server 0", x.says)
			}
			eventually(t, "it is refused, and somebody says why", refused)
			time.Sleep(200 * time.Millisecond)
			for _, line := range []string{"server 2 is linked", "server 2 joins", "2: mesh: server 0 is linked", "2: node: it has the cluster's secret"} {
				if c.log.has(line) {
					t.Errorf("the log says %q", line)
				}
			}
			if s := disks.load(2); (s != nil) != x.secret || s != nil && s.Master != x.d.secret.Master {
				t.Error("it has another secret than before")
			}
			for i := range 2 {
				if disks.load(i).Era != 1 {
					t.Error("the era turned without all servers")
				}
			}
		})
	}
}

// TestRecovery is the way out of a weakness in the accepted code: a manifest
// under which the new code gets the secret, and one that accepts it alone, in
// the next era. What the old code had is of no use after that.
func TestRecovery(t *testing.T) {
	old := deployClients(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 12)
	both := old.next(t, func(m *manifest.Manifest) { accepts(m, measurement, newMeasurement) })
	next := both.next(t, func(m *manifest.Manifest) { m.Era++; accepts(m, newMeasurement) })
	oldDisks, disks := newDisks(), newDisks()
	must(t, oldDisks.keep(0)(old.secret, nil))

	// Server 0 runs the old code yet, and gives the secret to the new.
	c := startDeployment(t, both, func(i int, cfg *Config) {
		if i == 0 {
			oldDisks.use(i, cfg)
		} else {
			disks.use(i, cfg)
			cfg.Issuer = simulated.NewIssuer(newMeasurement)
		}
	})
	c.send()
	for _, stop := range c.stop {
		must(t, stop())
	}
	if disks.load(1).Master != old.secret.Master || disks.load(0) != nil {
		t.Fatal("the new code did not get the secret")
	}

	// All run the new code: server 0 cannot open what the old code sealed.
	c = startDeployment(t, next, func(i int, cfg *Config) {
		disks.use(i, cfg)
		cfg.Issuer = simulated.NewIssuer(newMeasurement)
	})
	if disks.one(t, 3, 2) == old.secret.Master {
		t.Error("the secret stayed the same")
	}
	c.send()

	// The old code comes back, with its secret, under each of the manifests.
	for i, d := range []*deployment{old, both, next} {
		must(t, c.stop[2]())
		kept := disks.load(2).Master
		c.change = func(i int, cfg *Config) {
			cfg.Manifest, cfg.Secret, cfg.Issuer = d.signed, old.secret, simulated.NewIssuer(measurement)
			cfg.Keep = func(*Secret, *Secret) error { t.Error("it was given a secret"); return nil }
		}
		c.log.forget()
		c.restart(2)
		eventually(t, "it is refused", func() bool {
			return c.log.has("2: mesh: no link to server", "atls") || c.log.has("2: mesh: refused", "atls")
		})
		if c.log.has("is linked") || disks.load(2).Master != kept {
			t.Errorf("manifest %d: it is linked", 2+i)
		}
	}
}
