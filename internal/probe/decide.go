package probe

import (
	"fmt"
	"slices"

	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/experiment"
)

// OwnNetwork is what to put before a command, so that it runs in a network
// namespace of its own, without connection tracking.
const OwnNetwork = "unshare --net --map-root-user"

// Options are how experiments may be made to fit.
type Options struct {
	Overload bool // several threads on one core
	Shrink   bool // fewer clients

	Multiplexed bool // multiplexed clients even where sockets fit
}

// The variables that set Options, as in the published artifact.
const (
	OverloadVariable = "OVERLOAD_CORES"
	ShrinkVariable   = "SHRINK_TO_MEM"
)

// Environment returns the options that the variables set: to anything but ""
// and "0".
func Environment(getenv func(string) string) Options {
	on := func(name string) bool { v := getenv(name); return v != "" && v != "0" }
	return Options{Overload: on(OverloadVariable), Shrink: on(ShrinkVariable)}
}

// overloadedSockets is the most clients that have connections of their own on
// overloaded cores. More would take longer than all other rows together, most of
// it in the kernel and in the simulator.
const overloadedSockets = 1 << 17

// smallest is the fewest clients that an experiment is shrunk to.
const smallest = 1 << 10

// Decision says whether and how an experiment runs on a machine.
type Decision struct {
	Experiment experiment.Experiment `json:"experiment"`         // as published
	Fits       bool                  `json:"fits"`               // with the options
	N          int                   `json:"N"`                  // clients that it runs with
	Mode       string                `json:"mode,omitempty"`     // sockets, or multiplexed where those do not fit
	Overloaded bool                  `json:"overloaded"`         // more threads than cores
	Need       Need                  `json:"need"`               // of what runs
	Why        []string              `json:"why,omitempty"`      // it does not fit, or not as published
	Remedies   []string              `json:"remedies,omitempty"` // commands that would help
}

// Run returns the experiment that runs: with fewer clients if it was shrunk.
func (d Decision) Run() experiment.Experiment {
	e := d.Experiment
	e.N = d.N
	return e
}

// Decide says whether and how an experiment runs. Sockets are taken if they
// fit, then multiplexed clients, then fewer of them.
func (m Machine) Decide(e experiment.Experiment, o Options) (Decision, error) {
	d := Decision{Experiment: e, N: e.N, Fits: true}
	for ; ; d.N /= 2 {
		d.Mode = experiment.Multiplexed
		need, err := m.need(d.Run(), d.Mode)
		if err != nil {
			return Decision{}, err
		}
		d.Need = need
		if m.Memory.enough(need.Memory) {
			break
		}
		if d.N == e.N {
			d.Why = append(d.Why, fmt.Sprintf("memory: it takes about %s with multiplexed clients, and %s can be used", size(need.Memory), size(m.Memory.Usable)))
		}
		if !o.Shrink {
			d.Fits = false
			d.Remedies = append(d.Remedies, ShrinkVariable+"=1 (or --shrink-to-mem) runs it with as many clients as fit")
			break
		}
		if d.N <= smallest {
			d.Fits = false
			d.Why = append(d.Why, fmt.Sprintf("memory: not even %d clients fit", smallest))
			break
		}
	}
	if e.System == experiment.TEEMS && !o.Multiplexed {
		if err := m.sockets(&d); err != nil {
			return Decision{}, err
		}
	}
	m.threads(&d, o)
	return d, nil
}

// sockets takes a connection a client if they fit, and else says why not.
func (m Machine) sockets(d *Decision) error {
	need, err := m.need(d.Run(), experiment.Sockets)
	if err != nil {
		return err
	}
	before := len(d.Why)
	why := func(remedy, format string, a ...any) {
		d.Why = append(d.Why, "sockets: "+fmt.Sprintf(format, a...))
		if remedy != "" {
			d.Remedies = append(d.Remedies, remedy)
		}
	}
	if m.Cores.Count() < need.Threads && d.N > overloadedSockets {
		why("", "with too few cores more than %d clients are multiplexed", overloadedSockets)
	}
	if !m.Memory.enough(need.Memory) {
		why("", "a connection a client takes about %s in all, and %s can be used", size(need.Memory), size(m.Memory.Usable))
	}
	if need.Gateways > mostGateways {
		why(fmt.Sprintf("sysctl -w fs.nr_open=%d && ulimit -n %d", max(need.Descriptors, m.Descriptors.Most), need.Descriptors),
			"%d descriptors are needed, and a process can have %d", need.Descriptors, m.Descriptors.Reach())
	}
	if all := 2*need.Connections + m.Descriptors.InTotal; m.Descriptors.System > 0 && all > m.Descriptors.System {
		why(fmt.Sprintf("sysctl -w fs.file-max=%d", all+all/8), "all processes would have %d descriptors open, and fs.file-max is %d", all, m.Descriptors.System)
	}
	if n := m.Network; n.Crowded(need.Connections) && !n.Own {
		want := (need.Connections + n.ConntrackNow + 6) / 7 * 8
		why(fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", want), "%d connections would be tracked, and nf_conntrack_max is %d, of which an eighth is left to others", need.Connections+n.ConntrackNow, n.ConntrackMax)
		d.Remedies = append(d.Remedies, OwnNetwork+" before the command runs it where nothing is tracked")
	}
	// One unread frame takes a page; submissions are spread out, half at once.
	if pages := need.Connections / 2 * socketPage; m.Network.TCPMemory > 0 && pages > m.Network.TCPMemory {
		want := pages / socketPage
		why(fmt.Sprintf("sysctl -w net.ipv4.tcp_mem='%d %d %d'", want/2, want*3/4, want+want/4), "unread frames may take %s, and tcp_mem allows %s", size(pages), size(m.Network.TCPMemory))
	}
	if len(d.Why) == before && d.Fits {
		d.Mode, d.Need = experiment.Sockets, need
	}
	return nil
}

// threads says whether there are enough cores.
func (m Machine) threads(d *Decision, o Options) {
	cores := m.Cores.Count()
	if d.Need.Threads <= cores {
		return
	}
	d.Overloaded = true
	what := "servers, and one for gateways and clients"
	if d.Experiment.System == experiment.Sparta {
		what = "one server"
	}
	d.Why = append(d.Why, fmt.Sprintf("cores: it has %d threads (%s), and there are %d physical cores", d.Need.Threads, what, cores))
	if !o.Overload {
		d.Fits = false
		d.Remedies = append(d.Remedies, OverloadVariable+"=1 (or --overload-cores) runs several threads on one core")
	}
}

// Allocate gives every server T cores of its own, and the rest to gateways and
// simulator. If there are too few, cores are shared round robin.
func (m Machine) Allocate(e experiment.Experiment) (servers [][]int, rest []int) {
	cores := m.Cores.Physical
	if len(cores) == 0 {
		return nil, nil
	}
	servers = deploy.RoundRobin(slices.Repeat([]int{e.T}, e.M), cores)
	if e.Threads() < len(cores) {
		return servers, cores[e.Threads():]
	}
	return servers, cores
}

// Report is a machine and what runs on it.
type Report struct {
	Machine
	Options     Options    `json:"options"`
	Experiments []Decision `json:"experiments"`
}

// Examine decides on every published experiment, smallest first.
func Examine(m Machine, o Options) (Report, error) {
	r := Report{Machine: m, Options: o}
	for _, e := range experiment.Plan() {
		d, err := m.Decide(e, o)
		if err != nil {
			return Report{}, err
		}
		r.Experiments = append(r.Experiments, d)
	}
	return r, nil
}

// size prints bytes.
func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
