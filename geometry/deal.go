package geometry

// This file says where rows lie: the chunks of the deal, and the offsets of
// sections and links in the tables of those who send and receive them. All
// offsets are in rows; the parts of a table tile it in order, without gaps.

// Chunks returns the number of chunks in which ingestion server i deals: of
// ChunkRecords rows each, the last one shorter, if that adds at most 2 % to every
// section (see chunksAreCheap), else one; none if it has no records.
func (a *Attempt) Chunks(i int) int {
	n := a.records[i]
	if n == 0 {
		return 0
	}
	if a.chunk == 0 {
		return 1
	}
	return (n + a.chunk - 1) / a.chunk
}

// TotalChunks returns C, the chunks of all ingestion servers.
func (a *Attempt) TotalChunks() int { return a.chunks }

// Chunk returns the records [from, to) of chunk c of ingestion server i, which
// are also the positions that it deals: positions run on across chunks.
func (a *Attempt) Chunk(i, c int) (from, to int) {
	if a.chunk == 0 {
		return 0, a.records[i]
	}
	return c * a.chunk, min((c+1)*a.chunk, a.records[i])
}

// ChunkSection returns how many positions of chunk c of ingestion server i go to
// router r.
func (a *Attempt) ChunkSection(i, c, r int) int {
	from, to := a.Chunk(i, c)
	return a.g.count(r, to) - a.g.count(r, from)
}

// DealRows returns the rows that ingestion server i deals to router r, over all
// its chunks: n_i*w_r/W, exactly.
func (a *Attempt) DealRows(i, r int) int {
	return a.records[i] / len(a.g.pattern) * len(a.g.slots[r])
}

// DealOffset returns where router r's section starts in chunk c of ingestion
// server i, counted from the chunk's start, once it is split by router.
func (a *Attempt) DealOffset(i, c, r int) int {
	from, to := a.Chunk(i, c)
	offset := 0
	for q := range r {
		offset += a.g.count(q, to) - a.g.count(q, from)
	}
	return offset
}

// RouterOffset returns where the rows of ingestion server i start among the
// RouterRows that router r receives.
func (a *Attempt) RouterOffset(i, r int) int {
	offset := 0
	for j := range i {
		offset += a.DealRows(j, r)
	}
	return offset
}

// RouterChunkOffset returns where chunk c of ingestion server i starts among the
// RouterRows that router r receives.
func (a *Attempt) RouterChunkOffset(i, c, r int) int {
	from, _ := a.Chunk(i, c)
	return a.RouterOffset(i, r) + a.g.count(r, from)
}

// SectionOffset returns where the section for storage server d starts among the
// SectionRows that router r sends.
func (a *Attempt) SectionOffset(r, d int) int { return a.sections[r][d] }

// StoreOffset returns where router r's section starts among the StoreRows that
// storage server d receives.
func (a *Attempt) StoreOffset(r, d int) int { return a.stores[d][r] }

// HeaderLinkOffset returns where the link to router r starts among the
// HeaderRows that ingestion server i sends.
func (a *Attempt) HeaderLinkOffset(i, r int) int { return a.links[i][r] }

// HeaderOffset returns where the headers of ingestion server i start among the
// RouterHeaders that router r receives.
func (a *Attempt) HeaderOffset(i, r int) int { return a.routerLinks[r][i] }

// HeaderFrames returns the Headers frames from ingestion server i to router r,
// and as many Ranks frames go back. Frames are full but for the last; no rows, no
// frame.
func (a *Attempt) HeaderFrames(i, r int) int {
	return frames(a.HeaderLink(i, r), a.g.HeaderFrameRows())
}

// DealFrames returns the Deal frames of one chunk from ingestion server i to
// router r: a chunk's section is framed by itself, so that it can leave at once.
func (a *Attempt) DealFrames(i, c, r int) int {
	return frames(a.ChunkSection(i, c, r), a.g.FrameRows())
}

// SectionFrames returns the Section frames from router r to storage server d.
func (a *Attempt) SectionFrames(r, d int) int {
	return frames(a.Section(r, d), a.g.FrameRows())
}

func frames(rows, most int) int { return (rows + most - 1) / most }

// Deliveries returns the deliveries that storage server d makes in the attempt:
// one for each mailbox, whether its client is connected or not.
func (a *Attempt) Deliveries(d int) int { return a.shard[d] }

// DeliveryTableBytes returns the bytes of one epoch's deliveries of storage
// server d, sealed for sending or for keeping; DeliveryEpochs of them may be kept.
func (a *Attempt) DeliveryTableBytes(d int) int {
	return a.shard[d] * Sealed(a.g.DeliveryBytes())
}

// ResultTableBytes returns the bytes of one epoch's sealed results of ingestion
// server i.
func (a *Attempt) ResultTableBytes(i int) int {
	return a.ingesting[i] * Sealed(a.g.ResultBytes())
}

// LinkBytes returns the bytes that one server (not role index) sends another in
// the attempt in frames of the bulk kinds (Headers, Ranks, Deal, Section), their
// 64-byte headers included. A server sends itself nothing over a link: 0.
func (a *Attempt) LinkBytes(from, to int) int64 {
	if from == to {
		return 0
	}
	g := a.g
	sum, frames := 0, 0
	if i, ok := g.IngestionIndex(from); ok {
		if r, ok := g.RouterIndex(to); ok {
			sum += g.HeaderFrameBytes(a.HeaderLink(i, r)) + g.RowFrameBytes(a.DealRows(i, r))
			frames += a.HeaderFrames(i, r)
			for c := range a.Chunks(i) {
				frames += a.DealFrames(i, c, r)
			}
		}
	}
	if r, ok := g.RouterIndex(from); ok {
		if i, ok := g.IngestionIndex(to); ok {
			sum += g.RankFrameBytes(a.HeaderLink(i, r))
			frames += a.HeaderFrames(i, r)
		}
		if d, ok := g.StorageIndex(to); ok {
			sum += g.RowFrameBytes(a.Section(r, d))
			frames += a.SectionFrames(r, d)
		}
	}
	return int64(sum + frames*FrameHeaderBytes)
}
