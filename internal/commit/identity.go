package commit

import (
	"crypto/sha3"
	"encoding/binary"
)

// ID is A, the identity of an attempt. Every frame between servers carries it.
type ID [32]byte

// EpochHead is the hash chain's value after an epoch.
type EpochHead [32]byte

// Tag stands for one server's prepared state: 128 fresh random bits, never a
// hash of the state, because heads reach clients, who could test guesses.
type Tag [16]byte

// Facts are all that identifies an attempt, public without exception.
type Facts struct {
	Cluster  [32]byte  // hash of the cluster key
	Manifest [32]byte  // hash of the manifest in force
	Era      uint32    // of the keys
	Epoch    uint64    // from 1
	Attempt  uint16    // from 1
	Previous EpochHead // head of the epoch before
	Roster   [32]byte  // RosterHash of the roster
	Users    []int     // U_v of every virtual shard
	Boots    [][16]byte
}

// ID returns A: SHA3-256 over the label "teems/1 attempt" and every field, each
// with its length before it. Integers are little-endian, Users 8 bytes each.
func (f Facts) ID() ID {
	users := make([]byte, 0, 8*len(f.Users))
	for _, u := range f.Users {
		users = binary.LittleEndian.AppendUint64(users, uint64(u))
	}
	boots := make([]byte, 0, 16*len(f.Boots))
	for _, b := range f.Boots {
		boots = append(boots, b[:]...)
	}
	le := binary.LittleEndian
	return digest("teems/1 attempt", f.Cluster[:], f.Manifest[:],
		le.AppendUint32(nil, f.Era), le.AppendUint64(nil, f.Epoch),
		le.AppendUint16(nil, f.Attempt), f.Previous[:], f.Roster[:], users, boots)
}

// Next returns the head of the epoch that follows prev and was decided for a;
// tags has one tag per server, in their order.
func Next(prev EpochHead, a ID, tags []Tag) EpochHead {
	all := make([]byte, 0, 16*len(tags))
	for _, t := range tags {
		all = append(all, t[:]...)
	}
	return digest("teems/1 head", prev[:], a[:], all)
}

// Genesis returns head_0: cluster is the hash of the cluster key, manifest the
// hash of the first manifest that names it.
func Genesis(cluster, manifest [32]byte) EpochHead {
	return digest("teems/1 genesis", cluster[:], manifest[:])
}

// RosterHash returns the hash of an encoded roster, for Facts.
func RosterHash(b []byte) [32]byte { return digest("teems/1 roster", b) }

// digest hashes the label and the fields, each after its length as 8 bytes.
func digest(label string, fields ...[]byte) (d [32]byte) {
	h := sha3.New256()
	var n [8]byte
	write := func(b []byte) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	write([]byte(label))
	for _, f := range fields {
		write(f)
	}
	h.Sum(d[:0])
	return d
}
