package sparta

import (
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
)

// A sort key is user<<34 | kind<<32 | age: the kinds of a user's rows in the
// order that they are to come in. An odd kind is a row of the queue or a send.
const (
	kindFetch = iota
	kindReal
	kindDummy
	kindEmpty // of nobody: a row of the queue, or a send, without a message

	userShift = 34
	kindShift = 32
	nobody    = MaxUsers // whom no user has for an ID
	nowhere   = 1<<32 - 1
	realBit   = 1 << 32
	wordBytes = 8
	partRows  = 1 << 13 // of the passes that are cut up for the workers
)

// place returns the row of what is at an age, both public.
func (s *Store) place(age int) int {
	p := age + s.c.places() - s.c.Queue
	if p >= s.rows {
		p -= s.rows
	}
	return p
}

// Send appends message i of the next batch, 0 <= i < Sends. A message that is
// not real, or whose recipient does not exist, is a dummy. Every i must be sent
// for every batch.
//
// Oblivious in recipient, sender, real and body; linear in the body's length.
func (s *Store) Send(i int, recipient, sender uint32, real bool, body []byte) {
	if i < 0 || i >= s.c.Sends || len(body) != s.c.BodyBytes {
		panic("sparta: a message out of range or of another length")
	}
	p := s.place(s.c.Queue + i)
	var r uint64
	if real { // no branch once compiled: a bool is a byte that is 0 or 1
		r = 1
	}
	r &= choice.Less(uint64(recipient), uint64(s.c.Users)).Bit()
	s.meta[p] = uint64(recipient)<<userShift | r<<kindShift | uint64(sender)
	copy(s.body.Row(p), body)
}

// Stats is what a batch did. Secret: it depends on the load.
type Stats struct {
	Delivered int // real messages that fetches returned
	Deferred  int // real messages that are in the queue now
	Lost      int // real messages for which the queue had no row
}

// Batch does a batch: fetchers are the users that fetch, ascending, Fetches of
// them at most. Afterwards Delivered tells what they got; messages are sent anew
// for the next one.
//
// Oblivious in everything but fetchers. Two sorts and one compaction of
// words, and one placement of bodies. One sort is of Config.Rows words, the
// others are of one word a body.
func (s *Store) Batch(fetchers []uint32) Stats {
	if len(fetchers) > s.c.Fetches {
		panic("sparta: more fetches than the configuration allows")
	}
	for f, user := range fetchers {
		if int(user) >= s.c.Users || f > 0 && user <= fetchers[f-1] {
			panic("sparta: users that fetch must exist and ascend")
		}
	}
	keys := s.append(fetchers)
	s.w.Sort(keys)
	stats := s.mark(keys)
	s.move(keys)
	return stats
}

// append makes the sort keys of the queue, the sends, the dummies and the
// fetches.
func (s *Store) append(fetchers []uint32) []uint64 {
	sources, v := s.c.sources(), s.c.Volume
	keys := s.keys[:sources+len(fetchers)*(v+1)]
	s.each(sources, func(from, to int) {
		for age := from; age < to; age++ {
			m := s.meta[s.place(age)]
			real := choice.FromBit(m >> kindShift)
			user := choice.Select(real, m>>userShift, nobody)
			kind := choice.Select(real, kindReal, kindEmpty)
			keys[age] = user<<userShift | kind<<kindShift | uint64(age)
		}
	})
	for f, user := range fetchers {
		at := sources + f*(v+1)
		keys[at] = uint64(user)<<userShift | kindFetch<<kindShift | uint64(at)
		for j := at + 1; j <= at+v; j++ {
			keys[j] = uint64(user)<<userShift | kindDummy<<kindShift | uint64(j)
		}
	}
	return keys
}

// each cuts a pass over n rows for the workers.
func (s *Store) each(n int, f func(from, to int)) {
	s.w.Each((n+partRows-1)/partRows, func(p int) { f(p*partRows, min(n, (p+1)*partRows)) })
}

// marker is the state of the marking pass.
type marker struct {
	user, left, delivered, deferred, real uint64
}

// next reads the next sorted key and returns whether its row is delivered, and
// whether it is a real message that is deferred.
func (m *marker) next(key, volume uint64) (deliver, deferred choice.Mask) {
	user, kind := key>>userShift, key>>kindShift&3
	fetch, real := choice.Eq(kind, kindFetch), choice.Eq(kind, kindReal)
	m.left = choice.Select(choice.Eq(user, m.user), m.left, 0)
	m.left = choice.Select(fetch, volume, m.left)
	deliver = choice.NonZero(m.left) &^ fetch
	deferred = real &^ deliver
	m.user = user
	m.left -= deliver.Bit()
	m.real += (deliver & real).Bit()
	m.delivered += deliver.Bit()
	m.deferred += deferred.Bit()
	return deliver, deferred
}

func (m *marker) stats(queue int) Stats {
	return Stats{int(m.real), int(min(m.deferred, uint64(queue))), int(m.deferred - min(m.deferred, uint64(queue)))}
}

// mark marks, and with it does both compactions of the headers: it turns each
// sorted key into age<<32 | place, the place of the j-th row that is delivered
// being j and that of the j-th that is deferred row j of the queue. The pass's
// two counters are the ranks that a compaction orders by.
func (s *Store) mark(keys []uint64) Stats {
	first, queue := uint64(s.c.places()-s.c.Queue), uint64(s.c.Queue)
	m := marker{user: nobody}
	for i, key := range keys {
		delivered, deferred := m.delivered, m.deferred
		deliver, later := m.next(key, uint64(s.c.Volume))
		later &= choice.Less(deferred, queue)
		place := choice.Select(deliver, delivered, choice.Select(later, first+deferred, nowhere))
		keys[i] = key<<32 | place
		s.marks[i] = byte(key >> kindShift & 1)
	}
	return m.stats(s.c.Queue)
}

// move takes the bodies to their places. What mark made goes back to the order
// of age first, without the dummies and fetches, which have no bodies.
func (s *Store) move(keys []uint64) {
	s.w.Compact(s.marks[:len(keys)], oblivious.WordRows(keys))
	ages := keys[:s.c.sources()]
	s.w.Sort(ages)
	for age := range s.rows {
		place := uint32(nowhere)
		if age < len(ages) {
			place = uint32(ages[age])
		}
		s.want[s.place(age)] = place
	}
	s.w.Destinations(s.want, s.c.places(), s.kept)
	s.each(s.rows, func(from, to int) {
		for p := from; p < to; p++ {
			s.meta[p] &^= uint64(^s.kept[p]&1) << kindShift
		}
	})
	s.w.Place(s.want, s.body, oblivious.WordRows(s.meta))
	s.clear(s.c.places() - s.c.Queue)
}

// clear empties the first n bodies that hold no message.
func (s *Store) clear(n int) {
	s.each(n, func(from, to int) {
		for p := from; p < to; p++ {
			kernel.CondCopy(^choice.FromBit(s.meta[p]>>kindShift), s.body.Row(p), s.zeros)
		}
	})
}

// Delivered returns message j of what the user fetchers[fetch] got in the last
// batch: its sender, whether it is real, and its body, zeros if it is not. The
// body is valid until the next Send or Batch.
func (s *Store) Delivered(fetch, j int) (sender uint32, real bool, body []byte) {
	p := fetch*s.c.Volume + j
	return uint32(s.meta[p]), s.meta[p]&realBit != 0, s.body.Row(p)
}
