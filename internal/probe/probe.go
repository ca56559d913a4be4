// Package probe looks at a machine, and says of every published experiment
// whether it fits there, and if not why and what to do: cores, memory within the
// cgroup, descriptors, connection tracking, TCP memory, kernel and TEEs.
//
// It only reads. Everything that it reads comes through a [Host], so that tests
// are about machines that are made up. What it says about memory is an estimate:
// geometry's tables, and sizes a client and a process that were fitted to runs
// of up to 2^18 clients on 4 servers. Beyond those it may be wrong either way.
package probe

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Host is how the machine is looked at.
type Host struct {
	Files    fs.FS  // the file system from its root
	CPU      CPU    // what the processor says
	OS, Arch string // as in GOOS and GOARCH
	CPUs     int    // that this process may use; used where Files do not say

	// Limit returns the limits on the descriptors of a process, soft and hard.
	Limit func() (soft, hard uint64, err error)

	// Tracked reports whether connections over loopback are tracked. nil: they are.
	Tracked func() bool
}

// CPU is what the processor says about itself.
type CPU struct {
	Name       string
	SGX1, SGX2 bool
	FLC        bool     // flexible launch control
	EPC        []uint64 // bytes of the sections of enclave memory
	TDXGuest   bool
	SEVSNP     bool // SNP is a feature of the processor
}

// Machine is what was found.
type Machine struct {
	OS          string      `json:"os"`
	Arch        string      `json:"arch"`
	Kernel      string      `json:"kernel"`
	CPU         string      `json:"cpu"`
	Cores       Cores       `json:"cores"`
	Memory      Memory      `json:"memory"`
	Descriptors Descriptors `json:"descriptors"`
	Network     Network     `json:"network"`
	TEEs        []TEE       `json:"tees"`
}

// Cores are the cores that this process may use.
type Cores struct {
	Physical []int   `json:"physical"`        // one logical CPU of each physical core
	Logical  int     `json:"logical"`         // hyperthreads counted
	Quota    float64 `json:"quota,omitempty"` // of the cgroup, in CPUs; 0: none
}

// Count returns how many threads can run at full speed at once.
func (c Cores) Count() int {
	n := len(c.Physical)
	if c.Quota > 0 {
		n = min(n, max(int(c.Quota), 1))
	}
	return n
}

// Memory is in bytes.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`        // now
	Cgroup    uint64 `json:"cgroup,omitempty"` // limit of the cgroup; 0: none
	Usable    uint64 `json:"usable"`           // what experiments may take
}

// enough reports whether so many bytes can be used; where nothing is known of
// the memory, they can.
func (m Memory) enough(bytes uint64) bool { return m.Total == 0 || bytes <= m.Usable }

// Descriptors are limits on open files.
type Descriptors struct {
	Limit     uint64 `json:"limit"`     // of a process, now
	Hard      uint64 `json:"hard"`      // to which it may raise that by itself
	Most      uint64 `json:"nr_open"`   // fs.nr_open: to which root may raise it
	System    uint64 `json:"file_max"`  // fs.file-max: of all processes
	Raisable  bool   `json:"raisable"`  // this process may go beyond Hard
	InTotal   uint64 `json:"in_use"`    // open now, of all processes
	Container bool   `json:"container"` // a container's seccomp profile may refuse more
}

// Reach returns how many descriptors a process can have.
func (d Descriptors) Reach() uint64 {
	if d.Raisable {
		return max(d.Hard, d.Most)
	}
	return max(d.Hard, d.Limit)
}

// Network are limits on connections.
type Network struct {
	ConntrackMax uint64 `json:"conntrack_max,omitempty"` // 0: no connection tracking
	ConntrackNow uint64 `json:"conntrack_count,omitempty"`
	Own          bool   `json:"own_network"`       // this process may go on in a network of its own, where none are tracked
	TCPMemory    uint64 `json:"tcp_mem,omitempty"` // bytes, all sockets; 0: unknown
	Ports        int    `json:"ports"`             // of one source address
}

