package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func openInbox(t *testing.T, path string) *FileInbox {
	t.Helper()
	b, err := OpenFileInbox(path, testManifest(t, nil))
	must(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// note is a delivery of some texts.
func note(epoch uint64, texts ...string) Delivery {
	d := Delivery{Epoch: epoch}
	for i, s := range texts {
		d.Messages = append(d.Messages, Message{Epoch: epoch, Cell: i, From: Address{Cluster: [4]byte{9}, ID: 1}, Channel: TokenChannel, Slot: 2, Body: []byte(s)})
	}
	return d
}

// files is what an inbox's folder holds, by length.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	all := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
		all[e.Name()] = info.Size()
	}
	return all
}

func appendTo(t *testing.T, path, torn string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(torn)
	must(t, err)
	must(t, f.Close())
}

func TestFileInbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	next := func(want string) {
		t.Helper()
		m, err := b.Receive(within(t))
		if err != nil || string(m.Body) != want || m.Channel != TokenChannel || m.Slot != 2 || m.From != (Address{[4]byte{9}, 1}) || m.Contact {
			t.Errorf("%+v %v, want %q", m, err, want)
		}
	}
	must(t, b.Put(note(3, "a", "b")))
	must(t, b.Put(note(4)))
	next("a")
	for _, torn := range []string{"", "torn"} {
		must(t, b.Close())
		_, err := b.Receive(within(t))
		wantErr(t, err, fs.ErrClosed)
		wantErr(t, b.Put(note(9)), fs.ErrClosed)
		for name := range files(t, path) {
			appendTo(t, filepath.Join(path, name), torn)
		}
		b = openInbox(t, path)
		if newest, err := b.Newest(); newest != 4 || err != nil {
			t.Errorf("newest is %d, %v", newest, err)
		}
		m, err := b.Peek(within(t))
		if err != nil || string(m.Body) != "b" {
			t.Errorf("%+v %v", m, err)
		}
	}
	must(t, b.Put(note(5, "c")))
	next("b")
	next("c")
	must(t, b.Remove(note(5, "c").Messages[0])) // again
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Receive(ctx)
	wantErr(t, err, context.Canceled)
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	for name, d := range map[string]Delivery{
		"an old epoch": note(5), "a cell that is none": {Epoch: 9, Messages: []Message{{Epoch: 9, Cell: 9}}},
		"a long body": note(9, strings.Repeat("x", 61)), "another epoch's message": {Epoch: 9, Messages: note(8, "x").Messages},
	} {
		if err := b.Put(d); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, b.Close())
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err = OpenFileInbox(file, testManifest(t, nil))
	wantErr(t, err, ErrInbox)
}

// TestPutCostsTheSame: after every Put the files are as long for a delivery of
// dummies as for a full one, read or not; and no reader holds it up.
func TestPutCostsTheSame(t *testing.T) {
	var grown [2][]string
	for busy := range 2 {
		path := filepath.Join(t.TempDir(), "inbox")
		b := openInbox(t, path)
		for epoch := uint64(1); epoch <= segmentDeliveries-1; epoch++ {
			d := note(epoch)
			if busy == 1 {
				d = note(epoch, "", strings.Repeat("x", 60), "b", "c", "d", "e", "f", "g")
				d.Malformed, d.Missed = int(epoch), epoch
			}
			must(t, b.Put(d))
			if busy == 1 && epoch%2 == 0 {
				_, err := b.Receive(within(t))
				must(t, err)
			}
			sizes := files(t, path)
			delete(sizes, "00000000000000000000.removed")
			grown[busy] = append(grown[busy], fmt.Sprint(sizes))
		}
		b.removing.Lock() // as Remove does while it writes
		for epoch := uint64(segmentDeliveries); epoch <= 3*segmentDeliveries; epoch++ {
			must(t, b.Put(note(epoch)))
		}
		b.removing.Unlock()
	}
	for i := range grown[0] {
		if grown[0][i] != grown[1][i] {
			t.Fatalf("after %d deliveries: %s without messages, %s with", i+1, grown[0][i], grown[1][i])
		}
	}
}

