package deploy

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// childAttributes ends a child with the thread that started it, and keeps the
// terminal's signals from it: it ends when we say so.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func maxResident(s *os.ProcessState) int64 {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss * 1024
	}
	return 0
}

// clockTick is the unit of times in /proc, the same on all architectures of Go.
const clockTick = 10 * time.Millisecond

// cpuTime is the CPU time of a running process so far; 0 if there is none.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(f[11]), 10, 64)
	system, _ := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}
