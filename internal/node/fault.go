package node

import (
	"fmt"
	"sync"
	"time"
)

// The parts of a node, as a fault names them.
const (
	partStart      = "the start"
	partMachine    = "the machine's loop"
	partMesh       = "the links to other servers"
	partFront      = "the front port"
	partConnection = "a connection of the front port"
	partTimer      = "a timer"
)

const faultTime = time.Second // for the other goroutines to end after a fault

// guard is deferred at the root of every goroutine of a node. A panic's value
// and the stack that Go prints hold words of the TEE's memory: all that is said
// is which part failed, and the node stops.
func (n *Node) guard(part string) {
	if recover() != nil {
		n.fault(part)
	}
}

func (n *Node) fault(part string) {
	select {
	case n.faults <- part:
	default: // the first one counts
	}
	n.cfg.Log("node: a fault in " + part + "; what it was is not said, because it could hold secrets")
}

// guarded runs f under a guard.
func (n *Node) guarded(part string, f func()) {
	defer n.guard(part)
	f()
}

func errFault(part string) error { return fmt.Errorf("%w: a fault in %s", ErrStopped, part) }

// end waits for goroutines after a fault, but not for ever: one of them may wait
// for a lock that the fault left locked.
func (n *Node) end(all *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	late := make(chan struct{})
	defer n.cfg.AfterFunc(faultTime, func() { close(late) })()
	select {
	case <-ended:
	case <-late:
	}
}
