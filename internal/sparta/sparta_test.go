package sparta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// message is what the plain reference keeps of one.
type message struct {
	sender uint32
	body   []byte
}

// plain is the deliberately dumb Sparta: a list a user.
type plain map[uint32][]message

func (p plain) fetch(user uint32, volume int) []message {
	n := min(volume, len(p[user]))
	out := p[user][:n]
	p[user] = p[user][n:]
	return out
}

func (p plain) waiting() int {
	n := 0
	for _, l := range p {
		n += len(l)
	}
	return n
}

func bodyOf(c Config, x uint64) []byte {
	b := make([]byte, c.BodyBytes)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], x*0x9e3779b97f4a7c15+uint64(i)+1)
	}
	return b
}

// play does batches of random traffic and compares every slot of each with the
// reference. It returns how many messages were deferred, over all batches.
func play(t *testing.T, c Config, seed uint64, batches int) int {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	c = s.Config()
	rng := rand.New(rand.NewPCG(seed, 4))
	ref, total, number := plain{}, 0, uint64(0)
	for batch := range batches {
		hot := uint32(rng.IntN(c.Users)) // some users are sent much
		for i := range c.Sends {
			to, real := uint32(rng.IntN(c.Users+1)), rng.IntN(5) > 0
			if rng.IntN(3) == 0 {
				to = hot
			}
			if ref.waiting() >= c.Queue { // what the batch may have to defer must fit
				real = false
			}
			number++
			body := bodyOf(c, number)
			s.Send(i, to, uint32(number), real, body)
			if real && int(to) < c.Users {
				ref[to] = append(ref[to], message{uint32(number), body})
			}
		}
		fetchers := some(rng, c)
		stats := s.Batch(fetchers)
		delivered := 0
		for f, user := range fetchers {
			want := ref.fetch(user, c.Volume)
			delivered += len(want)
			for j := range c.Volume {
				sender, real, body := s.Delivered(f, j)
				if real != (j < len(want)) {
					t.Fatalf("seed %d, batch %d: slot %d of user %d is real: %v, want %v", seed, batch, j, user, real, !real)
				}
				if !real && !bytes.Equal(body, make([]byte, c.BodyBytes)) {
					t.Fatalf("seed %d, batch %d: a dummy has a body", seed, batch)
				}
				if real && (sender != want[j].sender || !bytes.Equal(body, want[j].body)) {
					t.Fatalf("seed %d, batch %d: slot %d of user %d has message %d, want %d", seed, batch, j, user, sender, want[j].sender)
				}
			}
		}
		if want := (Stats{delivered, ref.waiting(), 0}); stats != want {
			t.Fatalf("seed %d, batch %d: %+v, want %+v", seed, batch, stats, want)
		}
		total += stats.Deferred
	}
	return total
}

func some(rng *rand.Rand, c Config) []uint32 {
	var out []uint32
	for _, u := range rng.Perm(c.Users)[:rng.IntN(c.Fetches+1)] {
		out = append(out, uint32(u))
	}
	slices.Sort(out)
	return out
}

// Batches deliver what the plain reference does, whatever is deferred, over many
// batches and shapes.
func TestAgainstReference(t *testing.T) {
	deferred := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		c := Config{
			Users: 1 + rng.IntN(60), Sends: rng.IntN(80), Volume: 1 + rng.IntN(4), Queue: rng.IntN(200),
			BodyBytes: 8 * (1 + rng.IntN(8)), Workers: 1 + rng.IntN(3),
		}
		c.Fetches = rng.IntN(c.Users + 1)
		deferred += play(t, c, seed, 12)
	}
	if deferred < 1000 {
		t.Errorf("%d messages were deferred: the test misses deferral", deferred)
	}
}

func TestManyRows(t *testing.T) {
	for _, workers := range []int{1, 2} {
		c := Config{Users: 3000, Sends: 3000, Queue: 5000, BodyBytes: 256, Workers: workers}
		if play(t, c, 1, 4) == 0 {
			t.Error("nothing was deferred")
		}
	}
}

// Messages without a row in the queue are lost and counted, never silently.
func TestFullQueue(t *testing.T) {
	s, err := New(Config{Users: 4, Sends: 6, Queue: 2, BodyBytes: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		s.Send(i, 3, uint32(i), true, make([]byte, 8))
	}
	if got, want := s.Batch([]uint32{0, 3}), (Stats{1, 2, 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBadConfig(t *testing.T) {
	good := Config{Users: 8, Sends: 8, Queue: 8, BodyBytes: 256}
	for name, change := range map[string]func(*Config){
		"Users":     func(c *Config) { c.Users = 0 },
		"Sends":     func(c *Config) { c.Sends = -1 },
		"Fetches":   func(c *Config) { c.Fetches = 9 },
		"Volume":    func(c *Config) { c.Volume = -1 },
		"Queue":     func(c *Config) { c.Queue = -1 },
		"BodyBytes": func(c *Config) { c.BodyBytes = 12 },
		"Workers":   func(c *Config) { c.Workers = -1 },
		"2^31":      func(c *Config) { c.Volume = 1 << 28 },
	} {
		c := good
		change(&c)
		if _, err := New(c); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
