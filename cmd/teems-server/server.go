package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/internal/node"
	"github.com/teems-go/teems/internal/node/deployment"
)

const (
	// lookEvery is how often the folder is looked at for the next manifest.
	lookEvery = time.Second
	// judgeEvery is how often a manifest that this server cannot go over to is asked
	// again, in looks: its collateral may have been renewed, or a port be free.
	judgeEvery = 60
)

// server is one server of a cluster, under one manifest after another.
type server struct {
	tee       attest.Platform
	verifiers attest.Verifiers
	say       func(string)
	look      time.Duration // how often the folder is looked at

	mu         sync.Mutex   // guards what follows
	held, next *node.Secret // that are in use, and beside it while an era turns
}

// run serves from the folder until ctx ends.
func (x *server) run(ctx context.Context, f *deployment.Dir) error {
	if err := x.acceptable(f); err != nil {
		return err
	}
	if f.Manifest.Manifest.HasCluster() {
		secret, err := f.Unseal(x.tee, rand.Reader)
		if errors.Is(err, deployment.ErrNoSecret) {
			x.say(err.Error())
		} else if err != nil {
			return err
		}
		x.hold(secret, nil)
	} else {
		var err error
		if f, err = x.genesis(ctx, f); f == nil {
			return err
		}
	}
	for {
		next, err := x.serve(ctx, f)
		if next == nil {
			return err
		}
		if f = next; x.secret() == nil {
			continue // it joins under the next one
		}
		if err := x.seal(f); err != nil {
			return err
		}
	}
}

// acceptable asks the manifest about this server, as every other server and
// client will.
func (x *server) acceptable(f *deployment.Dir) error {
	data := attest.Bind(attest.PurposeStart)
	evidence, err := x.tee.Issue(data)
	if err != nil {
		return err
	}
	if err := f.KeepEvidence(evidence); err != nil {
		x.say(fmt.Sprintf("%v; whoever fetches collateral has to be told of which platform", err))
	}
	if _, err := attest.Appraise(x.verifiers, f.Manifest.Manifest.Policy(), evidence, data, time.Now()); err != nil {
		if errors.Is(err, attest.ErrEvidence) || errors.Is(err, attest.ErrExpired) {
			err = fmt.Errorf("%w; if collateral is missing or has ended, outside the TEE: teems collateral fetch --folder %s", err, f.Path)
		}
		return fmt.Errorf("the manifest does not accept this server, so no other server or client would: %w", err)
	}
	return nil
}

// genesis makes a cluster. Where the TEE has no sealing key the secret is in
// memory only, so the process goes on to be the first member, under the manifest
// in the folder that it returns.
func (x *server) genesis(ctx context.Context, f *deployment.Dir) (*deployment.Dir, error) {
	g, secret, err := f.MakeGenesis(x.tee, rand.Reader)
	if err != nil {
		return nil, err
	}
	x.say(fmt.Sprintf("genesis: the cluster's public key is %v; it and the evidence over it are in %s. Sign a manifest 2 that names it, and start the servers under that", g.ClusterKey, deployment.GenesisFile))
	if _, err := x.tee.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
		return nil, err
	}
	x.hold(secret, nil)
	x.say("genesis: this TEE has no sealing key, so the secret is in the memory of this process alone: leave it running, and put manifest 2 into its folder")
	next := x.await(ctx, f)
	if next == nil {
		return nil, errors.New("ended before there was a manifest 2: the cluster's secret is lost")
	}
	return next, nil
}

