package mesh

import (
	"context"
	"net"

	"github.com/teems-go/teems/internal/atls"
)

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
	return result(atls.Client(ctx, conn, &a.client))
}

func (a *attested) Server(ctx context.Context, conn net.Conn) (net.Conn, Peer, error) {
	return result(atls.Server(ctx, conn, &a.server))
}

func result(c *atls.Conn, err error) (net.Conn, Peer, error) {
	if err != nil {
		return nil, Peer{}, err
	}
	p := c.Peer()
	return c, Peer{Server: p.Server, Boot: p.Boot, Member: p.Member}, nil
}
