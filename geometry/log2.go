package geometry

import "math/bits"

// logBits is the number of fractional bits of log2.
const logBits = 56

// log2 returns the base-2 logarithm of x >= 1 as a fixed-point number with
// logBits fractional bits, rounded down, within 2 units. All servers must find
// the same bounds, and math.Log may differ between processors; this does not.
//
// One bit at a time: squaring the mantissa doubles its logarithm, whose integer
// part is the next bit. A mantissa has 63 fractional bits and loses under 2 units
// a squaring; an error made after j squarings counts 2^-j, so under 2^-60 in all.
func log2(x uint64) int64 {
	top := bits.Len64(x) - 1
	mantissa := x << (63 - top)
	log := int64(top)
	for range logBits {
		log <<= 1
		mantissa, _ = bits.Mul64(mantissa, mantissa)
		if mantissa>>63 == 1 {
			log |= 1
		} else {
			mantissa <<= 1
		}
	}
	return log
}
