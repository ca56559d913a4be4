// Package commit decides, for every epoch, which attempt counts.
//
// An epoch is tried in attempts, numbered from 1 and strictly rising, and any
// of them may fail half-way on some servers. A [Machine] is one server's part
// in agreeing, with all the others, on exactly one of them. It is written in
// the style of etcd's raft: it does no I/O and reads no clock. Votes go in by
// [Machine.Step] and time by [Machine.Tick]. [Machine.Ready] hands out a
// [Batch] of durable writes, and votes to send.
//
// The driver has these duties:
//
//   - After each call that changes the machine, call Ready.
//   - Make batches durable in the order of their numbers, and the writes of a
//     batch in their order. A crash may leave any prefix of the writes.
//   - Call [Machine.Persisted] when a batch is durable, and Ready again: votes
//     that waited for it come out then.
//   - Leave the parts of a batch as they are until then.
//   - If a batch fails, call [Machine.Failed] and end the process.
//
// The machine goes on while a batch is on its way. Its rules read what is
// queued; votes leave when what they say is durable.
//
// The rules, for M servers:
//
//   - R1. PREPARED(A, tag): a server says it only after the outcome of the
//     attempt and its tag are durable; never after it said COMMITTED for that
//     epoch, nor for an attempt that is not above all that it has prepared.
//     COMMITTED counts as said when its write is queued: PREPARED votes that
//     still wait are dropped then.
//   - R2. COMMITTED(A): written once per epoch, durable before it is said; on
//     PREPARED(A) from all M when A is the highest that this server prepared,
//     or on a peer's COMMITTED(A) when this server holds A's data, that is, when
//     its own tag is among the tags that the vote carries.
//   - R3. An outcome may be delivered and acknowledged only after COMMITTED(A)
//     with the same head from all M ([Machine.Final]).
//   - R4. The data of every prepared attempt is kept until R3
//     ([Machine.Finish] deletes it).
//
// "All" means all: there are no quorums, and a server that is down stops the
// epoch. Void, the empty outcome after the cap on attempts, is an attempt like
// any other whose outcome is empty; nothing here knows of it.
//
// A is the attempt's identity ([Facts.ID]). A tag is 128 fresh random bits
// stored with the prepared state, never a hash of it. The head of an epoch is
// the hash of the head before it, A and all M tags ([Next]); since A covers the
// head before it, votes with equal A and equal tags have equal heads.
//
// What is guaranteed:
//
//   - At most one attempt of an epoch is ever final, on any server, as long as
//     one server was never rolled back to an earlier durable state; and all
//     servers for which an epoch is final have the same head.
//   - Without rollback no two servers ever write COMMITTED for different
//     attempts, so that an epoch can always be finished once all servers are
//     up, votes arrive, and new attempts are proposed.
//   - A crash at any point, with any prefix of the writes durable, is safe.
//   - Proof that a server lost state, this one or a peer, stops the machine for
//     good ([Machine.Conflict]): privacy comes before liveness.
//
// What it does not do: it does not propose attempts or count towards their cap,
// does not authenticate votes (links between servers are attested), does not
// seal what it stores, cannot notice that all servers were rolled back together
// (clients do, by echoing heads), and does not change the set of servers within
// an epoch. A, tags, heads and votes are public: nothing here depends on a
// secret, and the prepared state is never looked into.
package commit
