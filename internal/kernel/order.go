package kernel

import (
	"unsafe"

	"github.com/teems-go/teems/internal/choice"
)

// Masks8 says how a sort of eight rows goes: for each layer of the bitonic
// network and each row, whether it is exchanged. It is secret.
type Masks8 [48]uint32

// layers8 are the layers of that network: row i is compared with row i xor
// pattern; the one without the bit of the distance is the lower one.
var layers8 = [6]struct{ pattern, distance int }{{1, 1}, {3, 2}, {1, 1}, {7, 4}, {2, 2}, {1, 1}}

// Order8 sorts eight labels and notes in masks how. Oblivious in the labels; 24
// exchanges.
func Order8(labels []uint32, masks *Masks8) {
	l := (*[8]uint32)(labels)
	if traceOn {
		trace("Order8", unsafe.Pointer(l), nil)
	}
	order8(l, masks)
}

// Move8 does with the eight rows that data holds what Order8 did with labels.
// Oblivious in masks and rows; 24 swaps.
func Move8(data []byte, width int, masks *Masks8) {
	rows(data, width, 0, 8)
	if traceOn {
		trace("Move8", unsafe.Pointer(&data[0]), nil, width)
	}
	moveRows8(unsafe.Pointer(&data[0]), width, masks)
}

func order8Portable(l *[8]uint32, masks *Masks8) {
	for i, layer := range layers8 {
		for a := range 8 {
			if a&layer.distance == 0 {
				b := a ^ layer.pattern
				m := uint32(choice.Less(uint64(l[b]), uint64(l[a])))
				masks[8*i+a], masks[8*i+b] = m, m
				d := (l[a] ^ l[b]) & m
				l[a] ^= d
				l[b] ^= d
			}
		}
	}
}

func move8Portable(data unsafe.Pointer, width int, masks *Masks8) {
	for i, layer := range layers8 {
		for a := range 8 {
			if a&layer.distance == 0 {
				m := uint64(int64(int32(masks[8*i+a])))
				swapRow(unsafe.Add(data, a*width), unsafe.Add(data, (a^layer.pattern)*width), width, m)
			}
		}
	}
}
