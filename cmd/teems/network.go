package main

import "github.com/teems-go/teems/internal/probe"

// manyConnections is from how many on tracking them matters to what is measured:
// it is a quarter of a gateway's CPU time.
const manyConnections = 1 << 15

// readyNetwork makes the network ready for connections over loopback. If they
// are many and are tracked, the program starts anew in a network of its own, where
// it may, and else goes on with what the system tracks.
func readyNetwork(connections uint64, say func(string)) probe.Network {
	startLoopback()
	n := probe.Look(probe.ThisHost()).Network
	if !n.Own || n.ConntrackMax == 0 || connections < manyConnections && !n.Crowded(connections) {
		return n
	}
	say("the system tracks connections: going on in a network of its own, where none are tracked")
	say("that is not possible: " + ownNetwork().Error())
	n.Own = false
	return n
}
