package mesh

import "testing"

// TestClasses: a buffer holds what it was asked for and at most a quarter more,
// and buffers of one pool have one size.
func TestClasses(t *testing.T) {
	sizes := map[int]int{}
	for n := 1; n < 1<<21; n += 1 + n/50 {
		class, size := classOf(n)
		if size < n || n > 512 && size > n+n/4 {
			t.Fatalf("a buffer for %d bytes has %d", n, size)
		}
		if had := sizes[class]; had != 0 && had != size {
			t.Fatalf("class %d has buffers of %d and of %d bytes", class, had, size)
		}
		sizes[class] = size
	}
	var b buffers
	p, release := b.get(1000)
	if len(p) != 1000 {
		t.Errorf("%d bytes, want 1000", len(p))
	}
	release()
	if p, release = b.get(0); p != nil {
		t.Error("no bytes have a buffer")
	}
	release()
}
