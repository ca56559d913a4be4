package gateway

// A session number is a slot, in the low bits, and how often the slot was used
// before, so that a frame that was under way when a session ended finds nobody.
const (
	slotBits = 18
	maxSlots = 1 << slotBits
	slotMask = maxSlots - 1
)

// sessions numbers the clients of one link. Not safe for concurrent use.
type sessions struct {
	slots []slot
	free  []uint32 // slots to use again, oldest at head
	head  int
	live  int
}

type slot struct {
	number uint32
	client *client // nil: not in use
}

// add gives a client a number that no other client of the link has; false if
// there is none left.
func (s *sessions) add(c *client) (uint32, bool) {
	var i uint32
	// A slot rests as long as it can before it is used again.
	if s.head < len(s.free) && (len(s.free)-s.head > len(s.slots)/4 || len(s.slots) == maxSlots) {
		i = s.free[s.head]
		s.head++
		if s.head > len(s.free)/2 {
			s.free = append(s.free[:0], s.free[s.head:]...)
			s.head = 0
		}
	} else if len(s.slots) < maxSlots {
		i = uint32(len(s.slots))
		s.slots = append(s.slots, slot{number: i})
	} else {
		return 0, false
	}
	s.slots[i].client = c
	s.live++
	return s.slots[i].number, true
}

func (s *sessions) find(number uint32) *client {
	i := number & slotMask
	if int(i) >= len(s.slots) || s.slots[i].number != number {
		return nil
	}
	return s.slots[i].client
}

func (s *sessions) remove(number uint32) {
	if s.find(number) == nil {
		return
	}
	i := number & slotMask
	s.slots[i] = slot{number: number + maxSlots}
	s.free = append(s.free, i)
	s.live--
}

// all calls f for every client.
func (s *sessions) all(f func(*client)) {
	for i := range s.slots {
		if c := s.slots[i].client; c != nil {
			f(c)
		}
	}
}
