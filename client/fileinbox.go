package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// FileInbox is an Inbox in a folder: what was delivered is there after a restart
// until it has been removed. One program at a time may have it open; it holds
// messages as they were received, so it is readable by its owner only.
//
// Put costs the same whatever a delivery holds: a record with room for every
// cell of the mailbox, as long for a delivery of dummies as for a full one, one
// write and one fsync; with every 64th of them also the name of a new file. It
// waits for no reader: what Remove writes is in files of its own, under a lock
// of its own. Files are never rewritten. One without messages, or whose
// messages have all been removed, is deleted when Remove empties it, when the
// inbox is opened, or behind every 64th delivery, in the background.
//
// So a message that nobody removes costs room on disk for 64 deliveries.
//
// What is left: copying a message and handing it to a reader takes nanoseconds
// that copying none does not; and Put shares the disk with everything else on
// the machine, so an fsync of Remove, or the deletion of a file, at the same
// moment may make it take longer. Neither shows unless the next delivery comes
// before Put is done.
type FileInbox struct {
	dir    string
	layout layout

	putting  sync.Mutex // guards what follows; taken before mu
	current  *segment
	writing  *journal // nil: none was opened yet
	sequence uint64   // of the next segment
	newest   uint64
	closed   bool

	removing sync.Mutex // guards what follows; taken before mu, never with putting
	removals *journal   // of the segment that was removed from last
	of       *segment
	sweeps   sync.WaitGroup

	mu       sync.Mutex // held for moments only
	queue    []stored   // guarded by mu, like what follows: not removed, oldest first
	segments []*segment // finished ones that are there
	more     chan struct{}
	err      error // the inbox cannot be used any more
}

// stored is a message and where it is.
type stored struct {
	Message
	in *segment
}

// segmentDeliveries is how many deliveries a segment gets.
const segmentDeliveries = 64

// OpenFileInbox opens the inbox in a folder, which is made if there is none, for
// a client under a manifest. Errors: ErrInbox, of files.
func OpenFileInbox(dir string, m *Manifest) (*FileInbox, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is not a folder", ErrInbox, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("client: opening the inbox: %w", err)
	}
	b := &FileInbox{dir: dir, layout: layout{m.g.Ins(), m.MaxBody()}, more: make(chan struct{})}
	if err := b.load(); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *FileInbox) load() error {
	list, orphans, err := sequences(b.dir)
	if err != nil {
		return fmt.Errorf("client: reading the inbox: %w", err)
	}
	for _, path := range orphans {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("client: repairing the inbox: %w", err)
		}
	}
	for i, n := range list {
		s := &segment{base: segmentBase(b.dir, n)}
		last := i == len(list)-1
		deliveries, err := s.load(last, b.layout)
		b.sequence = n + 1
		if errors.Is(err, errTorn) || err == nil && s.records == 0 {
			if err := s.drop(); err != nil {
				return fmt.Errorf("client: repairing the inbox: %w", err)
			}
			b.newest = max(b.newest, s.newest)
			continue
		}
		if err != nil {
			return err
		}
		if err := b.fill(s, deliveries); err != nil {
			return err
		}
		s.finished = !last || s.layout != b.layout || s.records >= segmentDeliveries
		if !s.finished {
			b.current = s
			continue
		}
		b.segments = append(b.segments, s)
	}
	return b.dropEmpty()
}

// fill queues the messages of a segment that were not removed.
func (b *FileInbox) fill(s *segment, deliveries []Delivery) error {
	removed, _, err := s.removed()
	if err != nil {
		return err
	}
	if deliveries[0].Epoch <= b.newest {
		return fmt.Errorf("%w: %s is behind what came before it", ErrInbox, s.base+deliveriesSuffix)
	}
	for _, d := range deliveries {
		for _, m := range d.Messages {
			if !removed[cellName{m.Epoch, m.Cell}] {
				b.queue = append(b.queue, stored{m, s})
				s.live++
			}
		}
	}
	b.newest = s.newest
	return nil
}

// Newest implements Inbox.
func (b *FileInbox) Newest() (uint64, error) {
	b.putting.Lock()
	defer b.putting.Unlock()
	return b.newest, b.failed()
}

func (b *FileInbox) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Put implements Inbox.
func (b *FileInbox) Put(d Delivery) error {
	b.putting.Lock()
	defer b.putting.Unlock()
	switch {
	case b.closed:
		return fs.ErrClosed
	case !b.layout.fits(&d) || d.Epoch <= b.newest:
		return fmt.Errorf("%w: epoch %d is not a delivery that this inbox can take", ErrConfig, d.Epoch)
	}
	if err := b.write(&d); err != nil {
		return err
	}
	s := b.current
	s.records++
	s.newest, b.newest = d.Epoch, d.Epoch
	full := s.records >= segmentDeliveries
	b.mu.Lock()
	for _, m := range d.Messages {
		b.queue = append(b.queue, stored{m, s})
	}
	s.live += len(d.Messages)
	if len(d.Messages) > 0 {
		b.wake()
	}
	if full {
		s.finished = true
		b.segments = append(b.segments, s)
	}
	b.mu.Unlock()
	if full {
		b.writing.close() // all of it is durable
		b.current, b.writing = nil, nil
		b.sweeps.Go(func() {
			b.removing.Lock()
			defer b.removing.Unlock()
			b.dropEmpty() // what it could not delete it finds the next time
		})
	}
	return nil
}

