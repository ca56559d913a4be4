package client

// EpochHead vouches for everything up to an epoch: it is a hash over all of it.
type EpochHead struct {
	Epoch uint64
	Hash  [32]byte
}

// headWindow is how many epochs back heads are remembered for comparison.
const headWindow = 4096

// heads are the heads that this client has seen. Two for one epoch show that
// the cluster has been cloned or set back.
type heads struct {
	newest EpochHead
	known  map[uint64][32]byte
}

func (h *heads) init(before *EpochHead) {
	h.known = map[uint64][32]byte{}
	if before != nil {
		h.newest = *before
		h.known[before.Epoch] = before.Hash
	}
}

// note takes a head from an authenticated cell. Error: ErrFork.
func (h *heads) note(epoch uint64, hash []byte) error {
	if old, ok := h.known[epoch]; ok {
		if old != [32]byte(hash) {
			return ErrFork
		}
		return nil
	}
	if epoch+headWindow < h.newest.Epoch {
		return nil
	}
	h.known[epoch] = [32]byte(hash)
	if epoch <= h.newest.Epoch {
		return nil
	}
	for e := range h.known {
		if e+headWindow < epoch {
			delete(h.known, e)
		}
	}
	h.newest = EpochHead{epoch, [32]byte(hash)}
	return nil
}

// Head returns the newest head, to be given to the next start of this client.
func (c *Client) Head() EpochHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads.newest
}
