package session

import "slices"

// LinkOf is the link that a session came over: the upper half of its ID.
func LinkOf(id uint64) uint32 { return uint32(id >> 32) }

// link is the sessions of one link.
type link struct {
	number   uint32
	members  []Handle
	announce []Handle // attached, and perhaps not yet told what is open
}

// link returns the link with a number, which it makes if there is none.
func (t *Table) link(number uint32) *link {
	if l := t.linked(number); l != nil {
		return l
	}
	l := &link{number: number}
	t.links = append(t.links, l)
	return l
}

// linked returns the link with a number, or nil. There are few.
func (t *Table) linked(number uint32) *link {
	for i := len(t.links) - 1; i >= 0; i-- {
		if t.links[i].number == number {
			return t.links[i]
		}
	}
	return nil
}

// leave takes a session out of its link. The last one takes its place, so that
// whoever goes through the members from the end meets every one that stays.
func (t *Table) leave(e *entry) {
	l := t.linked(LinkOf(e.id))
	last := len(l.members) - 1
	moved := l.members[last]
	l.members[e.at] = moved
	t.entry(moved).at = e.at
	l.members = l.members[:last]
	if last == 0 {
		t.links = slices.DeleteFunc(t.links, func(x *link) bool { return x == l })
	}
}

// Links appends the numbers of the links that have sessions, in the order in
// which they came.
func (t *Table) Links(dst []uint32) []uint32 {
	for _, l := range t.links {
		dst = append(dst, l.number)
	}
	return dst
}

// On says whether a session is attached, over the link.
func (t *Table) On(h Handle, link uint32) bool {
	e := t.entry(h)
	return e.live && LinkOf(e.id) == link
}

// Linked is how many sessions a link has.
func (t *Table) Linked(number uint32) int {
	if l := t.linked(number); l != nil {
		return len(l.members)
	}
	return 0
}

// DetachLink removes all sessions of a link.
func (t *Table) DetachLink(number uint32) {
	for l := t.linked(number); l != nil && len(l.members) > 0; {
		t.detach(l.members[len(l.members)-1])
	}
}

// NextRecipients goes through the sessions of a link, of which left remain, at first
// Linked, for those that are to get the result or delivery of an epoch: who is
// active and did not get it. It looks at most of them, on all workers. It appends
// those to to, noted as sent, and as told that the next epoch is open; and to
// untold those who get none and were not told of it. It returns how many remain.
func (t *Table) NextRecipients(number uint32, epoch uint64, left, most int, to, unannounced []Handle) ([]Handle, []Handle, int) {
	l := t.linked(number)
	if l == nil {
		return to, unannounced, 0
	}
	// Those that attached since were told what is open; those that left are not
	// met, and the ones that took their places are, once more or not yet.
	left = min(left, len(l.members))
	looked := l.members[max(0, left-most):left]
	parts := t.parts(len(looked))
	t.cfg.Workers.Each(parts, func(p int) {
		lane := &t.lanes[p]
		lane.recipients, lane.unannounced = lane.recipients[:0], lane.unannounced[:0]
		for i := len(looked) - len(looked)*p/parts - 1; i >= len(looked)-len(looked)*(p+1)/parts; i-- {
			h := looked[i]
			e := t.entry(h)
			switch {
			case t.clients[e.slot].active == h+1 && e.sent < epoch:
				e.sent, e.told = epoch, max(e.told, epoch+1)
				lane.recipients = append(lane.recipients, h)
			case e.told <= epoch:
				lane.unannounced = append(lane.unannounced, h)
			}
		}
	})
	for p := range parts {
		to = append(to, t.lanes[p].recipients...)
		unannounced = append(unannounced, t.lanes[p].unannounced...)
	}
	return to, unannounced, left - len(looked)
}

// QueueAnnouncement notes that a session is to be told what is open.
func (t *Table) QueueAnnouncement(h Handle) {
	l := t.linked(LinkOf(t.entry(h).id))
	l.announce = append(l.announce, h)
}

// QueuedAnnouncements calls f with the sessions of each link that are to be told what is
// open, and forgets them. f may keep the slice.
func (t *Table) QueuedAnnouncements(f func(link uint32, to []Handle)) {
	for _, l := range t.links {
		if len(l.announce) > 0 {
			f(l.number, l.announce)
			l.announce = nil
		}
	}
}

// MarkAnnounced notes that the sessions are told that an epoch is open, and returns,
// in to's memory, those that were not yet and are still attached to the link.
func (t *Table) MarkAnnounced(number uint32, epoch uint64, to []Handle) []Handle {
	kept := to[:0]
	for _, h := range to {
		if e := t.entry(h); t.On(h, number) && e.told < epoch {
			e.told = epoch
			kept = append(kept, h)
		}
	}
	return kept
}
