// Package choice holds the branch-free scalar tools that every oblivious
// algorithm here is made of: masks, comparisons, selection, division by a
// public divisor and a table lookup that scans.
//
// It guarantees, and a look at the compiled functions confirms, that no
// function has a conditional jump, a memory address or a variable-time
// instruction that depends on an operand; the only loop is over the public
// length of a table. It does not hide operands from whoever can read
// registers, and it says nothing about what callers do with a result: a Mask
// turned into a bool and branched upon is a leak that no package can prevent.
package choice

import "math/bits"

// Mask is a truth value without branches: all ones for true, all zeros for
// false. No other value is valid. The operators &, | and ^ combine masks.
type Mask uint64

// The two masks.
const (
	False Mask = 0
	True  Mask = ^Mask(0)
)

// FromBit returns the mask of the lowest bit of b; the other bits are ignored.
func FromBit(b uint64) Mask { return -Mask(b & 1) }

// Bit returns 1 for true and 0 for false.
func (m Mask) Bit() uint64 { return uint64(m & 1) }

// Not returns the complement of m.
func (m Mask) Not() Mask { return ^m }

// And returns m and o.
func (m Mask) And(o Mask) Mask { return m & o }

// Or returns m or o.
func (m Mask) Or(o Mask) Mask { return m | o }

// Xor returns the mask of m and o being different.
func (m Mask) Xor(o Mask) Mask { return m ^ o }

// NonZero returns the mask of x != 0. Oblivious in x; constant time.
func NonZero(x uint64) Mask { return -Mask((x | -x) >> 63) }

// Eq returns the mask of a == b. Oblivious in both; constant time.
func Eq(a, b uint64) Mask { return ^NonZero(a ^ b) }

// Less returns the mask of a < b, unsigned, over all of uint64: the borrow of
// a - b. Oblivious in both; constant time.
func Less(a, b uint64) Mask {
	_, borrow := bits.Sub64(a, b, 0)
	return -Mask(borrow)
}

// LessEq returns the mask of a <= b, unsigned. Oblivious in both; constant
// time.
func LessEq(a, b uint64) Mask { return ^Less(b, a) }

// Select returns a where m is true and b where it is false. Oblivious in all
// three; constant time.
func Select(m Mask, a, b uint64) uint64 { return b ^ uint64(m)&(a^b) }

// Select32 is Select on 32-bit words.
func Select32(m Mask, a, b uint32) uint32 { return b ^ uint32(m)&(a^b) }

// Swap exchanges *a and *b where m is true; both are read and written either
// way. Oblivious in m and both values; constant time.
func Swap(m Mask, a, b *uint64) {
	d := (*a ^ *b) & uint64(m)
	*a ^= d
	*b ^= d
}

// Lookup32 returns table[i], or 0 if i is out of range. It reads the whole
// table in order whatever i is. Oblivious in i and in the table's content;
// leaks len(table), which is public; cost linear in it.
func Lookup32(table []uint32, i uint32) uint32 {
	var v uint32
	for j, t := range table {
		v |= t & uint32(Eq(uint64(j), uint64(i)))
	}
	return v
}

// Divider divides secret 32-bit numbers by one public divisor, through a
// multiplication: the latency of a divide instruction depends on its operands
// on many processors. The zero Divider is not valid.
type Divider struct {
	reciprocal uint64 // floor((2^64 - 1) / divisor)
	divisor    uint32
}

// NewDivider prepares division by d, which must be public and not 0.
func NewDivider(d uint32) Divider {
	if d == 0 {
		panic("choice: division by zero")
	}
	return Divider{reciprocal: ^uint64(0) / uint64(d), divisor: d}
}

// Divisor returns the public divisor.
func (d Divider) Divisor() uint32 { return d.divisor }

// DivMod returns x / d and x % d, exactly for every x and every divisor.
// Oblivious in x; leaks nothing; constant time.
//
// This is the round-down variant of division by an invariant (Robison,
// "N-bit unsigned division via N-bit multiply-add", ARITH 2005). With
// m = floor((2^64-1)/d) = (2^64-e)/d, 1 <= e <= d, and x = q*d + r:
// m*(x+1)/2^64 = (x+1)/d - e*(x+1)/(d*2^64). It is below (x+1)/d <= q+1, and
// at least q, for r+1 >= 1 >= e*(x+1)/2^64 since e and x+1 are at most 2^32.
func (d Divider) DivMod(x uint32) (q, r uint32) {
	hi, _ := bits.Mul64(d.reciprocal, uint64(x)+1)
	q = uint32(hi)
	return q, x - q*d.divisor
}
