package epoch

import (
	"errors"
	"io"

	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/record"
)

func (s *Server) header(kind Kind, part, rows int) Header {
	t := s.attempt
	return Header{Kind: kind, Epoch: t.epoch, Attempt: t.number, Part: uint32(part), Rows: uint32(rows), A: t.id}
}

// sendBytes sends n rows of a fixed width in frames of at most most rows.
func (s *Server) sendBytes(to int, kind Kind, data []byte, width, n, most int) {
	if to == s.cfg.Self {
		most = max(n, 1)
	}
	for from := 0; from < n; from += most {
		k := min(most, n-from)
		s.send(PeerFrame{To: to, Header: s.header(kind, from, k), Parts: [][]byte{data[from*width : (from+k)*width]}, lease: s.views})
	}
}

// sendRows sends rows of a table that has the lease; the first has the given
// number on its link.
func (s *Server) sendRows(to int, kind Kind, rows record.Table, first int, l *lease) {
	n, most := rows.Len(), s.cfg.Geometry.FrameRows()
	if to == s.cfg.Self {
		most = max(n, 1)
	}
	for from := 0; from < n; from += most {
		k := min(most, n-from)
		s.send(PeerFrame{To: to, Header: s.header(kind, first+from, k), Parts: rows.Payload(from, from+k), lease: l})
	}
}

// progress does all work whose input has come. What it does and in which order
// depends on which frames have come, which is public.
func (s *Server) progress() {
	for s.stopped == nil && s.attempt != nil {
		if len(s.inbox) > 0 {
			f := s.inbox[0]
			s.inbox = s.inbox[1:]
			s.bulk(s.cfg.Self, f)
			f.Sent()
			continue
		}
		if !s.step() {
			return
		}
	}
}

// step does one piece of work that is ready, if there is one.
func (s *Server) step() bool {
	t, g := s.attempt, s.cfg.Geometry
	switch {
	case t.prepared:
		return false
	case t.out.void:
		s.prepare()
	case !t.dealt && s.ingest.Complete():
		t.dealt = true
		if err := s.ingest.Deal(); err != nil {
			s.stop(err)
			return false
		}
		l := &lease{}
		for c := range t.at.Chunks(s.i) {
			for r, to := range g.Routers() {
				rows, first := s.ingest.Section(c, r)
				s.sendRows(to, Deal, rows, first, l)
			}
		}
		s.sending = append(s.sending, sending{l, s.ingest.Release()})
	case s.r >= 0 && !t.decided && s.route.HeadersComplete():
		t.decided = true
		s.route.Rank()
		for i, to := range g.Ingestions() {
			s.sendBytes(to, Ranks, s.route.Ranks(i), idchannel.RankBytes, t.at.HeaderLink(i, s.r), g.HeaderFrameRows())
		}
	case s.r >= 0 && !t.routed && s.route.Complete():
		t.routed = true
		s.route.Route()
		l := &lease{}
		for d, to := range g.Storages() {
			s.sendRows(to, Section, s.route.Section(d), 0, l)
		}
		s.sending = append(s.sending, sending{l, s.route.Release()})
	case !t.placed && s.store.Complete():
		t.placed = true
		t.out.boxes = s.store.Place()
	case t.dealt && (s.r < 0 || t.routed) && t.placed && all(t.heard):
		for _, c := range t.changes {
			t.out.changes = append(t.out.changes, c...)
		}
		s.prepare()
	default:
		return false
	}
	return true
}

func all(b []bool) bool {
	for _, x := range b {
		if !x {
			return false
		}
	}
	return true
}

// prepare makes the outcome durable and votes for it.
func (s *Server) prepare() {
	t := s.attempt
	t.prepared = true
	var tag commit.Tag
	if _, err := io.ReadFull(s.cfg.Random, tag[:]); err != nil {
		s.stop(err)
		return
	}
	s.prepared[t.number] = t.out
	err := s.commit.Prepare(t.number, t.id, tag, t.out.parts(&s.scratch)...)
	if errors.Is(err, commit.ErrNotBegun) || errors.Is(err, commit.ErrAttempt) || errors.Is(err, commit.ErrDecided) {
		// The attempt is dead: another one counts, or began. Nothing was said.
		delete(s.prepared, t.number)
		s.dropped = append(s.dropped, t.out)
		return
	}
	if err != nil {
		s.stop(err)
		return
	}
	s.votes()
}
