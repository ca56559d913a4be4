package deploy

import (
	"os"
	"syscall"
	"time"
	"unsafe"
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

// cpuTime is the CPU time of a running process so far, from the clock that the
// system keeps of it; 0 if there is none.
func cpuTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED: of all threads, in nanoseconds
	clock := int32(^pid)<<3 | schedClock
	var t syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

// affinity is a set of cores, as the system takes it.
type affinity [1024 / 64]uint64

func (a *affinity) call(number uintptr) error {
	_, _, err := syscall.RawSyscall(number, 0, unsafe.Sizeof(*a), uintptr(unsafe.Pointer(a)))
	if err != 0 {
		return err
	}
	return nil
}

// allCores are the cores that this process may run on.
func allCores() []int {
	var a affinity
	if a.call(syscall.SYS_SCHED_GETAFFINITY) != nil {
		return nil
	}
	var cores []int
	for c := range 64 * len(a) {
		if a[c/64]>>(c%64)&1 == 1 {
			cores = append(cores, c)
		}
	}
	return cores
}

// onCores calls f on this thread, which must be locked, while it may run on these
// cores only: what f starts inherits that.
func onCores(cores []int, f func() error) error {
	var before, these affinity
	for _, c := range cores {
		if c < 0 || c >= 64*len(these) {
			return syscall.EINVAL
		}
		these[c/64] |= 1 << (c % 64)
	}
	if err := before.call(syscall.SYS_SCHED_GETAFFINITY); err != nil {
		return err
	}
	if err := these.call(syscall.SYS_SCHED_SETAFFINITY); err != nil {
		return err
	}
	defer before.call(syscall.SYS_SCHED_SETAFFINITY)
	return f()
}
