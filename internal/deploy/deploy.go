// Package deploy runs a deployment on this machine: it makes the folders and
// signed manifests of a new cluster, with simulated TEEs, starts the server and
// gateway processes, watches them, and ends them.
//
// It guarantees that the processes have an empty environment; that each that
// ends by itself is reported, with what it said last; that Stop leaves none
// running; and, on Linux, that none outlives the process that started it, and
// that each runs on the cores that it was given, from its first instruction on.
//
// It guarantees no protection whatsoever: simulated TEEs have none, and one
// process on one machine makes every key. It is for development, for tests and
// for experiments.
package deploy

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node/deployment"
)

// Kinds of errors.
var (
	// ErrBinary: a program that is needed was not found, or could not be built.
	ErrBinary = errors.New("deploy: no program")
	// ErrFolder: the folder cannot be used.
	ErrFolder = errors.New("deploy: folder")
	// ErrProcess: a process ended that should run.
	ErrProcess = errors.New("deploy: a process has ended")
)

// Spec is what is to run.
type Spec struct {
	Dir        string            // folder; made if need be
	Servers    []manifest.Server // roles, weights and threads; addresses are chosen here
	Parameters manifest.Parameters
	Simulated  *manifest.SimulatedClients
	Gateways   int
	Cores      [][]int // by server: the cores that it may run on; nil: see inTurn
	Support    []int   // and gateways, and what Run starts; nil: all

	ServerBinary  string // see Binary
	GatewayBinary string
	Say           func(line string) // progress, for people; nil: nobody
}

// The files in a cluster's folder, besides a folder of each server and gateway.
const (
	ManifestFile = deployment.ManifestFile
	KeyFile      = "operator.key"
	ClientFile   = "client.json" // for clients: the gateways' addresses
	LogFile      = "log"         // in each process's folder: what it says
)

const (
	genesisTime = 30 * time.Second
	gatewayTime = 10 * time.Second
	graceTime   = 5 * time.Second
	startTries  = 3
)

// Cluster is a deployment whose processes were started.
type Cluster struct {
	Dir      string
	Manifest *manifest.Signed
	Geometry *geometry.Geometry
	Fronts   []string // the servers' addresses for gateways and coordinators
	Gateways []string // the gateways' addresses, for clients and coordinators

	support  []int
	group    *group
	servers  []*Process
	gateways []*Process
}

// Start makes a new cluster in an empty or new folder, starts its processes,
// and returns when the gateways take connections. The servers find each other,
// and are there when a coordinator has something from all of them. A port that
// somebody else took meanwhile is another try.
func Start(ctx context.Context, spec Spec) (*Cluster, error) {
	if spec.Say == nil {
		spec.Say = func(string) {}
	}
	measurement, err := simulated.Measure(spec.ServerBinary)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBinary, err)
	}
	for try := 1; ; try++ {
		c, err := start(ctx, spec, measurement)
		if err == nil {
			return c, nil
		}
		var ended *Ended
		if try == startTries || ctx.Err() != nil || !errors.As(err, &ended) || !ended.portInUse() {
			return nil, err
		}
		spec.Say("a port was taken by another program; trying others")
	}
}

func start(ctx context.Context, spec Spec, measurement [32]byte) (_ *Cluster, err error) {
	c := &Cluster{Dir: spec.Dir, support: spec.Support, group: newGroup()}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	first, key, err := c.makeFirst(spec, measurement)
	if err != nil {
		return nil, err
	}
	spec.Say("server 0 makes the cluster's key")
	if err := c.genesis(ctx, spec, first, key); err != nil {
		return nil, err
	}
	spec.Say(fmt.Sprintf("starting %d servers and %d gateways", len(spec.Servers), spec.Gateways))
	if spec.Cores == nil {
		spec.Cores = inTurn(spec.Servers, allCores())
	}
	for i := range spec.Servers {
		j := onFolder(fmt.Sprintf("server %d", i), spec.ServerBinary, c.serverDir(i))
		if i < len(spec.Cores) {
			j.cores = spec.Cores[i]
		}
		p, err := c.group.start(j)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, p)
	}
	for i := range spec.Gateways {
		j := onFolder(fmt.Sprintf("gateway %d", i), spec.GatewayBinary, c.gatewayDir(i))
		j.cores = c.share(i, spec.Gateways)
		p, err := c.group.start(j)
		if err != nil {
			return nil, err
		}
		c.gateways = append(c.gateways, p)
	}
	for _, p := range c.gateways {
		address, err := c.listening(ctx, p)
		if err != nil {
			return nil, err
		}
		c.Gateways = append(c.Gateways, address)
	}
	b, err := json.Marshal(ClientInfo{Gateways: c.Gateways})
	if err != nil {
		return nil, err
	}
	return c, c.write(filepath.Join(c.Dir, ClientFile), append(b, '\n'))
}

// onFolder is a server or gateway: one argument, and an empty environment.
func onFolder(name, binary, dir string) job {
	return job{name: name, binary: binary, args: []string{dir}, log: filepath.Join(dir, LogFile)}
}

// share are the cores of one of several supporting processes. If those are more
// than the cores, each has one: more threads would only wake up in vain.
func (c *Cluster) share(i, processes int) []int {
	cores := c.support
	if len(cores) == 0 {
		cores = allCores()
	}
	if processes <= len(cores) || len(cores) == 0 {
		return c.support
	}
	k := i % len(cores)
	return cores[k : k+1]
}

