package kernel
import ("testing";"unsafe";"fmt")
func BenchmarkX(b *testing.B) {
	for _, width := range []int{64,256,1024} {
	data := make([]byte, 64*width+64)
	o := -int(uintptr(unsafe.Pointer(&data[0])))&63
	d := unsafe.Pointer(&data[o])
	ranks := make([]uint32, 64)
	u := unitOf(width)
	b.Run(fmt.Sprint("first",width), func(b *testing.B){ for b.Loop(){ within(d,u,width,ranks,0,false)}})
	b.Run(fmt.Sprint("direct",width), func(b *testing.B){ for b.Loop(){ direct(d,width,ranks,0,3,3,false)}})
	b.Run(fmt.Sprint("directq",width), func(b *testing.B){ for b.Loop(){ direct(d,width,ranks,0,2,4,false)}})
	b.Run(fmt.Sprint("fill",width), func(b *testing.B){ var t [12]uint64; for b.Loop(){ fill(t[:],ranks,0,3,3,63)}})
	}
}
