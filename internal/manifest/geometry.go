package manifest

import (
	"fmt"

	"github.com/teems-go/teems/geometry"
)

// Params returns the parameters in the form that package geometry takes.
func (m *Manifest) Params() (geometry.Params, error) {
	p := m.Parameters
	out := geometry.Params{
		Capacity:      p.Capacity,
		VirtualShards: p.VirtualShards,
		CellBytes:     p.CellBytes,
		ID: geometry.IDChannel{
			Out:      p.IDChannel.Out,
			Contact:  p.IDChannel.Contacts,
			Stranger: p.IDChannel.Strangers,
			Open:     p.IDChannel.Priority == PriorityOpen,
		},
		Token:          geometry.TokenChannel{Out: p.TokenChannel.Out, In: p.TokenChannel.In},
		TokenEpochs:    p.TokenEpochs,
		HorizonEpochs:  p.HorizonEpochs,
		DeliveryEpochs: p.DeliveryEpochs,
		Attempts:       p.Attempts,
	}
	if q := p.IDChannel.Priority; q != PriorityPasses && q != PriorityOpen {
		return geometry.Params{}, fmt.Errorf("%w: the ID channel's priority is %.80q: write %q or %q", ErrInvalid, q, PriorityPasses, PriorityOpen)
	}
	for _, s := range m.Servers {
		roles, err := s.roles()
		if err != nil {
			return geometry.Params{}, err
		}
		out.Servers = append(out.Servers, geometry.Server{Roles: roles, Weight: s.Weight})
	}
	return out, nil
}

// Geometry returns the geometry that the parameters and servers make.
func (m *Manifest) Geometry() (*geometry.Geometry, error) {
	p, err := m.Params()
	if err != nil {
		return nil, err
	}
	g, err := geometry.New(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return g, nil
}

var roleBits = map[Role]geometry.Role{
	Ingestion: geometry.Ingestion,
	Routing:   geometry.Routing,
	Storage:   geometry.Storage,
}

// roles returns the roles as a set; each may be listed once.
func (s Server) roles() (geometry.Role, error) {
	var set geometry.Role
	for _, r := range s.Roles {
		bit, ok := roleBits[r]
		if !ok {
			return 0, fmt.Errorf("%w: server %q has the role %.80q: roles are %q, %q and %q", ErrInvalid, s.Name, r, Ingestion, Routing, Storage)
		}
		if set&bit != 0 {
			return 0, fmt.Errorf("%w: server %q has the role %q twice", ErrInvalid, s.Name, r)
		}
		set |= bit
	}
	if set == 0 {
		return 0, fmt.Errorf("%w: server %q has no role: roles are %q, %q and %q", ErrInvalid, s.Name, Ingestion, Routing, Storage)
	}
	return set, nil
}
