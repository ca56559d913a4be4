package cases

import (
	"hash/maphash"
	"math/rand/v2"
)

func randomOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

var fingerprintSeed = maphash.MakeSeed()

func fingerprint(x *Ready) uint64 {
	var h maphash.Hash
	h.SetSeed(fingerprintSeed)
	for _, s := range x.Secrets {
		h.Write(s)
	}
	return h.Sum64()
}
