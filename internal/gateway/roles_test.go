package gateway

import (
	"slices"
	"testing"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// joint is the role of every client's session where all servers have all roles.
const joint = cell.RoleJoint

// alike are servers with all roles: their clients are joint.
func alike(servers int) []geometry.Role {
	return slices.Repeat([]geometry.Role{geometry.AllRoles}, servers)
}

// separate are servers for ingestion and for storage: clients have two sessions.
func separate(pairs int) []geometry.Role {
	return slices.Repeat([]geometry.Role{geometry.Ingestion | geometry.Routing, geometry.Storage}, pairs)
}

func testGeometry(t testing.TB, roles []geometry.Role) *geometry.Geometry {
	t.Helper()
	p := geometry.Params{
		Capacity: 4096, CellBytes: 32, DeliveryEpochs: 8,
		ID:    geometry.IDChannel{Out: 1, Contact: 1, Open: true},
		Token: geometry.TokenChannel{Out: 1, In: 1},
	}
	for _, r := range roles {
		p.Servers = append(p.Servers, geometry.Server{Roles: r, Weight: 1})
	}
	g, err := geometry.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestRoles: a client attaches in the roles that its servers have for it, and in
// no other; and coordinators are told the role that it has.
func TestRoles(t *testing.T) {
	for name, servers := range map[string][]geometry.Role{"joint": alike(2), "separate": separate(1), "mixed": append(alike(1), geometry.Storage)} {
		t.Run(name, func(t *testing.T) {
			tr := newTrial(t, servers, nil)
			w, attached := tr.watch(), 0
			for id := range uint32(4) {
				homes := cell.Assignments(tr.geometry, id)
				for role := cell.RoleIngestion; role <= cell.RoleJoint; role++ {
					if !slices.ContainsFunc(homes, func(h cell.Assignment) bool { return h.Role == role }) {
						tr.start(role, id).refused(wire.CodeUnknownClient, true)
						continue
					}
					tr.attach(role, id).exchange(1)
					attached++
					w.until("its role", func() bool { return len(w.on) == attached && w.on[presenceKey{id, role}] })
				}
			}
			// Nor does a cell pass that is of another role than the session.
			for _, h := range cell.Assignments(tr.geometry, 9) {
				for role := cell.RoleIngestion; role <= cell.RoleJoint; role++ {
					if role == h.Role {
						continue
					}
					c := tr.attach(h.Role, 9)
					c.role = role
					c.write(c.cell(1, 1))
					c.refused(wire.CodeWrongSize, true)
				}
			}
			eventually(t, "only those are left that keep to their roles", func() bool {
				n := tr.gateway.Counters()
				return n.Clients == int64(attached) && n.Refused == int64(3*4-attached)
			})
		})
	}
}
