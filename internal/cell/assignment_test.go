package cell

import (
	"testing"

	"github.com/teems-go/teems/geometry"
)

// TestHomes: with one server for both there is one home, else two; and what is
// cut out of a joint cell are its two parts, whole.
func TestHomes(t *testing.T) {
	all, front, back := geometry.AllRoles, geometry.Ingestion|geometry.Routing, geometry.Storage
	for _, c := range []struct {
		servers []geometry.Server
		joint   func(client uint32) bool
	}{
		{[]geometry.Server{{Roles: all, Weight: 1}, {Roles: all, Weight: 1}}, func(uint32) bool { return true }},
		{[]geometry.Server{{Roles: all, Weight: 1}, {Roles: all, Weight: 3}}, func(uint32) bool { return true }},
		{[]geometry.Server{{Roles: front, Weight: 1}, {Roles: back, Weight: 1}}, func(uint32) bool { return false }},
		{[]geometry.Server{{Roles: all, Weight: 1}, {Roles: back, Weight: 1}}, func(c uint32) bool { return c%2 == 0 }},
	} {
		g, err := geometry.New(geometry.Params{
			Servers: c.servers, Capacity: 64, CellBytes: 64, ID: geometry.IDChannel{Out: 1, Contact: 1, Stranger: 1}, Token: geometry.TokenChannel{Out: 2, In: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		for client := range uint32(64) {
			homes := Assignments(g, client)
			if joint := len(homes) == 1; joint != c.joint(client) {
				t.Fatalf("client %d of %v has the homes %v", client, c.servers, homes)
			}
			var roles uint8
			for _, h := range homes {
				if roles&h.Role != 0 {
					t.Fatalf("client %d has a role twice: %v", client, homes)
				}
				roles |= h.Role
				if i, ok := g.IngestionIndex(h.Server); h.Role&RoleIngestion != 0 && (!ok || i != g.IngestionOf(client)) {
					t.Errorf("client %d does not submit to server %d", client, h.Server)
				}
				if d, ok := g.StorageIndex(h.Server); h.Role&RoleStorage != 0 && (!ok || d != g.StorageOf(client)) {
					t.Errorf("client %d has no mailbox at server %d", client, h.Server)
				}
				s, k := CutUp(g, h.Role, make([]byte, UpBytes(g, h.Role)))
				r, d := CutDown(g, h.Role, make([]byte, DownBytes(g, h.Role)))
				if in := h.Role&RoleIngestion != 0; in && (len(s) != g.SubmissionBytes() || len(r) != g.ResultBytes()) || !in && (s != nil || r != nil) {
					t.Errorf("role %d has %d bytes of submission and %d of result", h.Role, len(s), len(r))
				}
				if in := h.Role&RoleStorage != 0; in && (len(k) != g.ControlBytes() || len(d) != g.DeliveryBytes()) || !in && (k != nil || d != nil) {
					t.Errorf("role %d has %d bytes of control cell and %d of delivery", h.Role, len(k), len(d))
				}
			}
			if roles != RoleJoint {
				t.Errorf("client %d has the roles %d", client, roles)
			}
		}
	}
}
