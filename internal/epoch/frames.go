package epoch

import (
	"encoding/binary"
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/idchannel"
)

// Frame takes a frame from another server. Frames of another attempt are
// discarded, but for those of an attempt that this server has yet to begin,
// which are kept until then. The payload may be reused when Frame returns.
func (s *Server) Frame(from int, h Header, payload []byte) {
	if s.stopped != nil || from < 0 || from >= len(s.peers) || from == s.cfg.Self {
		return
	}
	switch h.Kind {
	case Sync:
		s.sync(from, payload)
	case Prepared, Committed:
		s.vote(from, h, payload)
	default:
		t := s.attempt
		if t != nil && t.epoch == h.Epoch && t.number == h.Attempt && t.id == h.A {
			s.bulk(from, PeerFrame{Header: h, Parts: [][]byte{payload}})
			s.progress()
			return
		}
		s.keepEarly(from, h, payload)
	}
}

// bulk gives a frame of the current attempt to the machine that it is for.
func (s *Server) bulk(from int, f PeerFrame) {
	g, t, h := s.cfg.Geometry, s.attempt, f.Header
	if t == nil || t.id != h.A || t.out.void {
		return
	}
	var err error
	switch h.Kind {
	case Headers:
		if i, ok := g.IngestionIndex(from); ok && s.r >= 0 {
			err = s.route.Headers(i, h.Part, h.Rows, f.Parts[0])
		}
	case Ranks:
		if r, ok := g.RouterIndex(from); ok && s.i >= 0 {
			err = s.ingest.Ranks(r, h.Part, h.Rows, f.Parts[0])
		}
	case Deal:
		if i, ok := g.IngestionIndex(from); ok && s.r >= 0 {
			s.reclaim()
			heads, bodies := columns(f)
			err = s.route.Deal(i, h.Part, h.Rows, heads, bodies)
		}
	case Section:
		if r, ok := g.RouterIndex(from); ok && s.d >= 0 {
			s.reclaim()
			heads, bodies := columns(f)
			err = s.store.Section(r, h.Part, h.Rows, heads, bodies)
		}
	case Members:
		if d, ok := g.StorageIndex(from); ok && !t.heard[d] {
			changes, ok := parseChanges(f.Parts[0])
			if ok && len(changes) == int(h.Rows) {
				t.heard[d], t.changes[d] = true, changes
			}
		}
	}
	if err != nil {
		s.log("server " + number(uint64(from)) + " sent a frame that does not fit: " + err.Error())
	}
}

// sync compares histories with a peer whose link came up.
func (s *Server) sync(from int, payload []byte) {
	if len(payload) != geometry.SyncBytes {
		return
	}
	var head commit.EpochHead
	copy(head[:], payload[8:])
	err := s.commit.CheckHead(from, binary.LittleEndian.Uint64(payload), head)
	if err != nil {
		s.log("server " + number(uint64(from)) + ": " + err.Error())
	}
	s.votes()
}

func syncPayload(epoch uint64, head commit.EpochHead) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, epoch), head[:]...)
}

func (s *Server) vote(from int, h Header, payload []byte) {
	v := commit.Vote{Kind: commit.Prepared, Epoch: h.Epoch, Attempt: h.Attempt, A: h.A}
	if h.Kind == Committed {
		v.Kind = commit.Committed
	}
	if len(payload)%geometry.PreparedBytes != 0 {
		return
	}
	for ; len(payload) > 0; payload = payload[geometry.PreparedBytes:] {
		v.Tags = append(v.Tags, commit.Tag(payload[:geometry.PreparedBytes]))
	}
	if err := s.commit.Step(from, v); errors.Is(err, commit.ErrVote) {
		s.log("server " + number(uint64(from)) + ": " + err.Error())
	}
	s.votes()
}

// keepEarly keeps a frame of an attempt that this server has yet to begin: its
// peers may have heard the coordinator first. Of every peer those of one
// attempt are kept, the newest; that bounds them by what a peer sends in an
// attempt.
func (s *Server) keepEarly(from int, h Header, payload []byte) {
	now := s.commit.Epoch()
	if h.Epoch != now && h.Epoch != now+1 {
		return
	}
	if t := s.attempt; t != nil && t.epoch == h.Epoch && h.Attempt <= t.number {
		return
	}
	if len(payload) > geometry.FrameLimit && h.Kind != Members || int(h.Rows) > len(payload)/idchannel.RankBytes && h.Rows > 0 {
		return
	}
	kept := s.early[:0]
	for _, e := range s.early {
		if e.from == from && before(h, e.header) {
			return
		}
		if e.from != from || !before(e.header, h) {
			kept = append(kept, e)
		}
	}
	s.early = append(kept, earlyFrame{from, h, append([]byte(nil), payload...)})
}

// before orders frames by attempt.
func before(a, b Header) bool {
	return a.Epoch < b.Epoch || a.Epoch == b.Epoch && a.Attempt < b.Attempt
}

// replayEarly takes the early frames of the attempt that has begun, and forgets
// those of the past.
func (s *Server) replayEarly() {
	t := s.attempt
	early := s.early
	s.early = nil
	for _, e := range early {
		switch {
		case e.header.A == t.id:
			s.bulk(e.from, PeerFrame{Header: e.header, Parts: [][]byte{e.payload}})
		case before(Header{Epoch: t.epoch, Attempt: t.number}, e.header):
			s.early = append(s.early, e)
		}
	}
}
