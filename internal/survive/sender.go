package survive

// Workers is a stand-in until package oblivious exists.
type Workers = any

// Sender is the ingestion server's side. It keeps its scratch from one attempt
// to the next. Its methods must not be called at the same time.
type Sender struct {
}

// NewSender returns a Sender that works with w and draws from prf.
func NewSender(w Workers, prf PRF) *Sender { return &Sender{} }

// Prepare makes and trims the headers of in and lays out all sections.
func (s *Sender) Prepare(p Plan, epoch uint64, a [32]byte, in Records) error { return ErrSize }

// Section returns what goes to router r: L(i,r) rows of RowBytes. It is valid
// until the next Prepare.
func (s *Sender) Section(r int) []byte { return nil }

// Ranks returns the buffer for router r's answer, RankBytes per row of
// Section(r) and in its order; the caller fills it before Cells.
func (s *Sender) Ranks(r int) []byte { return nil }

// Cells writes the cell of each record in the order of Prepare's input: the
// rank for contacts, k_contact + rank for strangers, or Dropped.
func (s *Sender) Cells(out []uint32) error { return ErrSize }

// Decider is the routing server's side. It keeps its scratch from one attempt
// to the next. Its methods must not be called at the same time.
type Decider struct {
}

// NewDecider returns a Decider that works with w.
func NewDecider(w Workers) *Decider { return &Decider{} }

// Begin returns the buffer for the headers of all ingestion servers, rows of
// RowBytes, one section after the other; the caller fills it before Decide.
func (d *Decider) Begin(rows int) []byte { return nil }

// Decide returns RankBytes per row in the order of the rows: the rank of each
// header within its recipient and class, or Dropped. It is valid until the next
// Decide.
func (d *Decider) Decide(k Classes) []byte { return nil }
