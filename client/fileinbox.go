package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// FileInbox is an Inbox in a file: what was delivered is there after a restart
// until it has been removed. One program at a time may have it open; it holds
// messages as they were received, so it is readable by its owner only.
//
// The file is lines of JSON, each durable before it counts: a delivery, or the
// removal of a message. A last line that broke off is dropped.
type FileInbox struct {
	path string

	mu     sync.Mutex
	file   *os.File      // guarded by mu, like what follows
	size   int64         // of what counts
	live   int64         // of what a rewritten file would have, at most
	newest uint64        //
	queue  []Message     // not removed, oldest first
	more   chan struct{} // closed when a message comes
	err    error         // the file cannot be used any more
}

// inboxLine is one line of the file.
type inboxLine struct {
	Epoch    uint64    `json:"epoch,omitempty"` // of a delivery
	Messages []Message `json:"messages,omitempty"`
	Removed  *cellName `json:"removed,omitempty"`
}

// cellName names a message.
type cellName struct {
	Epoch uint64 `json:"epoch"`
	Cell  int    `json:"cell"`
}

// ErrInbox says that an inbox's file is damaged.
var ErrInbox = errors.New("client: the inbox file is damaged")

// compactBytes is how long a file gets before it is rewritten.
const compactBytes = 256 << 10

// OpenFileInbox opens the inbox at path, and makes it if there is none.
// Errors: ErrInbox, of the file.
func OpenFileInbox(path string) (*FileInbox, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("client: opening the inbox: %w", err)
	}
	b := &FileInbox{path: path, file: f, more: make(chan struct{})}
	if err := b.load(); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

func (b *FileInbox) load() error {
	all, err := io.ReadAll(b.file)
	if err != nil {
		return fmt.Errorf("client: reading the inbox: %w", err)
	}
	for rest := all; ; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		var l inboxLine
		if json.Unmarshal(line, &l) != nil {
			return fmt.Errorf("%w: %s, after %d bytes: move it away to begin a new one", ErrInbox, b.path, b.size)
		}
		b.apply(&l)
		b.size += int64(len(line)) + 1
		rest = after
	}
	if err := b.file.Truncate(b.size); err != nil {
		return fmt.Errorf("client: repairing the inbox: %w", err)
	}
	if _, err := b.file.Seek(b.size, io.SeekStart); err != nil {
		return fmt.Errorf("client: repairing the inbox: %w", err)
	}
	return nil
}

func (b *FileInbox) apply(l *inboxLine) {
	b.newest = max(b.newest, l.Epoch)
	if len(l.Messages) > 0 {
		b.queue = append(b.queue, l.Messages...)
		close(b.more)
		b.more = make(chan struct{})
	}
	if r := l.Removed; r != nil {
		for i, m := range b.queue {
			if m.Epoch == r.Epoch && m.Cell == r.Cell {
				b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
				break
			}
		}
	}
}

// append makes a line durable and applies it. The caller holds mu.
func (b *FileInbox) append(l *inboxLine) error {
	if b.err != nil {
		return b.err
	}
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("client: writing the inbox: %w", err)
	}
	line = append(line, '\n')
	if _, err = b.file.Write(line); err == nil {
		err = b.file.Sync()
	}
	if err != nil {
		// What there is of the line must not be there when the next one comes.
		if _, e := b.file.Seek(b.size, io.SeekStart); e != nil || b.file.Truncate(b.size) != nil {
			b.err = fmt.Errorf("client: the inbox could not be repaired: %w", err)
		}
		return fmt.Errorf("client: writing the inbox: %w", err)
	}
	b.size += int64(len(line))
	b.apply(l)
	if b.size > compactBytes && b.size > 2*b.live {
		b.compact()
	}
	return nil
}

// compact rewrites the file with what still counts. If that fails the old one
// stays in use.
func (b *FileInbox) compact() {
	line, err := json.Marshal(&inboxLine{Epoch: b.newest, Messages: b.queue})
	if err != nil {
		return
	}
	line = append(line, '\n')
	b.live = int64(len(line))
	if b.size <= 2*b.live {
		return
	}
	t, err := os.CreateTemp(filepath.Dir(b.path), ".inbox.*") // readable by its owner only
	if err != nil {
		return
	}
	_, err = t.Write(line)
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		os.Remove(t.Name())
		return
	}
	// Some systems do not replace a file that is open.
	b.file.Close()
	renamed := os.Rename(t.Name(), b.path)
	if renamed != nil {
		os.Remove(t.Name())
	}
	b.file, err = os.OpenFile(b.path, os.O_RDWR, 0o600)
	if err == nil && renamed == nil {
		b.size = b.live
	}
	if err == nil {
		_, err = b.file.Seek(b.size, io.SeekStart)
	}
	if err != nil {
		b.err = fmt.Errorf("client: opening the inbox again: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(b.path)); err == nil {
		dir.Sync()
		dir.Close()
	}
}

// Newest implements Inbox.
func (b *FileInbox) Newest() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest, b.err
}

// Put implements Inbox.
func (b *FileInbox) Put(d Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.append(&inboxLine{Epoch: d.Epoch, Messages: d.Messages})
}

// Peek returns the oldest message that was not removed, and waits for one.
func (b *FileInbox) Peek(ctx context.Context) (Message, error) {
	for {
		b.mu.Lock()
		if b.err != nil {
			b.mu.Unlock()
			return Message{}, b.err
		}
		if len(b.queue) > 0 {
			m := b.queue[0]
			b.mu.Unlock()
			return m, nil
		}
		more := b.more
		b.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Remove removes a message, durably.
func (b *FileInbox) Remove(m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.append(&inboxLine{Removed: &cellName{m.Epoch, m.Cell}})
}

// Receive implements Receiver: Peek and Remove. A message is lost if the
// program ends between this and whatever it does with it; who cannot have that
// calls the two himself.
func (b *FileInbox) Receive(ctx context.Context) (Message, error) {
	m, err := b.Peek(ctx)
	if err == nil {
		err = b.Remove(m)
	}
	return m, err
}

// Close closes the file. Close the client first.
func (b *FileInbox) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = fs.ErrClosed
		close(b.more)
		b.more = make(chan struct{})
	}
	return b.file.Close()
}