// ClientInfo is what ClientFile holds.
type ClientInfo struct {
	Gateways []string `json:"gateways"`
}

// makeFirst makes manifest 1 and the folders.
func (c *Cluster) makeFirst(spec Spec, measurement [32]byte) (*manifest.Signed, ed25519.PrivateKey, error) {
	ports, err := FreePorts(2*len(spec.Servers) + spec.Gateways)
	if err != nil {
		return nil, nil, err
	}
	servers := append([]manifest.Server(nil), spec.Servers...)
	for i := range servers {
		servers[i].Mesh, servers[i].Front = ports[2*i], ports[2*i+1]
		c.Fronts = append(c.Fronts, servers[i].Front)
	}
	key, err := c.operatorKey()
	if err != nil {
		return nil, nil, err
	}
	first, err := manifest.NewDefault(manifest.Options{
		Servers: servers, Operators: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Policy: simulated.Policy(measurement), Parameters: spec.Parameters, SimulatedClients: spec.Simulated,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := first.Sign(key); err != nil {
		return nil, nil, err
	}
	for i := range servers {
		if err := c.write(filepath.Join(c.serverDir(i), deployment.ServerFile), []byte(`{"server": `+strconv.Itoa(i)+"}\n")); err != nil {
			return nil, nil, err
		}
	}
	for i := range spec.Gateways {
		b, err := json.Marshal(map[string]string{"listen": ports[2*len(servers)+i]})
		if err == nil {
			err = c.write(filepath.Join(c.gatewayDir(i), "gateway.json"), append(b, '\n'))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return first, key, nil
}

// operatorKey makes the folder's operator key, or reads the one that it has.
func (c *Cluster) operatorKey() (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	path := filepath.Join(c.Dir, KeyFile)
	if _, err := os.Stat(path); err == nil {
		return manifest.ReadKey(path)
	}
	key, err := manifest.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return key, manifest.WriteKey(path, key)
}

// genesis lets server 0 make the cluster key under manifest 1, checks its
// evidence, and puts manifest 2, which names the key, into all folders.
func (c *Cluster) genesis(ctx context.Context, spec Spec, first *manifest.Signed, key ed25519.PrivateKey) error {
	old, err := first.Encode()
	if err != nil {
		return err
	}
	dir := c.serverDir(0)
	for _, stale := range []string{deployment.SecretFile, deployment.GenesisFile, deployment.PredecessorFile(1)} {
		if err := os.Remove(filepath.Join(dir, stale)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	if err := c.write(filepath.Join(dir, deployment.ManifestFile), old); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, genesisTime)
	defer cancel()
	j := onFolder("server 0 (making the cluster key)", spec.ServerBinary, dir)
	j.ends = true
	p, err := c.group.start(j)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.end(graceTime)
		return fmt.Errorf("%w: %s did not end: %w", ErrProcess, p.name, ctx.Err())
	}
	if p.ended.Code != 0 {
		return p.ended
	}
	b, err := os.ReadFile(filepath.Join(dir, deployment.GenesisFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	g, err := deployment.ParseGenesis(b)
	if err != nil {
		return err
	}
	if err := g.Verify(first, simulated.Verifiers(), time.Now()); err != nil {
		return err
	}
	return c.makeSecond(spec, first, old, g.ClusterKey, key)
}

func (c *Cluster) makeSecond(spec Spec, first *manifest.Signed, old []byte, cluster manifest.Hex, key ed25519.PrivateKey) error {
	second, err := first.Successor()
	if err != nil {
		return err
	}
	second.Manifest.ClusterKey = cluster
	if err := second.Sign(key); err != nil {
		return err
	}
	if err := second.VerifySuccessor(first); err != nil {
		return err
	}
	if c.Geometry, err = second.Manifest.Geometry(); err != nil {
		return err
	}
	c.Manifest = second
	file, err := second.Encode()
	if err != nil {
		return err
	}
	dirs := []string{c.Dir}
	for i := range spec.Servers {
		dirs = append(dirs, c.serverDir(i))
	}
	for i := range spec.Gateways {
		dirs = append(dirs, c.gatewayDir(i))
	}
	for _, dir := range dirs {
		if err := c.write(filepath.Join(dir, deployment.PredecessorFile(1)), old); err != nil {
			return err
		}
		if err := c.write(filepath.Join(dir, deployment.ManifestFile), file); err != nil {
			return err
		}
	}
	return nil
}

// listening waits for a gateway to say where it takes connections.
func (c *Cluster) listening(ctx context.Context, p *Process) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gatewayTime)
	defer cancel()
	said := []byte("listening on ")
	for {
		for _, line := range p.lines.all() {
			if rest, ok := bytes.CutPrefix(line, said); ok {
				return string(bytes.TrimSpace(rest)), nil
			}
		}
		select {
		case <-p.lines.more():
		case <-p.done:
			return "", p.ended
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %s does not take connections: %w", ErrProcess, p.name, ctx.Err())
		}
	}
}

func (c *Cluster) serverDir(i int) string {
	return filepath.Join(c.Dir, fmt.Sprintf("server-%d", i))
}

func (c *Cluster) gatewayDir(i int) string {
	return filepath.Join(c.Dir, fmt.Sprintf("gateway-%d", i))
}

func (c *Cluster) write(path string, b []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w: free some space, or use a folder elsewhere (TMPDIR says where those of simulations are)", ErrFolder, err)
	}
	return fmt.Errorf("%w: %w", ErrFolder, err)
}
