package probe

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/experiment"
)

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("machine      %s, %s/%s, Linux %s", orUnknown(r.CPU), r.OS, r.Arch, orUnknown(r.Kernel))
	p("cores        %d physical (%d with hyperthreads)%s", len(r.Cores.Physical), r.Cores.Logical, quota(r.Cores.Quota))
	p("memory       %s, %s free now, %s for experiments%s", size(r.Memory.Total), size(r.Memory.Available), size(r.Memory.Usable), cgroup(r.Memory.Cgroup))
	p("descriptors  %d a process, up to %d by itself, %d by root (fs.nr_open); %s", r.Descriptors.Limit, r.Descriptors.Hard, r.Descriptors.Most, raisable(r.Descriptors))
	switch n := r.Network; {
	case n.ConntrackMax == 0:
		p("conntrack    none: connections over loopback are not tracked")
	case n.Own:
		p("conntrack    %d of %d connections; experiments with many run in a network of their own", n.ConntrackNow, n.ConntrackMax)
	default:
		p("conntrack    %d of %d connections", n.ConntrackNow, n.ConntrackMax)
	}
	p("ports        %d a source address; %s for TCP buffers", r.Network.Ports, sizeOrUnknown(r.Network.TCPMemory))
	for _, t := range r.TEEs {
		p("TEE          %v", t)
		p("             %s", t.reason())
	}
	p("")
	p("%-8s %9s %3s %3s  %-5s %s", "channel", "N", "M", "T", "fits", "how")
	for _, d := range r.Experiments {
		e := d.Experiment
		fits, how := "yes", d.how()
		if !d.Fits {
			fits, how = "no", strings.Join(d.Why, "; ")
		}
		p("%-8s %9d %3d %3d  %-5s %s", e.Channel, e.N, e.M, e.T, fits, how)
	}
	if remedies := r.Remedies(); len(remedies) > 0 {
		p("\nwhat would help:")
		for _, s := range remedies {
			p("  %s", s)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// how says how an experiment runs.
func (d Decision) how() string {
	words := []string{d.Mode}
	if d.Experiment.System == experiment.Sparta {
		words = nil
	}
	if d.N != d.Experiment.N {
		words = append(words, fmt.Sprintf("with %d clients", d.N))
	}
	if d.Overloaded {
		words = append(words, "on overloaded cores")
	}
	return strings.Join(append(words, "about "+size(d.Need.Memory)), ", ")
}

// Remedies returns what would help, each thing once; of several commands that
// set one thing the last, for the largest experiment.
func (r Report) Remedies() []string {
	var out []string
	what := func(s string) string { head, _, _ := strings.Cut(s, "="); return head }
	for _, d := range r.Experiments {
		for _, s := range d.Remedies {
			i := slices.IndexFunc(out, func(o string) bool { return what(o) == what(s) })
			if i < 0 {
				out = append(out, s)
			} else {
				out[i] = s
			}
		}
	}
	return out
}

func sizeOrUnknown(n uint64) string {
	if n == 0 {
		return "unknown room"
	}
	return size(n)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func quota(q float64) string {
	if q == 0 {
		return ""
	}
	return fmt.Sprintf(", of which the cgroup allows %.1f", q)
}

func cgroup(limit uint64) string {
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf(" (the cgroup allows %s)", size(limit))
}

func raisable(d Descriptors) string {
	switch {
	case d.Raisable:
		return "this process may raise them"
	case d.Container:
		return "this process may not raise them: start the container with --ulimit nofile=" + fmt.Sprint(d.Most)
	}
	return "this process may not raise them (no CAP_SYS_RESOURCE)"
}
