package mesh

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

// ending is a verifier of evidence that rests on something which ends at until,
// and is renewed by `renewed`, as collateral is, if that is not zero.
type ending struct {
	attest.Verifier
	until   time.Time
	renewed time.Duration
}

func (v *ending) Verify(e attest.Evidence, now time.Time) (attest.Claims, error) {
	c, err := v.Verifier.Verify(e, now)
	if err != nil {
		return c, err
	}
	for !now.Before(v.until) {
		if v.renewed == 0 {
			return attest.Claims{}, fmt.Errorf("%w: %w", attest.ErrNotGenuine, attest.ErrExpired)
		}
		v.until = v.until.Add(v.renewed)
	}
	c.Until = v.until
	return c, nil
}

// A link lives no longer than what was proved on it, and is made anew.
func TestLinksAreAttestedAnew(t *testing.T) {
	for name, x := range map[string]struct {
		until, renewed time.Duration // 0: the evidence never ends
		first          time.Duration // when the link breaks for the first time
		again          bool
	}{
		"nothing ends":               {0, 0, MaxLifetime, true},
		"ends later than a link may": {9 * time.Hour, 9 * time.Hour, MaxLifetime, true},
		"collateral is renewed":      {time.Hour, 3 * time.Hour, time.Hour, true},
		"collateral is not renewed":  {time.Hour, 0, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deploy(t, 2)
				var e [2]events
				begin := time.Now()
				for i := range 2 {
					id := d.identity(i, byte(i+1))
					if x.until != 0 && i == 0 { // server 0 says so, and server 1 goes along
						id.Verifiers = attest.Verifiers{attest.SimulatedTEE: &ending{simulated.NewVerifier(), begin.Add(x.until), x.renewed}}
					}
					cfg := d.config(t, i, byte(i+1), &e[i])
					cfg.Attester = Attested(id)
					_, stop := start(t, cfg)
					defer stop()
				}
				downs := func() int { e[0].mu.Lock(); defer e[0].mu.Unlock(); return e[0].downs }
				eventually(t, "linked", func() bool { return e[0].ups() == 1 && e[1].ups() == 1 })
				time.Sleep(x.first - time.Since(begin) - time.Second)
				if e[0].ups() != 1 || downs() != 0 {
					t.Fatalf("the link broke early: %v", e[0].log)
				}
				time.Sleep(10 * time.Second)
				// Either end may be the first to close it.
				if downs() != 1 || !e[0].logged("made anew") && !e[1].logged("made anew") {
					t.Errorf("the link was not closed in time: %v, %v", e[0].log, e[1].log)
				}
				if up := e[0].ups() == 1 && e[1].ups() == 1; up != x.again {
					t.Errorf("linked again: %v, want %v: %v", up, x.again, e[0].log)
				}
				if !x.again && !e[0].logged("no link to server 1", "not valid at this time") {
					t.Errorf("nothing says why: %v", e[0].log)
				}
			})
		})
	}
}

func TestLifetime(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, x := range []struct {
		until time.Time
		want  time.Duration
	}{
		{time.Time{}, MaxLifetime}, {now.Add(time.Second), time.Second}, {now.Add(100 * time.Hour), MaxLifetime},
	} {
		if got, err := lifetime(x.until, now); err != nil || got != x.want {
			t.Errorf("until %v: %v, %v", x.until, got, err)
		}
	}
	if _, err := lifetime(now, now); err == nil {
		t.Error("evidence that has ended makes a link")
	}
}
