package deploy

import (
	"strings"
	"testing"
)

// TestCores: a process runs on the cores that it is given, and the next one on
// all again; a core that there is not is an error that names it.
func TestCores(t *testing.T) {
	g := newTestGroup(t)
	run := func(cores []int) (string, error) {
		j := onFolder("server 1", script(t, `while read name value; do case $name in Cpus_allowed_list:) echo "$value" >&2;; esac; done < /proc/self/status`), t.TempDir())
		j.cores, j.ends = cores, true
		p, err := g.start(j)
		if err != nil {
			return "", err
		}
		p.Ended()
		return strings.Join(p.lines.strings(), " "), nil
	}
	all, err := run(nil)
	if err != nil || all == "" {
		t.Fatalf("%q, %v", all, err)
	}
	first, _, _ := strings.Cut(strings.FieldsFunc(all, func(r rune) bool { return r == ',' })[0], "-")
	if first != "0" {
		t.Skip("core 0 is not ours")
	}
	if got, err := run([]int{0}); err != nil || got != "0" {
		t.Errorf("on core 0: %q, %v", got, err)
	}
	if got, err := run(nil); err != nil || got != all {
		t.Errorf("on all again: %q, not %q, %v", got, all, err)
	}
	for _, core := range []int{-1, 1000, 5000} {
		if _, err := run([]int{core}); err == nil || !strings.Contains(err.Error(), "cores [") {
			t.Errorf("core %d: %v", core, err)
		}
	}
}
