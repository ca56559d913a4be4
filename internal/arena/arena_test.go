package arena

import (
	"runtime"
	"testing"
	"unsafe"
)

func TestArena(t *testing.T) {
	a := New()
	small := a.Get(100)
	if len(small) != 100 || a.Bytes() != 0 {
		t.Errorf("100 bytes mapped %d", a.Bytes())
	}
	a.Put(small)
	big := a.Get(5 << 20)
	if runtime.GOOS == "linux" {
		if a.Bytes() != 6<<20 || uintptr(unsafe.Pointer(&big[0]))%page != 0 {
			t.Errorf("%d bytes mapped, at %p", a.Bytes(), &big[0])
		}
	}
	for i := range big {
		big[i] = byte(i)
	}
	a.Put(big[:10:20])
	a.Put(big) // twice is once
	if again := a.Get(5<<20 + 9); runtime.GOOS == "linux" && (&again[0] != &big[0] || len(again) != 5<<20+9) {
		t.Error("memory given back was not used again")
	}
	if other := a.Get(5 << 20); &other[0] == &big[0] {
		t.Error("the same memory was given out twice")
	}
	a.Put(make([]byte, 3<<20)) // another's
	if got := a.Get(3 << 20); len(got) != 3<<20 {
		t.Error("3 MiB have another length")
	}
	a.Put(nil)
}
