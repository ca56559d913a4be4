package deploy

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/teems-go/teems/internal/coordinator"
)

// ServerPIDs are the servers' process numbers, in the manifest's order.
func (c *Cluster) ServerPIDs() []int { return pids(c.servers) }

// GatewayPIDs are the gateways' process numbers.
func (c *Cluster) GatewayPIDs() []int { return pids(c.gateways) }

func pids(all []*Process) []int {
	out := make([]int, len(all))
	for i, p := range all {
		out[i] = p.cmd.Process.Pid
	}
	return out
}

// Failed gives each process that ended though Stop was not called; those that
// Kill ended too.
func (c *Cluster) Failed() <-chan *Ended { return c.group.failed }

// Kill ends a server at once, as a crash would.
func (c *Cluster) Kill(server int) error {
	if server < 0 || server >= len(c.servers) {
		return fmt.Errorf("deploy: there is no server %d to kill: there are %d, counted from 0", server, len(c.servers))
	}
	return c.servers[server].cmd.Process.Kill()
}

// GatewayCPU is the CPU time that all gateways have taken so far; 0 where the
// system does not say.
func (c *Cluster) GatewayCPU() time.Duration {
	var sum time.Duration
	for _, p := range c.gateways {
		sum += p.CPU()
	}
	return sum
}

// Resident are the largest resident sizes, added up, in bytes, of the servers and
// of the gateways; after Stop. 0 where the system does not say.
func (c *Cluster) Resident() (servers, gateways int64) {
	return resident(c.servers), resident(c.gateways)
}

func resident(all []*Process) (sum int64) {
	for _, p := range all {
		sum += p.Ended().Memory
	}
	return sum
}

// Coordinate runs a coordinator for the cluster, in this process, until ctx is
// done. gateways are those that know which clients are connected; nil: the
// cluster's own. onEvent is called from one goroutine at a time.
func (c *Cluster) Coordinate(ctx context.Context, cfg coordinator.Config, gateways []string, onEvent func(coordinator.Event)) error {
	cfg.Geometry = c.Geometry
	if gateways == nil {
		gateways = c.Gateways
	}
	r, err := coordinator.NewRunner(coordinator.RunnerConfig{
		Machine: cfg, Servers: c.Fronts, Gateways: gateways, OnEvent: onEvent,
	})
	if err != nil {
		return err
	}
	r.Run(ctx)
	return nil
}

// Run starts another program that belongs to the cluster and ends with it, with
// this process's environment; it may end by itself. What it says on stderr is
// kept in its log.
func (c *Cluster) Run(name, binary string, args []string, stdin io.Reader, stdout io.Writer) (*Process, error) {
	return c.RunShare(0, 1, name, binary, args, stdin, stdout)
}

// RunShare is Run for the i-th of several processes that do the same.
func (c *Cluster) RunShare(i, processes int, name, binary string, args []string, stdin io.Reader, stdout io.Writer) (*Process, error) {
	return c.group.start(job{
		name: name, binary: binary, args: args, log: filepath.Join(c.Dir, name+"."+LogFile),
		environment: os.Environ(), stdin: stdin, stdout: stdout, ends: true, cores: c.share(i, processes),
	})
}

// Stop asks all processes to end, ends those that do not within five seconds,
// and returns when none is left. It may be called more than once.
func (c *Cluster) Stop() { c.group.stop(graceTime) }
