package token

// Checker judges message cells at an ingestion server. It keeps its scratch
// from one batch to the next. Its methods must not be called at the same time.
type Checker struct {
	rules Rules
	keys  []Key
}

// NewChecker returns a Checker for the rules and the accepted key eras, of
// which there is at least one: MACs are computed under each of them for every
// cell.
func NewChecker(rules Rules, keys []Key) *Checker { return &Checker{rules: rules, keys: keys} }

// Tokens judges cells of the token channel.
func (c *Checker) Tokens(epoch uint64, dir *Directory, in Cells, out Tokens) error { return ErrSize }

// Passes judges cells of the ID channel.
func (c *Checker) Passes(epoch uint64, dir *Directory, in Cells, out Passes) error { return ErrSize }
