// Package idchannel decides, on 24-byte headers alone, which messages of the ID
// channel survive when more are addressed to a client than its mailbox holds,
// and in which cell each survivor goes.
//
// An ingestion server runs a Sender: it orders its records' headers, keeps per
// recipient and class no more than can survive, and lays them out in one
// section of public size per routing server. A routing server runs a Ranker:
// all headers of one recipient meet there, are ranked, and the ranks go back
// in the order in which the headers came. The Sender turns them into cells.
//
// The outcome is a function of the records and of the ties alone: neither the
// routers, nor their number, nor the order of arrival changes it. What is
// visible - lengths, addresses, times - is a function of the sizes in Plan and
// of the row counts alone. The package does no I/O and makes no randomness;
// both keyed functions come in as PRF. It does not check passes or whether a
// recipient exists: package token and the caller do, before.
package idchannel

import (
	"errors"
)

// RowBytes is the length of a header on a link: three little-endian words that
// hold, from the most significant bit down,
//
//	recipient 32 | class 1 | ^priority 32 | tie 64 | sender 32 | index 16 | 0 * 15
//
// so that headers in ascending order are grouped by recipient and class, the
// best first. A dummy's row is all ones: it comes last, and recipient 2^32-1
// does not exist.
const RowBytes = 24

// RankBytes is the length of a rank on a link: a little-endian word.
const RankBytes = 4

// Dropped stands for the rank, or the cell, of a record that has none.
const Dropped = ^uint32(0)

// Contact and Stranger are the two classes, contested separately. In the open
// mode every record is a contact and k_stranger is 0.
const (
	Contact  = 0
	Stranger = 1
)

// ErrSize reports public sizes that do not fit together.
var ErrSize = errors.New("idchannel: sizes do not fit together")

// PRF holds the two keyed functions. Implementations must be oblivious in the
// inputs; the lengths of in and out are equal and public. They may be called
// from one goroutine at a time.
type PRF interface {
	// Ties fills out[i] with 64 pseudo-random bits of in[i], which is
	// sender<<16 | index, under a key of the epoch, never of the attempt: an
	// abort must not redraw the survivors.
	Ties(epoch uint64, in, out []uint64)
	// Routers fills out[i] with 64 pseudo-random bits of recipients[i] under a
	// key derived from the attempt's identity a.
	Routers(a [32]byte, recipients []uint32, out []uint64)
}

// Classes says how many messages a mailbox takes of each class in an epoch;
// public.
type Classes struct {
	Contact, Stranger uint32
}

// Plan holds the public sizes of one ingestion server in one attempt.
type Plan struct {
	Classes Classes
	// Pattern is the cyclic pattern of routing servers, of length W = sum of
	// the weights; router r stands in it w_r times. Every entry is below
	// len(Links).
	Pattern []uint32
	// Links holds L(i,r): how many headers go to router r, padding included.
	Links []int
}

// Records holds one entry per record in each column. All contents are secret,
// the length is public. The pair (Sender, Index) must not occur twice among
// real records of all ingestion servers.
type Records struct {
	Recipient []uint32
	Class     []byte // Contact or Stranger; only the lowest bit counts
	Priority  []uint32
	Sender    []uint32
	Index     []uint16
	Real      []byte // 1 real, 0 dummy; only the lowest bit counts
}

func (in Records) size() (int, error) {
	n := len(in.Recipient)
	if len(in.Class) != n || len(in.Priority) != n || len(in.Sender) != n ||
		len(in.Index) != n || len(in.Real) != n {
		return 0, ErrSize
	}
	return n, nil
}
