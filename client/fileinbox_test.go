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
	"testing"
)

func openInbox(t *testing.T, path string) *FileInbox {
	t.Helper()
	b, err := OpenFileInbox(path)
	must(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func TestFileInbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	note := func(epoch uint64, texts ...string) Delivery {
		d := Delivery{Epoch: epoch}
		for i, s := range texts {
			d.Messages = append(d.Messages, Message{Epoch: epoch, Cell: i, From: Address{ID: 1}, Channel: TokenChannel, Slot: 2, Body: []byte(s)})
		}
		return d
	}
	next := func(want string) {
		t.Helper()
		m, err := b.Receive(within(t))
		if err != nil || string(m.Body) != want || m.Channel != TokenChannel || m.Slot != 2 || m.From.ID != 1 {
			t.Errorf("%+v %v, want %q", m, err, want)
		}
	}
	must(t, b.Put(note(3, "a", "b")))
	must(t, b.Put(note(4)))
	next("a")
	for _, torn := range []string{"", `{"epoch":99,"mess`} {
		must(t, b.Close())
		_, err := b.Receive(within(t))
		wantErr(t, err, fs.ErrClosed)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		f.WriteString(torn)
		must(t, f.Close())
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
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Receive(ctx)
	wantErr(t, err, context.Canceled)
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	must(t, b.Close())
	must(t, os.WriteFile(path, []byte("{}\nnonsense\n{}\n"), 0o600))
	_, err = OpenFileInbox(path)
	wantErr(t, err, ErrInbox)
}

// TestFileInboxStaysSmall: what was removed goes, what was not stays.
func TestFileInboxStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	body := bytes.Repeat([]byte("x"), 10_000)
	for epoch := uint64(1); epoch <= 100; epoch++ {
		d := Delivery{Epoch: epoch, Messages: []Message{{Epoch: epoch, Body: body}, {Epoch: epoch, Cell: 1, Body: fmt.Append(nil, epoch)}}}
		must(t, b.Put(d))
		must(t, b.Remove(d.Messages[0]))
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2*compactBytes {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	must(t, b.Close())
	b = openInbox(t, path)
	for epoch := uint64(1); epoch <= 100; epoch++ {
		m, err := b.Receive(within(t))
		if err != nil || string(m.Body) != fmt.Sprint(epoch) {
			t.Fatalf("%q %v", m.Body, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// TestFullDisk: a line that could not be written whole does not count.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox")
	b := openInbox(t, path)
	must(t, b.Put(Delivery{Epoch: 1}))
	must(t, b.file.Close())
	if err := b.Put(Delivery{Epoch: 2}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("written to a closed file: %v", err)
	}
	b = openInbox(t, path)
	if newest, err := b.Newest(); newest != 1 || err != nil {
		t.Errorf("newest is %d, %v", newest, err)
	}
}
