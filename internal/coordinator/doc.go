// Package coordinator is the untrusted process part that proposes when an epoch
// starts and with which roster: [Machine] decides, without I/O and without a
// clock of its own, and [Runner] connects one to servers and gateways.
//
// It guarantees progress, as long as all servers are up and reach each other:
// an epoch that does not come to its end is tried again, with the roster of
// that moment, and after the cap on attempts as the empty outcome, "void". A
// coordinator that starts anew goes on from what the servers say; the number of
// an attempt always rises.
//
// It guarantees nothing about privacy or agreement, and needs no trust: servers
// check whatever it proposes, and two coordinators, or one that lies, can only
// delay. What it knows is public: which clients exist and are connected.
package coordinator
