// Package reference holds deliberately dumb, obviously right versions of what
// an epoch does: which messages land in which cell of which mailbox, what each
// sender learns, and which tokens are issued. It is imported by tests only; it
// is not oblivious in anything.
//
// The outcome is a function of the accepted submissions, of the ties and of
// the public parameters alone.
package reference
