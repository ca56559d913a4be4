package cell

import "github.com/teems-go/teems/geometry"

// Assignment is a server of a client's, by its index in the manifest, and its role
// towards the client. Public.
type Assignment struct {
	Role   uint8
	Server int
}

// Assignments returns where a public client submits and where its mailbox is: at two
// servers, ingestion first, or at one in the joint role.
func Assignments(g *geometry.Geometry, client uint32) []Assignment {
	i, d := g.ServersOf(client)
	if i == d {
		return []Assignment{{RoleJoint, i}}
	}
	return []Assignment{{RoleIngestion, i}, {RoleStorage, d}}
}

// UpType is the type of the cells that a client sends to a server of a role.
func UpType(role uint8) uint16 {
	return [...]uint16{0, TypeSubmission, TypeControl, TypeJointSubmission}[role&RoleJoint]
}

// DownType is the type of the cells that a client gets for each epoch from a
// server of a role.
func DownType(role uint8) uint16 {
	return [...]uint16{0, TypeResult, TypeDelivery, TypeJointDelivery}[role&RoleJoint]
}

// UpBytes is the length of the plaintext of such a cell from a client.
func UpBytes(g *geometry.Geometry, role uint8) int {
	return [...]int{0, g.SubmissionBytes(), g.ControlBytes(), g.JointSubmissionBytes()}[role&RoleJoint]
}

// DownBytes is the length of the plaintext of such a cell to a client.
func DownBytes(g *geometry.Geometry, role uint8) int {
	return [...]int{0, g.ResultBytes(), g.DeliveryBytes(), g.JointDeliveryBytes()}[role&RoleJoint]
}

// CutUp cuts the plaintext of a cell from a client into its submission and its
// control cell, either of them nil if the role has none.
func CutUp(g *geometry.Geometry, role uint8, plain []byte) (Submission, Control) {
	a, b := cut(role, g.SubmissionBytes(), plain)
	return a, b
}

// CutDown cuts the plaintext of a cell to a client into its result and its
// delivery, either of them nil if the role has none.
func CutDown(g *geometry.Geometry, role uint8, plain []byte) (Result, Delivery) {
	a, b := cut(role, g.ResultBytes(), plain)
	return a, b
}

// cut cuts a plaintext into ingestion's part, of so many bytes if it is not all,
// and storage's.
func cut(role uint8, at int, plain []byte) (ingestion, storage []byte) {
	switch role & RoleJoint {
	case RoleIngestion:
		return plain, nil
	case RoleStorage:
		return nil, plain
	}
	return plain[:at:at], plain[at:]
}
