package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

const (
	prSetDumpable = 4
	stderrFile    = 2
)

// closeMemory forbids cores, and that other processes of the same user look in.
func closeMemory() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core dumps: %w", err)
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0, 0)
	if errno != 0 && !errors.Is(errno, syscall.ENOSYS) && !errors.Is(errno, syscall.EINVAL) { // a library OS does not know it, and dumps nothing
		return fmt.Errorf("cannot forbid that the process is dumped: %w", errno)
	}
	return nil
}

// divert puts the null device, which cannot even be written to, in the place of
// the standard error, and returns what that was.
func divert() (io.Writer, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, stderrFile, syscall.F_DUPFD_CLOEXEC, stderrFile+1)
	if errno != 0 {
		return os.Stderr, fmt.Errorf("cannot keep the standard error: %w", errno)
	}
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return os.Stderr, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer syscall.Close(null)
	if err := syscall.Dup3(null, stderrFile, 0); err != nil {
		return os.Stderr, fmt.Errorf("cannot divert the standard error: %w", err)
	}
	return os.NewFile(fd, "stderr"), nil
}
