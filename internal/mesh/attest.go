package mesh

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/teems-go/teems/internal/atls"
)

// MaxLifetime is how long a link lives on what was proved when it was made.
// Then, or earlier if what the evidence rests on ends earlier, it is closed and
// made anew, with new evidence from both sides.
const MaxLifetime = 6 * time.Hour

// attested makes connections with package atls: whoever is dialled must be a
// member of the cluster, whoever dials may also be a server that joins.
type attested struct{ client, server atls.Config }

// Attested returns the attester of a server. Of cfg it takes all but
// RequirePeer; Identity.Cluster is nil for a server that joins.
func Attested(cfg atls.Config) Attester {
	a := &attested{client: cfg, server: cfg}
	a.client.RequirePeer = atls.Member
	a.server.RequirePeer = atls.Attested
	return a
}

func (a *attested) Client(ctx context.Context, conn net.Conn, server int) (net.Conn, Peer, error) {
	return a.result(atls.Client(ctx, conn, &a.client))
}

func (a *attested) Server(ctx context.Context, conn net.Conn) (net.Conn, Peer, error) {
	return a.result(atls.Server(ctx, conn, &a.server))
}

func (a *attested) result(c *atls.Conn, err error) (net.Conn, Peer, error) {
	if err != nil {
		return nil, Peer{}, err
	}
	p := c.Peer()
	life, err := lifetime(p.Claims.Until, a.client.Now())
	if err != nil {
		c.NetConn().Close()
		return nil, Peer{}, err
	}
	return c, Peer{Server: p.Server, Boot: p.Boot, Member: p.Member, Lifetime: life}, nil
}

// lifetime is how long a link may live whose evidence rests on what ends at
// until; zero: nothing ends.
func lifetime(until, now time.Time) (time.Duration, error) {
	if until.IsZero() {
		return MaxLifetime, nil
	}
	left := until.Sub(now)
	if left <= 0 {
		return 0, fmt.Errorf("what its evidence rests on ended at %v", until.UTC())
	}
	return min(left, MaxLifetime), nil
}
