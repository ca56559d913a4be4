package client

import (
	"fmt"

	"github.com/teems-go/teems/internal/cell"
)

// Address is what a person gives to others to be reached. It is comparable.
type Address struct {
	Cluster [4]byte // first bytes of the cluster's id; tells clusters apart, proves nothing
	ID      uint32
}

// ParseAddress reads what String writes, with a checksum that finds typing
// mistakes. Error: ErrText.
func ParseAddress(text string) (Address, error) {
	a, err := cell.ReadAddress(text)
	if err != nil {
		return Address{}, textError(err)
	}
	return Address{Cluster: a.Cluster, ID: a.ID}, nil
}

// String is the text form: "teems1" and 19 characters.
func (a Address) String() string {
	return cell.Address{Cluster: a.Cluster, ID: a.ID}.String()
}

// MarshalText implements encoding.TextMarshaler, with the text of String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	read, err := ParseAddress(string(text))
	if err == nil {
		*a = read
	}
	return err
}

// grant is what tokens and passes have in common.
type grant struct {
	t       cell.Token
	cluster cell.Fingerprint
}

// Sender is who may send.
func (g *grant) Sender() Address { return Address{g.cluster, g.t.Sender} }

// Recipient is whom messages go to.
func (g *grant) Recipient() Address { return Address{g.cluster, g.t.Recipient} }

// First is the first epoch in which it is valid.
func (g *grant) First() uint64 { return g.t.E1 }

// End is the epoch from which on it is not valid.
func (g *grant) End() uint64 { return g.t.E2 }

// Text is the form to be handed over, in confidence: whoever reads it learns
// who may send to whom.
func (g *grant) Text() string {
	text, err := g.t.Text(g.cluster)
	if err != nil {
		return "invalid" // the zero value
	}
	return text
}

// Format prints nothing that should not be in a log, with any verb.
func (g grant) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "grant for epochs %d to %d", g.t.E1, g.t.E2)
}

// Token lets one client send one message an epoch to another, on the token
// channel, where nothing is ever dropped.
type Token struct{ grant }

// Slot is the recipient's slot that it fills.
func (t *Token) Slot() int { return int(t.t.Slot) }

// Pass lets one client send to another on the ID channel as a contact, with a
// priority up to a ceiling.
type Pass struct{ grant }

// Ceiling is the highest priority that it admits.
func (p *Pass) Ceiling() uint32 { return p.t.Ceiling }

// ParseToken reads a token's text. Only a server can tell whether it is
// genuine. Errors: ErrText, ErrWrongCluster.
func (m *Manifest) ParseToken(text string) (*Token, error) {
	g, err := m.parse(text, cell.KindToken, "token")
	if err != nil {
		return nil, err
	}
	return &Token{g}, nil
}

// ParsePass reads a pass's text, like ParseToken.
func (m *Manifest) ParsePass(text string) (*Pass, error) {
	g, err := m.parse(text, cell.KindPass, "pass")
	if err != nil {
		return nil, err
	}
	return &Pass{g}, nil
}

func (m *Manifest) parse(text string, kind uint8, what string) (grant, error) {
	t, err := cell.ParseToken(text, m.fingerprint())
	if err != nil {
		return grant{}, textError(err)
	}
	if t.Kind != kind {
		return grant{}, fmt.Errorf("%w: this is not a %s", ErrText, what)
	}
	return grant{t, m.fingerprint()}, nil
}
