package simnet

import (
	"fmt"

	"github.com/teems-go/teems/internal/commit"
)

// Seen is one thing that the adversary sees: a frame's ends, size and public
// header, a write's name and size, a log line, a plaintext that a corrupt
// client received.
type Seen struct {
	Kind     string
	From, To string
	Size     int
	Text     string
}

// View is all that the adversary sees, in order.
type View struct {
	Seen []Seen
}

func (v *View) add(s Seen) { v.Seen = append(v.Seen, s) }

// Note adds something that a test lets the adversary see.
func (v *View) Note(s Seen) { v.add(s) }

// Difference says where two views part, or "" if they are the same.
func (v *View) Difference(o *View) string {
	for i := range min(len(v.Seen), len(o.Seen)) {
		if v.Seen[i] != o.Seen[i] {
			return fmt.Sprintf("event %d: %+v against %+v", i, v.Seen[i], o.Seen[i])
		}
	}
	if len(v.Seen) != len(o.Seen) {
		return fmt.Sprintf("%d events against %d", len(v.Seen), len(o.Seen))
	}
	return ""
}

// Disk is a server's durable state, in memory.
type Disk struct {
	files map[string][]byte
}

// NewDisk is an empty disk.
func NewDisk() *Disk { return &Disk{files: map[string][]byte{}} }

// Clone is a copy, as an adversary keeps one to give the server later.
func (d *Disk) Clone() *Disk {
	c := NewDisk()
	for name, b := range d.files {
		c.files[name] = b
	}
	return c
}

// Put implements commit.Store.
func (d *Disk) Put(name string, parts ...[]byte) error {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	d.files[name] = b
	return nil
}

// Get implements commit.Store.
func (d *Disk) Get(name string) ([]byte, error) {
	b, ok := d.files[name]
	if !ok {
		return nil, commit.ErrNotFound
	}
	return b, nil
}

// Delete implements commit.Store.
func (d *Disk) Delete(name string) error {
	delete(d.files, name)
	return nil
}

// recorded is a disk whose writes the adversary sees.
type recorded struct {
	*Disk
	server int
	view   *View
}

func (r recorded) Put(name string, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	r.view.add(Seen{Kind: "write", From: server1(r.server), Text: name, Size: size})
	return r.Disk.Put(name, parts...)
}

func (r recorded) Delete(name string) error {
	r.view.add(Seen{Kind: "delete", From: server1(r.server), Text: name})
	return r.Disk.Delete(name)
}
