package commit

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
)

var errInjected = errors.New("injected")

// memStore is a Store in memory that can fail at a chosen operation, either
// before it took effect or after. Every later operation fails as well, as after
// a crash.
type memStore struct {
	values map[string]string
	ops    int
	failAt int  // the operation that fails, from 1; 0 for none
	after  bool // it takes effect nevertheless
	past   []string
	record bool // keep every durable state in past
}

func newStore() *memStore { return &memStore{values: map[string]string{}} }

// copy returns the same durable state with no faults to come.
func (s *memStore) copy() *memStore { return &memStore{values: maps.Clone(s.values)} }

// mutate counts an operation and tells whether it takes effect and succeeds.
func (s *memStore) mutate(effect func()) error {
	s.ops++
	if s.failAt != 0 && s.ops > s.failAt {
		return errInjected
	}
	failed := s.ops == s.failAt
	if !failed || s.after {
		effect()
		if s.record {
			s.past = append(s.past, s.key())
		}
	}
	if failed {
		return errInjected
	}
	return nil
}

func (s *memStore) Put(name string, parts ...[]byte) error {
	return s.mutate(func() { s.values[name] = string(bytes.Join(parts, nil)) })
}

func (s *memStore) Delete(name string) error {
	return s.mutate(func() { delete(s.values, name) })
}

func (s *memStore) Get(name string) ([]byte, error) {
	v, ok := s.values[name]
	if !ok {
		return nil, ErrNotFound
	}
	return []byte(v), nil
}

// key is a canonical encoding of the durable state; fromKey is its inverse.
func (s *memStore) key() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		for _, x := range []string{name, s.values[name]} {
			b.WriteByte(byte(len(x)))
			b.WriteByte(byte(len(x) >> 8))
			b.WriteString(x)
		}
	}
	return b.String()
}

func fromKey(key string) *memStore {
	s := newStore()
	next := func() string {
		n := int(key[0]) | int(key[1])<<8
		x := key[2 : 2+n]
		key = key[2+n:]
		return x
	}
	for key != "" {
		name := next()
		s.values[name] = next()
	}
	return s
}