// write makes a delivery durable, in a new segment if there is none.
func (b *FileInbox) write(d *Delivery) error {
	record := b.layout.encode(d)
	if b.current != nil {
		if b.writing == nil {
			var err error
			if b.writing, err = openJournal(b.current.base+deliveriesSuffix, b.current.end()); err != nil {
				return fmt.Errorf("client: writing the inbox: %w", err)
			}
		}
		return b.writing.append(record)
	}
	s := &segment{base: segmentBase(b.dir, b.sequence), layout: b.layout, newest: b.newest}
	j, err := openJournal(s.base+deliveriesSuffix, 0)
	if err != nil {
		return fmt.Errorf("client: writing the inbox: %w", err)
	}
	if err = j.append(append(s.header(b.newest), record...)); err == nil {
		err = syncFolder(b.dir)
	}
	if err != nil {
		j.close()
		return err // the file is made anew by the next try
	}
	b.current, b.writing, b.sequence = s, j, b.sequence+1
	return nil
}

// wake wakes readers. The caller holds mu.
func (b *FileInbox) wake() {
	close(b.more)
	b.more = make(chan struct{})
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
			m := b.queue[0].Message
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

// find returns the place of a message in the queue, -1 if it is not there. The
// caller holds mu.
func (b *FileInbox) find(m *Message) int {
	return slices.IndexFunc(b.queue, func(s stored) bool { return s.Epoch == m.Epoch && s.Cell == m.Cell })
}

// Remove removes a message, durably. One that is not there is no error.
func (b *FileInbox) Remove(m Message) error {
	b.removing.Lock()
	defer b.removing.Unlock()
	b.mu.Lock()
	if b.err != nil {
		defer b.mu.Unlock()
		return b.err
	}
	i := b.find(&m)
	if i < 0 {
		b.mu.Unlock()
		return nil
	}
	s := b.queue[i].in
	b.mu.Unlock()
	if err := b.log(s, cellName{m.Epoch, m.Cell}); err != nil {
		return err
	}
	b.mu.Lock()
	if i = b.find(&m); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		s.live--
	}
	empty := s.live == 0 && s.finished
	b.mu.Unlock()
	if empty {
		b.dropEmpty() // the message is removed even if its file is not
	}
	return nil
}

// log makes a removal durable. The caller holds removing.
func (b *FileInbox) log(s *segment, name cellName) error {
	if b.of != s {
		_, end, err := s.removed()
		if err != nil {
			return err
		}
		j, err := openJournal(s.base+removedSuffix, end)
		if err != nil {
			return fmt.Errorf("client: writing the inbox: %w", err)
		}
		if end == 0 {
			if err := syncFolder(b.dir); err != nil {
				j.close()
				return err
			}
		}
		b.removals.close()
		b.removals, b.of = j, s
	}
	return b.removals.append(name.encode())
}

// dropEmpty deletes the finished segments without messages, but for the last
// one, from which the next Put's segment goes on. The caller holds removing, or
// nobody else has the inbox yet.
func (b *FileInbox) dropEmpty() error {
	b.mu.Lock()
	var empty []*segment
	for i, s := range b.segments {
		if s.live == 0 && i < len(b.segments)-1 {
			empty = append(empty, s)
		}
	}
	b.mu.Unlock()
	for _, s := range empty {
		if b.of == s {
			b.removals.close()
			b.removals, b.of = nil, nil
		}
		if err := s.drop(); err != nil {
			return fmt.Errorf("client: the inbox: %w", err)
		}
		b.mu.Lock()
		b.segments = slices.DeleteFunc(b.segments, func(x *segment) bool { return x == s })
		b.mu.Unlock()
	}
	return nil
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

// Close closes the files. Close the client first.
func (b *FileInbox) Close() error {
	b.mu.Lock()
	if b.err != nil {
		b.mu.Unlock()
		return b.err
	}
	b.err = fs.ErrClosed
	b.wake()
	b.mu.Unlock()
	b.putting.Lock()
	b.closed = true
	err := b.writing.close()
	b.putting.Unlock()
	b.sweeps.Wait()
	b.removing.Lock()
	defer b.removing.Unlock()
	return errors.Join(err, b.removals.close())
}
