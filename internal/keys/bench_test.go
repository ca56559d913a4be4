package keys

import "testing"

func BenchmarkTag(b *testing.B) {
	s := New(master, cluster, 1)
	const n = 1024
	in, out := make([]byte, n*48), make([]byte, n*16)
	b.ReportAllocs()
	for i := 0; i < b.N; i += n {
		s.Tags(KindToken, in, out)
	}
}

func BenchmarkTie(b *testing.B) {
	p := New(master, cluster, 1).TiePRF(1)
	x := make([]uint64, 1024)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(x) {
		p.Values(x, x)
	}
}

func BenchmarkSession(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Session(keyHash, 0, 1, saltA, saltB)
	}
}

func BenchmarkAttachProof(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		AttachProof(keyHash, cluster, 3, 1, 71, saltA)
	}
}

func BenchmarkClientKey(b *testing.B) {
	s := New(master, cluster, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.ClientKey(71, keyHash, 1)
	}
}

func BenchmarkOpen(b *testing.B) {
	a := Session(keyHash, 0, 1, saltA, saltB)
	nonce, ad := make([]byte, 12), make([]byte, 60)
	sealed := a.Seal(nil, nonce, make([]byte, 64+320), ad)
	plain := make([]byte, 0, len(sealed))
	b.SetBytes(int64(len(sealed)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Open(plain, nonce, sealed, ad); err != nil {
			b.Fatal(err)
		}
	}
}
