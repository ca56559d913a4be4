package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain is also the parent that TestChildrenDieWithTheParent kills.
func TestMain(m *testing.M) {
	if program := os.Getenv("TEEMS_TEST_PARENT_OF"); program != "" {
		p, err := newGroup().start(onFolder("child", program, os.TempDir()))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		time.Sleep(time.Minute)
		return
	}
	os.Exit(m.Run())
}

func TestChildrenDieWithTheParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "TEEMS_TEST_PARENT_OF="+script(t, `trap '' INT TERM HUP; while :; do sleep 0.01; done`), "TMPDIR="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, _ := out.Read(b)
	child, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		t.Fatalf("%q", b[:n])
	}
	parent.Process.Kill()
	parent.Wait()
	for deadline := time.Now().Add(5 * time.Second); alive(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child lives on")
		}
	}
}

func TestCPUTime(t *testing.T) {
	p := startScript(t, newTestGroup(t), `i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo up >&2; while :; do sleep 0.01; done`)
	for len(p.lines.all()) == 0 {
		<-p.lines.more()
	}
	if d := cpuTime(p.PID()); d <= 0 || d > time.Minute {
		t.Errorf("%v", d)
	}
	if d := cpuTime(1 << 22); d != 0 {
		t.Errorf("of a process that there is not: %v", d)
	}
}
