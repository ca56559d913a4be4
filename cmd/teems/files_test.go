package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/client"
)

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

func TestInboxKeepsWhatWasNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), inboxFile)
	b, err := openInbox(path)
	if err != nil {
		t.Fatal(err)
	}
	message := func(epoch uint64, text string) client.Message {
		return client.Message{Epoch: epoch, Body: []byte(text), Channel: client.IDChannel}
	}
	for _, d := range []client.Delivery{
		{Epoch: 3, Messages: []client.Message{message(3, "one"), message(3, "two")}}, {Epoch: 4}, {Epoch: 7, Missed: 2},
	} {
		if err := b.Put(d); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"one", "two"} {
		if b, err = openInbox(path); err != nil { // as the next command does
			t.Fatal(err)
		}
		if newest, err := b.Newest(); newest != 7 || err != nil {
			t.Errorf("newest %d, %v", newest, err)
		}
		m, err := b.oldest(t.Context(), nil)
		if err != nil || string(m.Body) != want || m.Epoch != 3 {
			t.Errorf("%+v, %v: want %q", m, err, want)
		}
		if err := b.remove(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if m, err := b.oldest(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an empty inbox gave %+v, %v", m, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openInbox(path); err == nil {
		t.Error("a damaged inbox was read")
	}
}

func TestInboxThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	b, err := openInbox(filepath.Join(dir, inboxFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(client.Delivery{Epoch: 1, Messages: []client.Message{{Epoch: 1}}}); err == nil {
		t.Error("Put must fail, or the cluster would forget the message")
	}
	if newest, _ := b.Newest(); newest != 0 {
		t.Errorf("newest %d after a failure", newest)
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockFile)
	say := func(string) {}
	first, err := lock(t.Context(), path, "it", 0, say)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(t.Context(), path, "it", 0, say); err == nil || !strings.Contains(err.Error(), "uses it") {
		t.Errorf("the second: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, first)
	second, err := lock(t.Context(), path, "it", 10*time.Second, say)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	second()
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"hello": "hello", "größer": "größer", "two\nlines": "two\nlines",
		"\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`, "\u009b31m": `"\u009b31m"`,
	} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		if err := replaceFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); string(b) != text || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("files are left: %v", all)
	}
	if err := writeNew(path, nil); err == nil {
		t.Error("writeNew replaced a file")
	}
}
