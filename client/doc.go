// Package client is the library for programs that exchange messages through a
// TEEMS cluster.
//
// A program makes an identity once with [Register], keeps it, and then runs a
// [Client] from [Connect]. Two channels carry messages: the ID channel, for
// which the sender needs only the recipient's [Address], and the token channel,
// for which it needs a [Token] that the recipient asked for with
// [Client.RequestToken] and handed over.
//
// # What is promised
//
// Delivery, in one sentence: a message that [Client.Send] reports as taken was
// carried in exactly one epoch, exactly once; on the token channel it is then
// in the recipient's mailbox, on the ID channel it is unless the recipient's
// cells of its class were taken by messages of higher or equal priority, which
// no sender learns; and a recipient's [Inbox] gets the mailbox of every epoch
// once, in order, as long as it connects before the cluster forgets
// (delivery_epochs of the manifest).
//
// A message is sent again only after a final result says that it was not taken.
// Where no result can come any more the error is [ErrOutcomeUnknown].
//
// One program at a time runs with an identity: of two, each epoch takes what one
// of them submits, the other sends again, and either may get a delivery.
//
// # What an observer sees
//
// For every epoch that its servers say is open, with the outcome of the one
// before or when it connects, a client sends one submission and one control
// cell, of fixed sizes, whatever the program does: with what is queued, and
// dummies otherwise. Where one server is in both roles towards the client, as it
// is if every server has all roles, they go in one cell over one connection; else
// over a connection to each of two servers. The answer goes a fixed time after
// that came, in which the client makes it.
//
// What it acknowledges follows from what came when: exactly the deliveries that
// had arrived when the epoch before was opened. The inbox has that long to keep
// them. If it needs longer the control cell waits for it, and so does the
// submission that shares a cell with it: with one server in both roles a client
// whose inbox fails submits nothing until it works. So an [Inbox] has to take the
// same time for whatever it is given; [FileInbox] does, but for what it says.
// Left, too, is a machine so busy that the fixed time, a millisecond, is not
// enough.
//
// What shows is when a client is connected, so a program that connects only to
// send shows that it may send.
//
// A client seals only for epochs that its servers say are open, and only forwards;
// what it sent for an epoch it sends again, the same, to a new session. It
// stops, with [ErrFork] or [ErrRolledBack], when its servers contradict each
// other about the past.
//
// # Bodies
//
// The B bytes of a message cell's body (cell_bytes of the manifest) hold
//
//	version u8 (1) | 0 u8 | length u16 | payload | zeros
//
// so a payload has at most B-4 bytes: [Manifest.MaxBody]. Version 1 is plain:
// the cluster's TEEs could read it. End-to-end encryption gets a version of
// its own.
//
// It does not encrypt between clients yet, keep contacts, or queue across
// restarts of the program: what was not sent when the client closed is
// reported as such, and lost.
package client
