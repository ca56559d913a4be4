package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/teems-go/teems/internal/experiment"
)

// files makes a file system of lines.
func files(m map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range m {
		out[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return out
}

// published is a machine like the one of the published results, with its limits
// raised as the artifact asks.
func published() Host {
	f := map[string]string{
		"proc/sys/kernel/osrelease":               "6.1.0",
		"proc/cpuinfo":                            "processor : 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz",
		"proc/meminfo":                            "MemTotal: 1056000000 kB\nMemAvailable: 1050000000 kB",
		"proc/self/status":                        "Name: x\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-159",
		"proc/self/cgroup":                        "0::/user.slice/a.scope",
		"proc/sys/fs/nr_open":                     "4194304",
		"proc/sys/fs/file-max":                    "9223372036854775807",
		"proc/sys/fs/file-nr":                     "2000\t0\t9223372036854775807",
		"proc/sys/net/netfilter/nf_conntrack_max": "8388608",
		"proc/sys/net/ipv4/tcp_mem":               "3000000 4000000 6000000",
		"proc/sys/net/ipv4/ip_local_port_range":   "32768\t60999",
		"dev/sgx_enclave":                         "",
	}
	for cpu := range 160 {
		f[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)] = fmt.Sprintf("%d,%d", cpu%80, cpu%80+80)
	}
	return Host{
		Files: files(f), OS: "linux", Arch: "amd64", CPUs: 160,
		CPU:   CPU{Name: "Xeon", SGX1: true, SGX2: true, FLC: true, EPC: []uint64{64 << 30, 64 << 30}},
		Limit: func() (uint64, uint64, error) { return 1024, 1 << 20, nil },
	}
}

// small is a virtual machine with 2 cores whose limits cannot be raised.
func small(kilobytes int) Host {
	return Host{
		Files: files(map[string]string{
			"proc/meminfo":     fmt.Sprintf("MemTotal: %d kB\nMemAvailable: %d kB", kilobytes, kilobytes),
			"proc/self/status": "CapEff:\t0000000000000000\nCpus_allowed_list:\t0-1",
			"sys/devices/system/cpu/cpu0/topology/physical_package_id": "0",
			"sys/devices/system/cpu/cpu0/topology/core_id":             "0",
			"sys/devices/system/cpu/cpu1/topology/physical_package_id": "0",
			"sys/devices/system/cpu/cpu1/topology/core_id":             "1",
			"proc/sys/fs/nr_open":                                      "1048576",
			"proc/sys/fs/file-max":                                     "2466190",
			"proc/sys/net/netfilter/nf_conntrack_max":                  "131072",
			"proc/sys/net/netfilter/nf_conntrack_count":                "100",
		}),
		OS: "linux", Arch: "amd64", CPUs: 2,
		Limit: func() (uint64, uint64, error) { return 20000, 20000, nil },
	}
}

func examine(t *testing.T, h Host, o Options) Report {
	t.Helper()
	r, err := Examine(Look(h), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Experiments) != 38 {
		t.Fatalf("%d experiments", len(r.Experiments))
	}
	return r
}

func TestPublishedMachine(t *testing.T) {
	r := examine(t, published(), Options{})
	if r.Cores.Logical != 160 || r.Cores.Count() != 80 || r.Cores.Physical[79] != 79 {
		t.Errorf("cores %+v", r.Cores)
	}
	if !r.Descriptors.Raisable || r.Descriptors.Reach() != 4194304 {
		t.Errorf("descriptors %+v", r.Descriptors)
	}
	if !r.TEEs[0].Available || !strings.Contains(r.TEEs[0].String(), "SGX2, FLC, EPC 128 GiB in 2 sections, /dev/sgx_enclave") {
		t.Errorf("%v", r.TEEs[0])
	}
	for _, d := range r.Experiments {
		if !d.Fits || d.Overloaded || d.Mode != experiment.Sockets || d.N != d.Experiment.N || len(d.Why) > 0 {
			t.Errorf("%+v", d)
		}
	}
	last := r.Experiments[37]
	if last.Need.Descriptors != 1<<20+descriptorsSpare || last.Need.Connections != 1<<20 {
		t.Errorf("%d descriptors for 2^20 clients", last.Need.Descriptors)
	}
}

func TestSmallMachine(t *testing.T) {
	for _, d := range examine(t, small(24<<20), Options{}).Experiments {
		if d.Fits || !strings.Contains(strings.Join(d.Remedies, " "), "OVERLOAD_CORES=1") {
			t.Errorf("without overload: %+v", d)
		}
	}
	r := examine(t, small(24<<20), Options{Overload: true})
	for _, d := range r.Experiments {
		sockets := d.Experiment.N < 1<<17
		if !d.Fits || !d.Overloaded || (d.Mode == experiment.Sockets) != sockets || d.N != d.Experiment.N {
			t.Errorf("%+v", d)
		}
	}
	if got := strings.Join(r.Remedies(), "\n"); strings.Count(got, "nf_conntrack_max=") != 1 || !strings.Contains(got, "sysctl -w net.netfilter.nf_conntrack_max=1198488") {
		t.Errorf("remedies:\n%s", got)
	}
}

// Where tracked connections are too few, a process that may goes on in a network
// of its own, and no process needs to if none are tracked.
func TestMultiplexed(t *testing.T) {
	for _, d := range examine(t, published(), Options{Multiplexed: true}).Experiments {
		if !d.Fits || d.Mode != experiment.Multiplexed || len(d.Why) > 0 {
			t.Errorf("%v: %+v", d.Experiment, d)
		}
	}
}

func TestTrackedConnections(t *testing.T) {
	last := func(h Host) Decision {
		for _, d := range examine(t, h, Options{Overload: true}).Experiments {
			if d.Experiment.N == 1<<17 {
				return d
			}
		}
		t.Fatal("no experiment with 2^17 clients")
		return Decision{}
	}
	if d := last(small(24 << 20)); d.Mode != experiment.Multiplexed || !strings.Contains(strings.Join(d.Remedies, "\n"), OwnNetwork) {
		t.Errorf("%+v", d)
	}
	root := small(24 << 20)
	root.Files.(fstest.MapFS)["proc/self/status"].Data = []byte("CapEff:\t0000000000201000\nCpus_allowed_list:\t0-1\n")
	untracked := small(24 << 20)
	untracked.Tracked = func() bool { return false }
	for _, h := range []Host{root, untracked} {
		if d := last(h); d.Mode != experiment.Sockets {
			t.Errorf("%+v", d)
		}
	}
	for _, c := range []struct {
		n       Network
		crowded bool
	}{{Network{}, false}, {Network{ConntrackMax: 1 << 18, ConntrackNow: 1 << 16}, false}, {Network{ConntrackMax: 1 << 18, ConntrackNow: 1 << 17}, true}} {
		if got := c.n.Crowded(1 << 17); got != c.crowded {
			t.Errorf("%+v: %v", c.n, got)
		}
	}
}

// SHRINK_TO_MEM takes the largest power of two that fits.
func TestShrink(t *testing.T) {
	for _, gib := range []int{1, 3, 6, 12, 24} {
		h := small(gib << 20)
		plain := examine(t, h, Options{Overload: true})
		m := plain.Machine
		for i, d := range examine(t, h, Options{Overload: true, Shrink: true}).Experiments {
			if d.Fits && d.Need.Memory > m.Memory.Usable {
				t.Errorf("%d GiB: %v takes %d", gib, d.Run(), d.Need.Memory)
			}
			if plain.Experiments[i].Fits && d.N != d.Experiment.N {
				t.Errorf("%d GiB: %v is shrunk although it fits", gib, d.Experiment)
			}
			if !plain.Experiments[i].Fits && !strings.Contains(strings.Join(plain.Experiments[i].Remedies, " "), "SHRINK_TO_MEM=1") {
				t.Errorf("%d GiB: %+v", gib, plain.Experiments[i])
			}
			if d.N < d.Experiment.N && d.Fits {
				twice := d.Run()
				twice.N *= 2
				if n, err := m.need(twice, experiment.Multiplexed); err != nil || n.Memory <= m.Memory.Usable {
					t.Errorf("%d GiB: %v would fit with twice the clients", gib, d.Run())
				}
				if d.N&(d.N-1) != 0 {
					t.Errorf("%d clients", d.N)
				}
			}
		}
	}
	if d := examine(t, small(256<<10), Options{Overload: true, Shrink: true}).Experiments[0]; d.Fits {
		t.Errorf("256 MiB: %+v", d)
	}
}

// What is free at the moment changes nothing: a run that is resumed is planned as
// before.
func TestStable(t *testing.T) {
	h := small(24 << 20)
	before := examine(t, h, Options{Overload: true, Shrink: true}).Experiments
	h.Files.(fstest.MapFS)["proc/meminfo"].Data = []byte("MemTotal: 25165824 kB\nMemAvailable: 4000000 kB\n")
	if after := examine(t, h, Options{Overload: true, Shrink: true}).Experiments; !reflect.DeepEqual(before, after) {
		t.Error("the plan depends on what is free")
	}
	for _, d := range before {
		if d.N != d.Experiment.N {
			t.Errorf("24 GiB: %v is shrunk to %d", d.Experiment, d.N)
		}
	}
}

// The estimate is not below what was measured, nor far above it. Measured is the
// sum of the servers' largest resident sizes, multiplexed clients: memory.servers
// of teems sim, see docs/experiments.md.
func TestMemoryAgainstMeasured(t *testing.T) {
	for _, c := range []struct {
		channel   string
		log, m, t int
		mib       uint64
	}{
		{experiment.ID, 15, 4, 1, 222}, {experiment.ID, 16, 4, 1, 321}, {experiment.ID, 17, 4, 1, 507}, {experiment.ID, 18, 4, 1, 896},
		{experiment.Token, 15, 4, 1, 229}, {experiment.Token, 16, 4, 1, 322}, {experiment.Token, 17, 4, 1, 502}, {experiment.Token, 18, 4, 1, 856},
		{experiment.ID, 15, 72, 1, 2792}, {experiment.ID, 17, 72, 1, 3404}, {experiment.Token, 15, 72, 1, 2855}, {experiment.Token, 17, 72, 1, 3411},
		{experiment.ID, 20, 4, 1, 2921}, {experiment.Token, 20, 4, 1, 2672},
	} {
		e := experiment.Experiment{System: experiment.TEEMS, Channel: c.channel, N: 1 << c.log, M: c.m, T: c.t, B: 256}
		got, err := serverMemory(e)
		if err != nil {
			t.Fatal(err)
		}
		if measured := c.mib << 20; got < measured || got > 2*measured {
			t.Errorf("%v: estimated %s, measured %s", e, size(got), size(measured))
		}
	}
}

func TestCgroups(t *testing.T) {
	base := map[string]string{"proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 16777216 kB"}
	for name, c := range map[string]struct {
		files         map[string]string
		limit, usable uint64
		quota         float64
	}{
		"none": {nil, 0, 15<<30 - headroom, 0},
		"version 2, a limit further out": {map[string]string{
			"proc/self/cgroup":               "0::/a/b",
			"sys/fs/cgroup/a/memory.max":     "4294967296",
			"sys/fs/cgroup/a/b/memory.max":   "max",
			"sys/fs/cgroup/a/memory.current": "1073741824",
			"sys/fs/cgroup/a/b/cpu.max":      "150000 100000",
		}, 4 << 30, 4<<30 - headroom, 1.5},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:memory:/x/y\n1:cpu,cpuacct:/x",
			"sys/fs/cgroup/memory/x/y/memory.limit_in_bytes": "2147483648",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712",
			"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us":   "200000",
			"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us":  "100000",
		}, 2 << 30, 2<<30 - headroom, 2},
	} {
		f := files(base)
		for k, v := range files(c.files) {
			f[k] = v
		}
		m := Look(Host{Files: f, CPUs: 4})
		if name == "version 2, a limit further out" && m.Memory.Available != 3<<30 {
			t.Errorf("%s: %d available", name, m.Memory.Available)
		}
		if m.Memory.Cgroup != c.limit || m.Memory.Usable != c.usable || m.Cores.Quota != c.quota {
			t.Errorf("%s: %+v, quota %v", name, m.Memory, m.Cores.Quota)
		}
	}
}

