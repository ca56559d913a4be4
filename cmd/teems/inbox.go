package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/teems-go/teems/client"
)

// fileInbox keeps what was delivered to an identity in a file, until it has
// been read: the file is written, durably, before the cluster is told to
// forget, so that nothing that arrives while any command runs is lost.
type fileInbox struct {
	path string

	mu    sync.Mutex
	state inboxState    // guarded by mu
	more  chan struct{} // guarded by mu; closed when a message comes
}

// inboxState is the file's content.
type inboxState struct {
	Newest   uint64           `json:"newest"` // epoch
	Missed   uint64           `json:"missed"`
	Messages []client.Message `json:"messages"`
}

func openInbox(path string) (*fileInbox, error) {
	b := &fileInbox{path: path, more: make(chan struct{})}
	file, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(file, &b.state)
	}
	if err != nil {
		return nil, fmt.Errorf("the inbox %s cannot be read: %w", path, err)
	}
	return b, nil
}

// save writes the file. With mu held.
func (b *fileInbox) save(s *inboxState) error {
	file, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(b.path, file, 0o600)
}

// Newest implements client.Inbox.
func (b *fileInbox) Newest() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.Newest, nil
}

// Put implements client.Inbox.
func (b *fileInbox) Put(d client.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Newest, s.Missed = d.Epoch, s.Missed+d.Missed
	s.Messages = append(s.Messages[:len(s.Messages):len(s.Messages)], d.Messages...)
	if err := b.save(&s); err != nil {
		return err
	}
	b.state = s
	if len(d.Messages) > 0 {
		close(b.more)
		b.more = make(chan struct{})
	}
	return nil
}

// oldest waits for a message and returns it; it stays in the inbox.
func (b *fileInbox) oldest(ctx context.Context, ended <-chan struct{}) (client.Message, error) {
	for {
		b.mu.Lock()
		messages, more := b.state.Messages, b.more
		b.mu.Unlock()
		if len(messages) > 0 {
			return messages[0], nil
		}
		select {
		case <-more:
		case <-ended:
			return client.Message{}, client.ErrClosed
		case <-ctx.Done():
			return client.Message{}, ctx.Err()
		}
	}
}

// remove takes the oldest message out: it has been read.
func (b *fileInbox) remove() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Messages = s.Messages[1:]
	if err := b.save(&s); err != nil {
		return err
	}
	b.state = s
	return nil
}
