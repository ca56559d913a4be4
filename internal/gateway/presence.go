package gateway

import "sync"

// presence knows which clients are connected, and tells every coordinator what
// has changed since it was last told.
type presence struct {
	mu        sync.Mutex
	counts    map[presenceKey]int // connections; a client may have several
	observers map[*observer]struct{}
}

type presenceKey struct {
	client uint32
	role   uint8 // the joint one is a key of its own: its clients have no other
}

// An observer is one coordinator's connection.
type observer struct {
	changed map[presenceKey]struct{} // guarded by presence.mu
	wake    chan struct{}            // holds one: changed is not empty
}

func newPresence() *presence {
	return &presence{
		counts:    make(map[presenceKey]int),
		observers: make(map[*observer]struct{}),
	}
}

func (p *presence) add(client uint32, role uint8)    { p.change(presenceKey{client, role}, 1) }
func (p *presence) remove(client uint32, role uint8) { p.change(presenceKey{client, role}, -1) }

func (p *presence) change(k presenceKey, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.counts[k]
	after := before + by
	if after == 0 {
		delete(p.counts, k)
	} else {
		p.counts[k] = after
	}
	if (before == 0) == (after == 0) {
		return
	}
	for o := range p.observers {
		o.changed[k] = struct{}{}
		o.poke()
	}
}

// observe adds an observer, to which every client that is connected is news.
func (p *presence) observe() *observer {
	o := &observer{changed: make(map[presenceKey]struct{}), wake: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.counts {
		o.changed[k] = struct{}{}
	}
	p.observers[o] = struct{}{}
	o.poke()
	return o
}

func (p *presence) forget(o *observer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.observers, o)
}

// take calls f for up to limit changes that the observer was not yet told, and
// returns whether there are more.
func (p *presence) take(o *observer, limit int, f func(k presenceKey, up bool)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range o.changed {
		if limit == 0 {
			return true
		}
		limit--
		delete(o.changed, k)
		f(k, p.counts[k] > 0)
	}
	return false
}

func (o *observer) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