// TestFileInboxStaysSmall: files without messages go, what was not removed stays.
func TestFileInboxStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	const epochs = 10 * segmentDeliveries
	kept := func(epoch uint64) bool { return epoch%(3*segmentDeliveries) == 5 }
	for epoch := uint64(1); epoch <= epochs; epoch++ {
		d := note(epoch, fmt.Sprint(epoch), "goes")
		must(t, b.Put(d))
		must(t, b.Remove(d.Messages[1]))
		if !kept(epoch) {
			must(t, b.Remove(d.Messages[0]))
		}
	}
	must(t, b.Close())
	b = openInbox(t, path)
	if all := files(t, path); len(all) > 2*(4+2) { // a pair for each that is kept, and the newest two
		t.Errorf("%v", all)
	}
	if newest, _ := b.Newest(); newest != epochs {
		t.Errorf("newest is %d", newest)
	}
	for epoch := uint64(1); epoch <= epochs; epoch++ {
		if !kept(epoch) {
			continue
		}
		m, err := b.Receive(within(t))
		if err != nil || string(m.Body) != fmt.Sprint(epoch) {
			t.Fatalf("%q %v", m.Body, err)
		}
	}
	for epoch := uint64(epochs + 1); epoch <= epochs+2*segmentDeliveries; epoch++ {
		must(t, b.Put(note(epoch)))
	}
	must(t, b.Close())
	b = openInbox(t, path)
	if all := files(t, path); len(all) > 2 {
		t.Errorf("%v", all)
	}
	if newest, _ := b.Newest(); newest != epochs+2*segmentDeliveries {
		t.Errorf("newest is %d", newest)
	}
}

// TestTornFiles: of what a crash cut off anywhere, or left as zeros, whole
// records count; a change before the end is damage.
func TestTornFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	must(t, b.Put(note(1, "a", "b", "c")))
	must(t, b.Put(note(2, "d")))
	for _, m := range note(1, "a", "b").Messages {
		must(t, b.Remove(m))
	}
	must(t, b.Close())
	base := segmentBase(path, 0)
	deliveries, err := os.ReadFile(base + deliveriesSuffix)
	must(t, err)
	removed, err := os.ReadFile(base + removedSuffix)
	must(t, err)
	record := b.layout.record()
	try := func(deliveries, removed []byte) (*FileInbox, error) {
		dir := filepath.Join(t.TempDir(), "inbox")
		must(t, os.Mkdir(dir, 0o700))
		base := segmentBase(dir, 0)
		must(t, os.WriteFile(base+deliveriesSuffix, deliveries, 0o600))
		must(t, os.WriteFile(base+removedSuffix, removed, 0o600))
		return OpenFileInbox(dir, testManifest(t, nil))
	}
	for n := 0; n <= len(deliveries); n += 37 {
		for _, zeros := range []int{0, (len(deliveries) - n) % record} {
			b, err := try(append(bytes.Clone(deliveries[:n]), make([]byte, zeros)...), removed)
			must(t, err)
			newest, _ := b.Newest()
			if want := max(0, n-segmentHeader) / record; newest != uint64(want) {
				t.Errorf("%d bytes and %d zeros: newest is %d, want %d", n, zeros, newest, want)
			}
			must(t, b.Put(note(3, "e")))
			must(t, b.Close())
			b = openInbox(t, b.dir)
			for range len(b.queue) - 1 {
				_, err := b.Receive(within(t))
				must(t, err)
			}
			if m, err := b.Receive(within(t)); err != nil || string(m.Body) != "e" {
				t.Errorf("%d bytes: the last is %q, %v", n, m.Body, err)
			}
			must(t, b.Close())
		}
	}
	for n := range len(removed) + 1 {
		b, err := try(deliveries, removed[:n])
		must(t, err)
		if want := 4 - n/removalBytes; len(b.queue) != want {
			t.Errorf("%d bytes of removals: %d messages, want %d", n, len(b.queue), want)
		}
		must(t, b.Close())
	}
	for n := 0; n < len(deliveries)-record; n += 11 {
		changed := bytes.Clone(deliveries)
		changed[n] ^= 4
		_, err := try(changed, removed)
		wantErr(t, err, ErrInbox)
	}
	changed := bytes.Clone(removed)
	changed[0] ^= 1
	_, err = try(deliveries, changed)
	wantErr(t, err, ErrInbox)
}

// TestOtherManifest: sizes may change; what was kept stays.
func TestOtherManifest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	must(t, b.Put(note(1, "a")))
	must(t, b.Close())
	m := *testManifest(t, nil)
	b, err := OpenFileInbox(path, &m)
	must(t, err)
	b.layout.body += 8 // as if cells were longer
	b.current.finished, b.segments, b.current = true, append(b.segments, b.current), nil
	long := strings.Repeat("x", 68)
	must(t, b.Put(note(2, long)))
	must(t, b.Close())
	b = openInbox(t, path)
	must(t, b.Put(note(3, "c")))
	for _, want := range []string{"a", long, "c"} {
		if m, err := b.Receive(within(t)); err != nil || string(m.Body) != want {
			t.Errorf("%q %v, want %q", m.Body, err, want)
		}
	}
}

// TestFullDisk: what could not be written does not count.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	must(t, b.Put(note(1, "a")))
	must(t, b.writing.file.Close())
	if err := b.Put(note(2, "b")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("written to a closed file: %v", err)
	}
	b = openInbox(t, path)
	if newest, err := b.Newest(); newest != 1 || err != nil {
		t.Errorf("newest is %d, %v", newest, err)
	}
}
