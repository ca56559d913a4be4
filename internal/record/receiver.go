package record

// Receiver fills a table from the payloads of several links, each of which has
// a public number of rows at a public place. Payloads may come in any order;
// one that comes again changes nothing.
type Receiver struct {
	links   []link
	waiting int
}

type link struct {
	at, rows int
	seen     map[uint32]struct{} // first rows that have come
}

// Reset makes the receiver wait for one link for each pair of offset and count.
func (r *Receiver) Reset(links int, span func(link int) (at, rows int)) {
	for len(r.links) < links {
		r.links = append(r.links, link{seen: map[uint32]struct{}{}})
	}
	r.links, r.waiting = r.links[:links], 0
	for i := range r.links {
		l := &r.links[i]
		l.at, l.rows = span(i)
		clear(l.seen)
		r.waiting += l.rows
	}
}

// Take says at which row of the table rows [first, first+rows) of a link go.
// It is not ok if they are not the link's; it is not fresh if they came before.
func (r *Receiver) Take(from int, first, rows uint32) (at int, fresh, ok bool) {
	if from < 0 || from >= len(r.links) || rows == 0 {
		return 0, false, false
	}
	l := &r.links[from]
	if int64(first)+int64(rows) > int64(l.rows) {
		return 0, false, false
	}
	if _, again := l.seen[first]; again {
		return 0, false, true
	}
	l.seen[first] = struct{}{}
	r.waiting -= int(rows)
	return l.at + int(first), true, true
}

// Complete reports whether all rows of all links have come.
func (r *Receiver) Complete() bool { return r.waiting == 0 }
