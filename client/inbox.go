package client

import (
	"context"
	"sync"
)

// Channel is one of the two channels.
type Channel uint8

// The channels.
const (
	IDChannel Channel = iota + 1
	TokenChannel
)

// String names the channel.
func (c Channel) String() string {
	switch c {
	case IDChannel:
		return "ID channel"
	case TokenChannel:
		return "token channel"
	}
	return "no channel"
}

// Message is a message that was received.
type Message struct {
	Epoch   uint64
	Cell    int     // its place in the mailbox; with Epoch it names the message
	From    Address // as the cluster says, not the sender
	Channel Channel
	Contact bool // on the ID channel: it came with a pass, or priorities are open
	Slot    int  // on the token channel: of the token
	Body    []byte
}

// Delivery is what one epoch brought. Most bring no message.
type Delivery struct {
	Epoch     uint64
	Messages  []Message
	Malformed int    // messages left out because their senders broke the layout of bodies
	Missed    uint64 // epochs just before this one whose deliveries were lost: the client was away too long
}

// Inbox keeps what is delivered. A client calls its methods from one goroutine
// at a time.
//
// A delivery has from its arrival until the next one comes to be Put. Where that
// is not enough the client answers the next one late, which an observer sees. So
// Put has to take the same time whatever the delivery holds, and whatever the
// program does with the inbox meanwhile: no waiting for readers, no work that
// grows with the messages. FileInbox says how it does that, and what is left.
type Inbox interface {
	// Newest returns the newest epoch that was Put; 0 for none.
	Newest() (uint64, error)
	// Put keeps a delivery, durably: when it returns nil the cluster is told to
	// forget it. Epochs rise from call to call. After an error the same delivery
	// is Put again, and the client is silent meanwhile, and submits nothing either
	// if its ingestion and its storage server are one: an error must not depend on
	// what was delivered either.
	Put(d Delivery) error
}

// Receiver is what an Inbox has besides if Client.Receive is to work with it.
type Receiver interface {
	// Receive returns the oldest message that was not returned yet, and waits
	// for one.
	Receive(ctx context.Context) (Message, error)
}

// MemoryInbox is an unbounded queue in memory: what was not received when the
// program ends is lost.
type MemoryInbox struct {
	mu       sync.Mutex
	newest   uint64
	messages []Message
	more     chan struct{} // closed when a message comes
}

// NewMemoryInbox makes an empty queue.
func NewMemoryInbox() *MemoryInbox { return &MemoryInbox{more: make(chan struct{})} }

// Newest implements Inbox.
func (b *MemoryInbox) Newest() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest, nil
}

// Put implements Inbox.
func (b *MemoryInbox) Put(d Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = d.Epoch
	if len(d.Messages) > 0 {
		b.messages = append(b.messages, d.Messages...)
		close(b.more)
		b.more = make(chan struct{})
	}
	return nil
}

// Receive implements Receiver.
func (b *MemoryInbox) Receive(ctx context.Context) (Message, error) {
	for {
		b.mu.Lock()
		if len(b.messages) > 0 {
			m := b.messages[0]
			b.messages[0] = Message{}
			b.messages = b.messages[1:]
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
