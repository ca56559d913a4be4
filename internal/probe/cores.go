package probe

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// cores finds the physical cores within what this process may use: of the
// logical CPUs of one core the first counts.
func (h Host) cores() Cores {
	allowed := parseList(h.field("proc/self/status", "Cpus_allowed_list"))
	if len(allowed) == 0 {
		for cpu := range max(h.CPUs, 1) {
			allowed = append(allowed, cpu)
		}
	}
	c := Cores{Logical: len(allowed), Quota: h.quota()}
	seen := map[string]bool{}
	for _, cpu := range allowed {
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/", cpu)
		core := h.line(dir + "thread_siblings_list")
		if core == "" {
			core = h.line(dir+"physical_package_id") + "/" + h.line(dir+"core_id")
		}
		if core == "/" { // unknown: count it
			core = "cpu" + strconv.Itoa(cpu)
		}
		if !seen[core] {
			seen[core] = true
			c.Physical = append(c.Physical, cpu)
		}
	}
	return c
}

// parseList parses a list such as 0-3,8.
func parseList(s string) []int {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(to); err != nil || b-a > 1<<16 {
				continue
			}
		}
		for cpu := a; cpu <= b; cpu++ {
			out = append(out, cpu)
		}
	}
	return out
}

// cgroups calls f with the folder of every control group that holds this
// process, from the innermost out, for a controller of version 1 ("memory") and
// for version 2.
func (h Host) cgroups(controller string, f func(dir string, version int)) {
	data := h.all("proc/self/cgroup")
	for l := range strings.Lines(data) {
		parts := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var roots []string
		version := 1
		switch {
		case parts[0] == "0" && parts[1] == "":
			version, roots = 2, []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		case contains(parts[1], controller):
			roots = []string{"sys/fs/cgroup/" + controller, "sys/fs/cgroup/" + parts[1]}
		}
		for _, root := range roots {
			for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
				f(path.Join(root, dir), version)
				if dir == "/" {
					break
				}
			}
		}
	}
}

func contains(list, name string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if part == name {
			return true
		}
	}
	return false
}

// quota returns the CPUs that the cgroup allows, 0 for all.
func (h Host) quota() float64 {
	least := math.Inf(1)
	h.cgroups("cpu", func(dir string, version int) {
		var quota, period float64
		if version == 2 {
			if words := strings.Fields(h.line(dir + "/cpu.max")); len(words) == 2 {
				quota, _ = strconv.ParseFloat(words[0], 64) // 0 for "max"
				period, _ = strconv.ParseFloat(words[1], 64)
			}
		} else {
			quota = float64(h.number(dir + "/cpu.cfs_quota_us")) // 0 for -1
			period = float64(h.number(dir + "/cpu.cfs_period_us"))
		}
		if quota > 0 && period > 0 {
			least = min(least, quota/period)
		}
	})
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

// headroom is what experiments leave of the memory for everything else, and so is
// one part in systemPart of the whole machine's.
const (
	headroom   = 512 << 20
	systemPart = 16
)

// memory finds how much memory there is. What can be used follows from that, not
// from what is free at the moment: else a run that is resumed would be planned
// otherwise than before.
func (h Host) memory() Memory {
	kilobytes := func(name string) uint64 {
		words := strings.Fields(h.field("proc/meminfo", name))
		if len(words) == 0 {
			return 0
		}
		n, _ := strconv.ParseUint(words[0], 10, 64)
		return n << 10
	}
	m := Memory{Total: kilobytes("MemTotal"), Available: kilobytes("MemAvailable")}
	m.Usable = m.Total - m.Total/systemPart
	h.cgroups("memory", func(dir string, version int) {
		limit, used, reclaimable := h.number(dir+"/memory.limit_in_bytes"), h.number(dir+"/memory.usage_in_bytes"), "total_inactive_file"
		if version == 2 {
			limit, used, reclaimable = h.number(dir+"/memory.max"), h.number(dir+"/memory.current"), "inactive_file"
		}
		if limit == 0 || m.Total > 0 && limit >= m.Total {
			return
		}
		if m.Cgroup == 0 || limit < m.Cgroup {
			m.Cgroup = limit
		}
		m.Usable = min(m.Usable, limit)
		used -= min(used, h.statistic(dir+"/memory.stat", reclaimable))
		m.Available = min(m.Available, limit-min(limit, used))
	})
	m.Usable -= min(m.Usable, headroom)
	return m
}

// statistic returns the number behind a name in a file of such lines.
func (h Host) statistic(path, name string) uint64 {
	for l := range strings.Lines(h.all(path)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), " "); ok && k == name {
			n, _ := strconv.ParseUint(v, 10, 64)
			return n
		}
	}
	return 0
}
