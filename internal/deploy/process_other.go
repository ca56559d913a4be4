//go:build !linux

package deploy

import (
	"os"
	"syscall"
	"time"
)

// childAttributes is nothing: only Linux ends a child with its parent.
func childAttributes() *syscall.SysProcAttr { return nil }

func maxResident(*os.ProcessState) int64 { return 0 }

// cpuTime is not known of a running process.
func cpuTime(int) time.Duration { return 0 }

// onCores calls f: only Linux pins processes to cores.
func onCores(_ []int, f func() error) error { return f() }

// allCores is not known.
func allCores() []int { return nil }
