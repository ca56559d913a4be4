// Package simulate runs a whole deployment on this machine for some epochs:
// server and gateway processes, a coordinator in this process, and simulated
// clients (package load) in one of their own; and gives the account of what was
// sent and delivered, with times, bytes and CPU time.
//
// It guarantees that nothing is left running, and that an account is right or
// is not given: of a run that breaks off it holds the epochs that every client
// has completed.
package simulate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/manifest"
)

// Kinds of errors.
var (
	// ErrOptions: it cannot run as it was asked to.
	ErrOptions = errors.New("bad options")
	// ErrWrong: messages were lost, altered, duplicated or not taken.
	ErrWrong = errors.New("the account is wrong")
	// ErrStopped: a server stopped, or a process ended.
	ErrStopped = errors.New("a server stopped")
	// ErrStuck: nothing went on any more.
	ErrStuck = errors.New("no progress")
)

// The channels.
const (
	ID    = "id"
	Token = "token"
	Both  = "both"
)

// perProcess is how many connections of clients one gateway and one process of the
// simulator hold: what a gateway takes, and what fits under the usual limit on
// descriptors. A coordinator takes mostProcesses gateways.
const (
	perProcess    = 16384
	mostProcesses = 255
)

// Options are what to run.
type Options struct {
	Clients     int
	Servers     int    // with all roles, if Layout is empty
	Layout      string // roles by server: "i,i,r,r,s"; several: "ir,rs,irs"
	Threads     int    // of each server; 0: 1
	CellBytes   int    // 0: the default
	Epochs      int
	Channel     string // ID, Token or Both
	Hot         int    // recipients on the ID channel; 0: a permutation
	Multiplexed bool   // one link to each server instead of clients' connections
	TokenSpan   int    // epochs that a token lasts; 0: as long as allowed
	Seed        uint64
	Kill        int // server to kill; -1: none
	KillAt      int // in this epoch, counted from 1 as Epochs are
	Fault       load.Fault
	Cores       [][]int // by server: the cores that it may run on; nil: see deploy.Spec
	Support     []int   // and gateways and simulated clients; nil: all

	// TrackedMost and TrackedNow are how many connections the system can track,
	// and does now. 0: it tracks none.
	TrackedMost, TrackedNow uint64

	ServerBinary, GatewayBinary string // found; see deploy.Binary
	Loader                      string // program with the subcommand "load"
	Say                         func(line string)
}

// Check says what is wrong with the options, short of what only starting shows.
// Errors are of kind ErrOptions.
func (o *Options) Check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOptions}, a...)...)
	}
	switch {
	case o.Clients < 1:
		return bad("%d clients: choose 1 or more", o.Clients)
	case o.processes() > mostProcesses:
		return bad("%d connections of %d clients need %d gateways, and there can be %d: choose at most %d clients, or --multiplexed",
			o.Connections(), o.Clients, o.processes(), mostProcesses, mostProcesses*perProcess/o.each())
	case o.Epochs < 1:
		return bad("%d epochs: choose 1 or more", o.Epochs)
	case o.Channel != ID && o.Channel != Token && o.Channel != Both:
		return bad("the channel %q: choose id, token or both", o.Channel)
	case o.Hot < 0 || o.Hot > o.Clients:
		return bad("%d hot recipients: choose 1 to %d, or 0 for none", o.Hot, o.Clients)
	case o.Hot > 0 && o.Channel == Token:
		return bad("hot recipients are for the ID channel: on the token channel tokens bound what is sent to anyone")
	case o.KillAt != 0 && o.Kill < 0:
		return bad("an epoch to kill a server at, but no server: add --kill-server")
	case o.Kill >= 0 && (o.KillAt < 1 || o.KillAt > o.Epochs):
		return bad("server %d is to be killed at epoch %d: choose --at-epoch from 1 to %d", o.Kill, o.KillAt, o.Epochs)
	}
	_, err := o.servers()
	return err
}

// processes is how many gateways there are, and as many processes hold clients'
// connections; 0 if clients have none.
func (o *Options) processes() int {
	if o.Multiplexed {
		return 0
	}
	own := perProcess / o.each()
	return (o.Clients + own - 1) / own
}

// each is how many connections a client makes at most: one if every server that
// ingests stores as well and none only stores, so that each client has one server.
func (o *Options) each() int {
	servers, err := o.servers()
	if err != nil {
		return 2
	}
	for _, s := range servers {
		if slices.Contains(s.Roles, manifest.Ingestion) != slices.Contains(s.Roles, manifest.Storage) {
			return 2
		}
	}
	return 1
}

// Connections is how many connections clients make at most, in all.
func (o *Options) Connections() uint64 {
	if o.Multiplexed {
		return 0
	}
	return uint64(o.each()) * uint64(o.Clients)
}

