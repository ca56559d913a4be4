package session

import "github.com/teems-go/teems/internal/cell"

// Seal seals one cell of the given type for each session, in dst, which holds
// len(to) * (gap + width + tag) bytes: gap bytes are left as they are before
// each cell. compose writes the plaintext for a client over zeros; it is called
// by several goroutines at once. The same type, epoch and attempt must always
// get the same plaintext.
func (t *Table) Seal(dst []byte, gap int, to []Handle, typ uint16, epoch uint64, attempt uint16, width int, compose func(client uint32, plain []byte)) {
	parts := t.parts(len(to))
	t.cfg.Workers.Each(parts, func(p int) {
		l := &t.lanes[p]
		if cap(l.plain) < width+cell.TagBytes {
			l.plain = make([]byte, width+cell.TagBytes)
		}
		plain := l.plain[:width]
		l.ad = cell.MakeAD(&t.cfg.Cluster, cell.Down, t.cfg.Role, typ, t.cfg.Server)
		l.ad.SetEpoch(epoch)
		l.ad.SetAttempt(attempt)
		cell.PutDownNonce(&l.nonce, epoch, attempt, typ)
		stride := gap + width + cell.TagBytes
		for i := len(to) * p / parts; i < len(to)*(p+1)/parts; i++ {
			e := t.entry(to[i])
			clear(plain)
			compose(e.client, plain)
			l.ad.SetClient(e.client)
			out := dst[i*stride+gap : i*stride+gap : (i+1)*stride]
			t.cfg.AEAD(&e.down).Seal(out, l.nonce[:], plain, l.ad[:])
		}
	})
}
