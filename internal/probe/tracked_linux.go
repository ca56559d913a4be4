package probe

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// trackedTrial is how many connections are opened to see whether they are
// tracked: enough that others which come or go meanwhile do not matter.
const trackedTrial = 16

// Tracked reports whether the system tracks connections over loopback in the
// network namespace of the calling thread, by opening a few: the limit
// nf_conntrack_max is there whether or not any rule makes it track. In doubt it
// does.
func Tracked() bool {
	before, ok := trackedNow()
	if !ok {
		return true
	}
	sockets, ok := trial()
	after, read := trackedNow()
	for _, fd := range sockets {
		syscall.Close(fd)
	}
	return !ok || !read || after-before >= trackedTrial/2
}

// trackedNow is how many connections are tracked in this namespace.
func trackedNow() (int, bool) {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return n, err == nil
}

// trial opens connections and returns all sockets that it made. It uses system
// calls, not package net, so that all is done by the calling thread.
func trial() (sockets []int, ok bool) {
	open := func() (int, bool) {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, false
		}
		sockets = append(sockets, fd)
		// Reset at the end, so that the system forgets them at once.
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		return fd, true
	}
	listener, ok := open()
	if !ok || syscall.Bind(listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) != nil ||
		syscall.Listen(listener, trackedTrial) != nil {
		return sockets, false
	}
	address, err := syscall.Getsockname(listener)
	if err != nil {
		return sockets, false
	}
	for range trackedTrial {
		if fd, ok := open(); !ok || syscall.Connect(fd, address) != nil {
			return sockets, false
		}
	}
	return sockets, true
}
