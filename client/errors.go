package client

import (
	"errors"
	"fmt"
)

// Kinds of errors, for errors.Is. No error holds a key, a token or the text of
// a message.
var (
	// ErrConfig: a function was asked for something that cannot be.
	ErrConfig = errors.New("client: bad configuration")
	// ErrManifest: the manifest cannot be used, or is not the one expected.
	ErrManifest = errors.New("client: manifest refused")
	// ErrIdentity: these are not the bytes of an identity.
	ErrIdentity = errors.New("client: not an identity")
	// ErrText: a text is no address, token or pass, or was changed on its way.
	ErrText = errors.New("client: unreadable text")
	// ErrWrongCluster: an address, token, pass or identity is of another cluster.
	ErrWrongCluster = errors.New("client: this belongs to another cluster")

	// ErrUnavailable: no gateway or no server answered; it may do so later.
	ErrUnavailable = errors.New("client: the cluster cannot be reached")
	// ErrEra: the keys of the identity are of an era that is over.
	ErrEra = errors.New("client: the cluster has new keys")
	// ErrUnattested: who answered did not prove to be a server of the manifest.
	ErrUnattested = errors.New("client: the server's attestation is refused")
	// ErrFull: the cluster has no ID left.
	ErrFull = errors.New("client: the cluster is full: its operators can raise the capacity")
	// ErrBusy: too many registrations wait already; there may be room later.
	ErrBusy = errors.New("client: too many clients are registering: try again")
	// ErrRegistrationRefused: the server would not register this client.
	ErrRegistrationRefused = errors.New("client: the registration was refused")
	// ErrNotRegistered: the servers do not know this client, or not by this key: an
	// identity from a registration that is refused is ErrKeyReplaced as well.
	ErrNotRegistered = errors.New("client: the cluster does not know this client: register")
	// ErrKeyReplaced: the same client has registered again since.
	ErrKeyReplaced = errors.New("client: this identity has been replaced by a later registration: use that one")

	// ErrTooLong: a message does not fit a cell; see TooLongError.
	ErrTooLong = errors.New("client: the message is too long")
	// ErrChannelOff: the manifest disables the channel.
	ErrChannelOff = errors.New("client: this cluster does not have the channel")
	// ErrQueueFull: too many messages or requests wait already.
	ErrQueueFull = errors.New("client: too much is queued: wait for results")
	// ErrUnknownRecipient: there is no client with the recipient's ID.
	ErrUnknownRecipient = errors.New("client: there is no such recipient")
	// ErrBadToken: the token or pass was not issued for this use by this client.
	ErrBadToken = errors.New("client: the token is not one that this cluster issued to this client")
	// ErrTokenExpired: the token's or pass's epochs are over.
	ErrTokenExpired = errors.New("client: the token has expired: ask the recipient for a new one")
	// ErrTokenUsed: the token's slot was used twice in one epoch, as two
	// programs with one identity would.
	ErrTokenUsed = errors.New("client: the token was used already in this epoch")
	// ErrTokenWindow: the epochs asked for are too near, too far or too many.
	ErrTokenWindow = errors.New("client: a token cannot have these epochs")
	// ErrNoSlot: every slot is given away for the epochs asked for; see SlotsError.
	ErrNoSlot = errors.New("client: every token slot is given away")
	// ErrTokenRefused: the server refused the request as malformed.
	ErrTokenRefused = errors.New("client: the token request was refused")
	// ErrOutcomeUnknown: it was submitted, and no final result can be had.
	ErrOutcomeUnknown = errors.New("client: submitted, and it is not known whether it was taken")

	// ErrFork: two heads for one epoch; servers or their hosts are not honest.
	ErrFork = errors.New("client: the cluster's servers contradict each other about an epoch; this client has stopped")
	// ErrRolledBack: the servers are behind what they themselves had committed.
	ErrRolledBack = errors.New("client: the cluster was set back to an earlier state; this client has stopped")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("client: closed")
)

// TooLongError is ErrTooLong with the limit.
type TooLongError struct {
	Length, Limit int // bytes
}

// Error says what does not fit.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("client: the message has %d bytes, at most %d fit: send it in parts", e.Length, e.Limit)
}

// Is makes errors.Is(err, ErrTooLong) true.
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

// SlotsError is ErrNoSlot with the earliest epoch, as far as this client
// knows, in which a slot may be free: ask with that as Start.
type SlotsError struct {
	Free uint64
}

// Error says when to ask again.
func (e *SlotsError) Error() string {
	return fmt.Sprintf("client: every token slot is given away for these epochs: ask for a token from epoch %d on", e.Free)
}

// Is makes errors.Is(err, ErrNoSlot) true.
func (e *SlotsError) Is(target error) bool { return target == ErrNoSlot }