// servers are the servers of the manifest, without addresses.
func (o *Options) servers() ([]manifest.Server, error) {
	all := make([]manifest.Server, max(o.Servers, 0))
	if o.Layout != "" {
		var err error
		if all, err = Layout(o.Layout); err != nil {
			return nil, err
		}
	}
	if len(all) < 1 {
		return nil, fmt.Errorf("%w: %d servers: choose 1 or more", ErrOptions, len(all))
	}
	if o.Kill >= len(all) {
		return nil, fmt.Errorf("%w: there is no server %d to kill: there are %d, counted from 0", ErrOptions, o.Kill, len(all))
	}
	for i := range all {
		all[i].Threads = max(o.Threads, 1)
	}
	return all, nil
}

// Layout reads the roles of each server, such as "i,i,r,r,s" or "irs,irs".
func Layout(text string) ([]manifest.Server, error) {
	parts := strings.Split(text, ",")
	all := make([]manifest.Server, len(parts))
	for i, part := range parts {
		roles, err := rolesOf(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all[i].Roles = roles
	}
	return all, nil
}

func rolesOf(letters string) ([]manifest.Role, error) {
	var roles []manifest.Role
	for _, c := range letters {
		role, ok := map[rune]manifest.Role{'i': manifest.Ingestion, 'r': manifest.Routing, 's': manifest.Storage}[c]
		if !ok {
			return nil, fmt.Errorf("%w: the layout has %q: write i, r and s for the roles of each server, such as i,i,r,r,s or irs,irs", ErrOptions, letters)
		}
		roles = append(roles, role)
	}
	if len(roles) == 0 {
		return nil, fmt.Errorf("%w: a server without a role in the layout: write i, r and s, such as i,i,r,r,s", ErrOptions)
	}
	return roles, nil
}

// parameters are those of the experiments, for the channels that are on.
func (o *Options) parameters() manifest.Parameters {
	p := manifest.ExperimentParameters(o.Clients)
	if o.CellBytes > 0 {
		p.CellBytes = o.CellBytes
	}
	switch o.Channel {
	case ID:
		p.TokenChannel = manifest.TokenChannel{}
	case Token:
		p.IDChannel = manifest.IDChannel{Priority: manifest.PriorityPasses}
	}
	return p
}

func (o *Options) channels() int {
	if o.Channel == Both {
		return 2
	}
	return 1
}

// clientSeed is what the clients' keys come from.
func (o *Options) clientSeed() []byte {
	s := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte("teems simulated clients"), o.Seed))
	return s[:]
}

// Run makes a deployment in a folder of its own, runs it, and removes it. The
// result is not nil unless nothing ran; with an error it holds what is known.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	servers, err := o.servers()
	if err != nil {
		return nil, err
	}
	// A server has a connection to each of the others and from each gateway.
	if err := descriptors(len(servers)+o.processes(), "fewer servers"); err != nil {
		return nil, err
	}
	if !o.Multiplexed {
		if err := descriptors(int(min(o.Connections(), perProcess)), "--multiplexed"); err != nil {
			return nil, err
		}
		if err := o.tracked(); err != nil {
			return nil, err
		}
	}
	dir, remove, err := folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	began := time.Now()
	c, err := deploy.Start(ctx, deploy.Spec{
		Dir: dir, Servers: servers, Parameters: o.parameters(), Gateways: o.processes(), Cores: o.Cores, Support: o.Support,
		Simulated:    &manifest.SimulatedClients{Count: o.Clients, Seed: o.clientSeed()},
		ServerBinary: o.ServerBinary, GatewayBinary: o.GatewayBinary, Say: o.Say,
	})
	if err != nil {
		if errors.Is(err, manifest.ErrInvalid) {
			err = fmt.Errorf("%w: %w", ErrOptions, err)
		}
		return nil, keepLog(err, dir)
	}
	defer c.Stop()
	r := newRun(&o, c)
	err = keepLog(r.run(ctx), dir)
	r.result.Seconds = time.Since(began).Seconds()
	c.Stop()
	r.weigh()
	return r.finish(err)
}

// tracked checks that the system can track so many connections. When it cannot,
// it drops packets of every connection on the machine, so an eighth is left to
// others.
func (o *Options) tracked() error {
	need := o.Connections() + o.TrackedNow
	if o.TrackedMost > 0 && need > o.TrackedMost-o.TrackedMost/8 {
		return fmt.Errorf("%w: %d connections would be tracked, and nf_conntrack_max is %d, of which an eighth is left to others: sysctl -w net.netfilter.nf_conntrack_max=%d, put \"unshare --net --map-root-user\" before the command (a network of its own, in which none are tracked), or use --multiplexed",
			ErrOptions, need, o.TrackedMost, (need+6)/7*8)
	}
	return nil
}

// Overloaded says whether servers, gateway and clients have fewer cores than
// threads that compute.
func (o *Options) Overloaded() bool {
	servers, err := o.servers()
	return err == nil && len(servers)*max(o.Threads, 1)+2 > runtime.NumCPU()
}
