package main

import "github.com/teems-go/teems/internal/probe"

// readyNetwork makes the network ready for connections over loopback. If they
// are too many to be tracked, the program starts anew in a network of its own,
// where it may, and else goes on with what the system tracks.
func readyNetwork(connections uint64, say func(string)) probe.Network {
	startLoopback()
	n := probe.Look(probe.ThisHost()).Network
	if !n.Own || !n.Crowded(connections) {
		return n
	}
	say("more connections than the system tracks: going on in a network of its own, where none are tracked")
	say("that is not possible: " + ownNetwork().Error())
	n.Own = false
	return n
}
