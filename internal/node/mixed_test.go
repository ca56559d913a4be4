package node

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/internal/manifest"
)

// tees are those of the servers of a mixed cluster, by index.
var tees = []string{attest.SGX, attest.TDX, attest.SNP, attest.SimulatedTEE}

// deployMixed has a server in each kind of TEE, all of which run program 1.
func deployMixed(t *testing.T) (*deployment, *attesttest.Vendors) {
	v := attesttest.NewVendors(time.Now())
	return deploy(t, manifest.Options{
		Servers: manifest.LocalServers(len(tees), "127.0.0.1", 7000, 1), Parameters: manifest.DefaultParameters(64), Policy: v.Policy(tees, 1),
	}), v
}

// TestMixedCluster: servers in all kinds of TEEs link themselves, three of them
// get the secret, and an epoch is completed.
func TestMixedCluster(t *testing.T) {
	d, v := deployMixed(t)
	verifiers := v.Verifiers()
	disks := newDisks()
	must(t, disks.keep(0)(d.secret, nil))
	c := startDeployment(t, d, func(i int, cfg *Config) {
		disks.use(i, cfg)
		cfg.Issuer, cfg.Verifiers = v.Platform(tees[i], 1), verifiers
	})
	for s, r := range c.drive(1) {
		if r.Epoch != 1 || r.Void {
			t.Errorf("server %d reports %+v", s, r)
		}
	}
	if disks.one(t, len(tees), 1) != d.secret.Master {
		t.Error("they hold another secret")
	}
}

// TestMixedRefused: of four servers in four kinds of TEEs one runs another
// program, whether it has the cluster's secret already or wants it. All others
// refuse it, and each says which server that is and why; it gets nothing, and
// nothing of the secret is in a log.
func TestMixedRefused(t *testing.T) {
	d, v := deployMixed(t)
	verifiers := v.Verifiers()
	for wrong := range tees {
		for _, member := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, member %v", tees[wrong], member), func(t *testing.T) {
				disks := newDisks()
				for i := range tees {
					if i != wrong || member {
						must(t, disks.keep(i)(d.secret, nil))
					}
				}
				c := startDeployment(t, d, func(i int, cfg *Config) {
					disks.use(i, cfg)
					cfg.Issuer, cfg.Verifiers = v.Platform(tees[i], 1), verifiers
					if i == wrong {
						cfg.Issuer = v.Platform(tees[i], 2)
						keep := cfg.Keep
						cfg.Keep = func(held, next *Secret) error { t.Error("it was given a secret"); return keep(held, next) }
					}
				})
				why := fmt.Sprintf("on %q is not an accepted one", tees[wrong])
				for i := range tees {
					for j := range tees {
						switch {
						case i == j:
						case i == wrong:
						case j != wrong:
							eventually(t, fmt.Sprintf("%d is linked to %d", i, j), func() bool {
								return c.log.has(fmt.Sprintf("%d: mesh: server %d is linked", i, j))
							})
						default:
							eventually(t, fmt.Sprintf("%d refuses %d and says why", i, j), func() bool {
								return c.log.has(fmt.Sprintf("%d: mesh: no link to server %d: ", i, j), why) ||
									c.log.has(fmt.Sprintf("%d: mesh: refused a connection from ", i), fmt.Sprintf(": server %d, as it calls itself: ", j), why)
							})
						}
					}
				}
				if c.log.has(fmt.Sprintf("server %d is linked", wrong)) || c.log.has(fmt.Sprintf("server %d joins", wrong)) {
					t.Error("it is linked, or was given the secret")
				}
				for _, s := range [][]byte{d.secret.Master[:], d.secret.Cluster.Seed()} {
					if c.log.has(hex.EncodeToString(s)) || c.log.has(string(s)) || c.log.has(fmt.Sprint(s)) {
						t.Error("the secret is in a log")
					}
				}
				if s := disks.load(wrong); (s != nil) != member || member && !bytes.Equal(s.Master[:], d.secret.Master[:]) {
					t.Error("it has another secret than before")
				}
			})
		}
	}
}
