package node

import (
	"sync"

	"github.com/teems-go/teems/internal/commit"
)

// volatileLimit is the longest value that a VolatileStore keeps.
const volatileLimit = 64 << 10

// VolatileStore is a store that dies with its process: a server that used it
// and restarts has lost its state, and the cluster stops at it. It keeps small
// values, and forgets long ones at once: within a process the machine has the
// outcomes in memory and reads nothing back. Durable stores are to come.
type VolatileStore struct {
	mu     sync.Mutex
	values map[string][]byte
}

var _ commit.Store = (*VolatileStore)(nil)

// NewVolatileStore returns an empty store.
func NewVolatileStore() *VolatileStore { return &VolatileStore{values: map[string][]byte{}} }

// Put implements commit.Store.
func (s *VolatileStore) Put(name string, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > volatileLimit {
		delete(s.values, name)
		return nil
	}
	value := make([]byte, 0, n)
	for _, p := range parts {
		value = append(value, p...)
	}
	s.values[name] = value
	return nil
}

// Get implements commit.Store.
func (s *VolatileStore) Get(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[name]
	if !ok {
		return nil, commit.ErrNotFound
	}
	return append([]byte(nil), value...), nil
}

// Delete implements commit.Store.
func (s *VolatileStore) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, name)
	return nil
}
