package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/teems-go/teems/internal/probe"
)

// ownNetwork starts this program anew, with the same arguments, in a network
// namespace of its own: nothing in it tracks connections, so that their number
// does not fill a table that the whole machine shares. It returns if that is not
// possible, and then all is as before.
func ownNetwork() error {
	failed := make(chan error)
	go func() {
		// A thread that has left its namespace ends with this goroutine.
		runtime.LockOSThread()
		failed <- intoOwnNetwork()
	}()
	return <-failed
}

func intoOwnNetwork() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot make a network namespace: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if probe.Tracked() { // else this would go on for ever
		return errors.New("connections are tracked in a new network namespace as well")
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

// loopbackUp starts the loopback interface of this thread's namespace: in a new
// one it is down.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot start the loopback interface: %w", err)
	}
	defer syscall.Close(fd)
	var request struct { // ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); err != 0 {
		return fmt.Errorf("cannot start the loopback interface: %w", err)
	}
	return nil
}

// startLoopback starts the loopback interface if it is down and this process
// may: so it is behind [probe.OwnNetwork].
func startLoopback() {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	// Nobody listens at port 1, or somebody does: either way there is an answer.
	if errors.Is(syscall.Connect(fd, &syscall.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}}), syscall.ENETUNREACH) {
		_ = loopbackUp() // if it is not allowed, what needs loopback says so
	}
}