func TestTEEs(t *testing.T) {
	h := Host{Files: files(map[string]string{
		"dev/sev-guest": "", "dev/tdx_guest": "", "sys/module/kvm_amd/parameters/sev_snp": "Y", "sys/kernel/config/tsm/report/x": "",
	}), CPU: CPU{TDXGuest: true, SEVSNP: true, SGX1: true}}
	for i, want := range []bool{false, true, true, true} {
		if got := Look(h).TEEs[i]; got.Available != want {
			t.Errorf("%v", got)
		} else if got.Usable != want || got.Why == "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestAllocate(t *testing.T) {
	m := Machine{Cores: Cores{Physical: []int{0, 2, 4, 6, 8}}}
	servers, rest := m.Allocate(experiment.Experiment{M: 2, T: 2})
	if !reflect.DeepEqual(servers, [][]int{{0, 2}, {4, 6}}) || !reflect.DeepEqual(rest, []int{8}) {
		t.Errorf("%v, %v", servers, rest)
	}
	servers, rest = m.Allocate(experiment.Experiment{M: 4, T: 4})
	if len(servers) != 4 || len(servers[3]) != 4 || len(rest) != 5 {
		t.Errorf("%v, %v", servers, rest)
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{"OVERLOAD_CORES": "1", "SHRINK_TO_MEM": "0"}
	if got := Environment(func(k string) string { return env[k] }); got != (Options{Overload: true}) {
		t.Errorf("%+v", got)
	}
}

// What programs read, and what people read.
func TestOutput(t *testing.T) {
	r := examine(t, published(), Options{})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var shape struct {
		Descriptors struct{ Limit int }
		Experiments []struct {
			Fits bool
			N    int
		}
	}
	if err := json.Unmarshal(data, &shape); err != nil || shape.Descriptors.Limit <= 0 || len(shape.Experiments) != 38 || !shape.Experiments[0].Fits {
		t.Errorf("%v, %+v", err, shape)
	}
	for _, h := range []Host{published(), small(2 << 20), {Files: fstest.MapFS{}}} {
		var b bytes.Buffer
		if err := examine(t, h, Options{}).Print(&b); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n < 50 {
			t.Errorf("%d lines:\n%s", n, b.String())
		}
	}
}

func TestName(t *testing.T) {
	m := Look(published())
	if got := m.Name(); got != "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz, 80 cores" {
		t.Error(got)
	}
	for name, want := range map[string]int{"Intel(R) Xeon(R), 2.30GHz, 80 cores": 80, "unknown, 0 cores": 0, "": 0, "80 cores": 0, "two, many cores": 0} {
		if got := CoresOf(name); got != want {
			t.Errorf("%q: %d cores, want %d", name, got, want)
		}
	}
	if got := (Machine{}).Name(); got != "unknown, 0 cores" {
		t.Error(got)
	}
}

func TestThisHost(t *testing.T) {
	m := Look(ThisHost())
	if m.Cores.Count() < 1 {
		t.Errorf("%+v", m)
	}
}
