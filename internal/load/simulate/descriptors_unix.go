//go:build unix

package simulate

import (
	"fmt"
	"syscall"
)

// spareDescriptors is what a process needs besides its clients' connections.
const spareDescriptors = 128

// descriptors checks that a process may have so many connections; remedy is what
// else would help.
func descriptors(connections int, remedy string) error {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return nil
	}
	// Go raises the soft limit to the hard one by itself.
	if need := uint64(connections + spareDescriptors); uint64(limit.Max) < need {
		return fmt.Errorf("%w: %d connections need %d descriptors, and a process may have %d here: raise the limit (ulimit -Hn), or use %s",
			ErrOptions, connections, need, limit.Max, remedy)
	}
	return nil
}