// Crowded reports whether so many connections more are too many to track. When
// that table is full, the system drops packets of every connection on the
// machine; so an eighth of it is left to others.
func (n Network) Crowded(connections uint64) bool {
	return n.ConntrackMax > 0 && connections+n.ConntrackNow > n.ConntrackMax-n.ConntrackMax/8
}

// Name says which machine it is, for rows and pictures.
func (m Machine) Name() string {
	return fmt.Sprintf("%s, %d cores", orUnknown(m.CPU), len(m.Cores.Physical))
}

// CoresOf is how many cores the machine has that Name named so; 0 if it is not
// such a name.
func CoresOf(name string) (n int) {
	at := strings.LastIndex(name, ", ")
	if _, err := fmt.Sscanf(name[at+1:], " %d cores", &n); err != nil {
		return 0
	}
	return n
}

// Look looks at the machine. What cannot be read is left zero.
func Look(h Host) Machine {
	m := Machine{OS: h.OS, Arch: h.Arch, Kernel: h.line("proc/sys/kernel/osrelease"), CPU: h.cpuName()}
	m.Cores = h.cores()
	m.Memory = h.memory()
	m.Descriptors = h.descriptors()
	m.Network = h.network()
	m.TEEs = h.tees()
	return m
}

// line returns the first line of a file, "" if there is none.
func (h Host) line(path string) string {
	first, _, _ := strings.Cut(h.all(path), "\n")
	return strings.TrimSpace(first)
}

// number returns a file's first word as a number, 0 if there is none; "max" is
// none as well.
func (h Host) number(path string) uint64 {
	words := strings.Fields(h.line(path))
	if len(words) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// all returns a file.
func (h Host) all(path string) string {
	data, _ := fs.ReadFile(h.Files, path) // what cannot be read is empty
	return string(data)
}

// field returns what follows "name:" in a file such as /proc/meminfo.
func (h Host) field(path, name string) string {
	for l := range strings.Lines(h.all(path)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (h Host) exists(path string) bool {
	_, err := fs.Stat(h.Files, path)
	return err == nil
}

func (h Host) cpuName() string {
	if name := h.field("proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return h.CPU.Name
}

// Capabilities, as bits: to make a network namespace, to set up what is in it,
// and to raise limits.
const (
	capNetAdmin    = 12
	capSysAdmin    = 21
	capSysResource = 24
)

// capable reports whether this process has a capability.
func (h Host) capable(bit int) bool {
	caps, err := strconv.ParseUint(h.field("proc/self/status", "CapEff"), 16, 64)
	return err == nil && caps>>bit&1 == 1
}

func (h Host) descriptors() Descriptors {
	d := Descriptors{
		Most: h.number("proc/sys/fs/nr_open"), System: h.number("proc/sys/fs/file-max"), InTotal: h.number("proc/sys/fs/file-nr"),
		Container: h.exists(".dockerenv") || h.exists("run/.containerenv"),
	}
	if h.Limit != nil {
		if soft, hard, err := h.Limit(); err == nil {
			d.Limit, d.Hard = soft, hard
		}
	}
	d.Raisable = h.capable(capSysResource)
	return d
}

// page is the kernel's unit of tcp_mem.
const page = 4096

func (h Host) network() Network {
	n := Network{Own: h.capable(capSysAdmin) && h.capable(capNetAdmin)}
	if most := h.number("proc/sys/net/netfilter/nf_conntrack_max"); most > 0 && (h.Tracked == nil || h.Tracked()) {
		n.ConntrackMax, n.ConntrackNow = most, h.number("proc/sys/net/netfilter/nf_conntrack_count")
	}
	if words := strings.Fields(h.line("proc/sys/net/ipv4/tcp_mem")); len(words) == 3 {
		if pages, err := strconv.ParseUint(words[2], 10, 64); err == nil {
			n.TCPMemory = pages * page
		}
	}
	if words := strings.Fields(h.line("proc/sys/net/ipv4/ip_local_port_range")); len(words) == 2 {
		low, err1 := strconv.Atoi(words[0])
		high, err2 := strconv.Atoi(words[1])
		if err1 == nil && err2 == nil && high >= low {
			n.Ports = high - low + 1
		}
	}
	return n
}
