package record

import "github.com/teems-go/teems/internal/oblivious"

// blockRows is how many rows a worker takes at a time: public, whatever the
// number of workers.
const blockRows = 1024

// Each calls f, on all workers, for blocks of the rows [0, n), n being public.
func Each(w *oblivious.Workers, n int, f func(from, to int)) {
	w.Each((n+blockRows-1)/blockRows, func(p int) { f(p*blockRows, min(n, (p+1)*blockRows)) })
}

// Keep makes dummies of the rows i whose kept[i] is 0. Oblivious in kept and the
// heads.
func (t Table) Keep(w *oblivious.Workers, kept []byte) {
	Each(w, t.Len(), func(from, to int) {
		for k := from; k < to; k++ {
			h := t.Header(k)
			h.Real &= uint32(kept[k])
			t.SetHeader(k, h)
		}
	})
}
