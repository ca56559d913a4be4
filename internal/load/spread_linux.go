package load

import (
	"net"
	"syscall"
)

// bindAddressNoPort is IP_BIND_ADDRESS_NO_PORT: the port is chosen when the
// connection is made, so that one address has as many as there are peers.
const bindAddressNoPort = 24

// spread gives a connection to a loopback address a loopback source of its
// group, since one address has too few ports. Group 0 stays as it is.
func spread(d *net.Dialer, address string, group int) {
	host, _, err := net.SplitHostPort(address)
	from := source(net.ParseIP(host), group)
	if err != nil || from == nil {
		return
	}
	d.LocalAddr = &net.TCPAddr{IP: from}
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
		})
		if err != nil {
			return err
		}
		return failed
	}
}

// source is the source address of a group's connections to an address; nil: any.
func source(to net.IP, group int) net.IP {
	if to.To4() == nil || !to.IsLoopback() || group == 0 {
		return nil
	}
	return net.IPv4(127, 0, byte(1+group/250), byte(1+group%250))
}