// await looks at the folder until there is a manifest that follows the one in
// force, accepts this server, and names ports that it can open, if it has not
// those that are open now. It returns nil when ctx ends first. Whatever else it
// finds it says, and waits on: the files may be being put there, and whoever holds
// a secret that is nowhere else had better not end.
func (x *server) await(ctx context.Context, f *deployment.Dir, open ...net.Listener) *deployment.Dir {
	var said string
	var refused [32]byte
	for look := 1; ; look++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(x.look):
		}
		next, err := f.Successor()
		if err == nil && next == nil || err == nil && refused == next.Manifest.Hash() && look%judgeEvery != 0 {
			continue
		}
		if err == nil && !next.Manifest.Manifest.HasCluster() {
			err = errors.New("the next manifest names no cluster key: make it with the genesis file")
		}
		if err == nil {
			refused = next.Manifest.Hash()
			if err = x.acceptable(next); err == nil {
				err = openable(next, open)
			}
			if err == nil {
				x.say(fmt.Sprintf("manifest %d is in the folder: this server goes over to it", next.Manifest.Manifest.Sequence))
				return next
			}
		}
		if s := err.Error(); s != said {
			said = s
			x.say(fmt.Sprintf("this server stays under manifest %d: %s", f.Manifest.Manifest.Sequence, s))
		}
	}
}

// openable says why this server cannot open its ports in a manifest, but for
// those that it has open.
func openable(f *deployment.Dir, open []net.Listener) error {
	has := func(address string) bool {
		_, port, err := net.SplitHostPort(address)
		return err == nil && slices.ContainsFunc(open, func(l net.Listener) bool {
			_, own, _ := net.SplitHostPort(l.Addr().String())
			return own == port
		})
	}
	servers := f.Manifest.Manifest.Servers
	for _, p := range []struct{ what, address string }{{"front", servers[f.Self].Front}, {"mesh", servers[f.Self].Mesh}} {
		if p.what == "mesh" && len(servers) == 1 || has(p.address) {
			continue
		}
		l, err := listen(p.what, f.Self, p.address)
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// serve is a member of the cluster until ctx ends, or there is a next manifest,
// which it returns.
func (x *server) serve(ctx context.Context, f *deployment.Dir) (*deployment.Dir, error) {
	servers := f.Manifest.Manifest.Servers
	front, err := listen("front", f.Self, servers[f.Self].Front)
	if err != nil {
		return nil, err
	}
	defer front.Close()
	open := []net.Listener{front}
	var mesh net.Listener
	if len(servers) > 1 {
		if mesh, err = listen("mesh", f.Self, servers[f.Self].Mesh); err != nil {
			return nil, err
		}
		defer mesh.Close()
		open = append(open, mesh)
	}
	var dialer net.Dialer
	n, err := node.New(node.Config{
		Manifest: f.Manifest, Genesis: f.Named, Self: f.Self, Secret: x.secret(),
		Keep: func(held, next *node.Secret) error {
			x.hold(held, next)
			return x.seal(f)
		},
		Issuer:    x.tee,
		Verifiers: x.verifiers,
		Mesh:      mesh,
		Front:     front,
		Dial: func(ctx context.Context, server int) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", servers[server].Mesh)
		},
		Rand: rand.Reader, Now: time.Now, Log: x.say,
	})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan *deployment.Dir, 1)
	go func() {
		defer stop()
		found <- x.await(running, f, open...)
	}()
	err = n.Run(running)
	stop()
	next := <-found
	if err == nil && ctx.Err() == nil {
		return next, nil
	}
	if err == nil {
		x.say("ended as asked")
	}
	return nil, err
}

func (x *server) secret() *node.Secret {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.held
}

// hold keeps secrets in memory, so that the next manifest finds them there.
func (x *server) hold(held, next *node.Secret) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held, x.next = held, next
}

// seal keeps them in the folder as well, in use under its manifest. A server
// whose TEE has no sealing key keeps nothing, and asks the others when it starts
// anew.
func (x *server) seal(f *deployment.Dir) error {
	x.mu.Lock()
	held, next := x.held, x.next
	x.mu.Unlock()
	err := f.Seal(x.tee, rand.Reader, held, next)
	if errors.Is(err, attest.ErrNoSealing) {
		return nil
	}
	return err
}
