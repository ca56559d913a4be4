package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
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
