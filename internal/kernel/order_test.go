package kernel

import (
	"bytes"
	"slices"
	"testing"
)

func TestOrder8(t *testing.T) { onEach(t, checkOrder8) }

func checkOrder8(t *testing.T) {
	const seed = 6
	r := random(seed)
	for _, width := range append(widths[1:], 192, 320, 2064) {
		for range 40 {
			labels := make([]uint32, 8)
			for i := range labels {
				labels[i] = r.Uint32N(12) << (r.IntN(2) * 28)
			}
			data := randomBytes(r, 8*width)
			wantLabels, want := slices.Clone(labels), slices.Clone(data)
			var masks Masks8
			restore := setImplementation(portable)
			Order8(wantLabels, &masks)
			Move8(want, width, &masks)
			restore()
			moved := map[string]uint32{}
			for i, l := range labels {
				moved[string(data[i*width:(i+1)*width])] = l
			}
			Order8(labels, &masks)
			Move8(data, width, &masks)
			if !slices.IsSorted(labels) || !slices.Equal(labels, wantLabels) || !bytes.Equal(data, want) {
				t.Fatalf("seed %d width %d: labels %v, want %v", seed, width, labels, wantLabels)
			}
			for i, l := range labels {
				if moved[string(data[i*width:(i+1)*width])] != l {
					t.Fatalf("seed %d width %d: row %d has another label", seed, width, i)
				}
			}
		}
	}
}
