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

// TestIdle: what nothing asks for goes back to the system, after a while; what
// is asked for again and again stays.
func TestIdle(t *testing.T) {
	a := New()
	once, often := a.Get(20<<20), a.Get(4<<20)
	a.Put(once)
	for range idle {
		a.Put(often)
		if again := a.Get(4 << 20); runtime.GOOS == "linux" && &again[0] != &often[0] {
			t.Fatal("memory in use every time was not kept")
		}
	}
	if got := a.Bytes(); got > 4<<20 {
		t.Errorf("%d bytes are mapped, want 4 MiB: 20 MiB were idle for %d requests", got, idle)
	}
	if big := a.Get(20 << 20); len(big) != 20<<20 || a.Bytes() > 24<<20 {
		t.Errorf("%d bytes are mapped after 20 MiB were asked for again, want 24 MiB", a.Bytes())
	}
}

// TestClose: nothing stays mapped, whether it was given back or not.
func TestClose(t *testing.T) {
	a := New()
	a.Put(a.Get(4 << 20))
	a.Get(8 << 20)
	if a.Close(); a.Bytes() != 0 {
		t.Errorf("%d bytes are mapped", a.Bytes())
	}
	if a.Close(); len(a.Get(4<<20)) != 4<<20 {
		t.Error("an arena that was closed gives no memory")
	}
}
