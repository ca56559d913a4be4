package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const output = `goos: linux
pkg: github.com/teems-go/teems/internal/oblivious
BenchmarkCopy/256/w1/n2^14-2   5  100 ns/op  5.0 ns/record
BenchmarkCopy/256/w1/n2^14-2   5  100 ns/op  9.0 ns/record
BenchmarkCopy/256/w1/n2^14-2   5  100 ns/op  6.0 ns/record
BenchmarkCopy/256/w1/n2^18-2   5  100 ns/op  9.5 ns/record
BenchmarkPlace/256/AVX-512/w1/n2^18-2   5  100 ns/op  211 ns/record
BenchmarkSort/8/AVX-512/w1/n2^18  5  100 ns/op  6.3 ns/record
PASS
`

func TestMedians(t *testing.T) {
	m := medians{}
	if err := m.read(strings.NewReader(output), "test"); err != nil {
		t.Fatal(err)
	}
	copies := m.points("Copy/256/w1")
	if len(copies) != 2 || copies[0].X != 1<<14 || copies[0].Y != 6 || copies[1].Y != 9.5 {
		t.Errorf("copies: %v", copies)
	}
	if p := m.points("Place/256/AVX-512/w1"); len(p) != 1 || p[0].Y != 211 {
		t.Errorf("placement: %v", p)
	}
	if p := m.points("Sort/8/AVX-512/w1"); len(p) != 1 || p[0].Y != 6.3 {
		t.Errorf("a name without a number of processors: %v", p)
	}
}

func TestRun(t *testing.T) {
	in, out := filepath.Join(t.TempDir(), "bench.txt"), t.TempDir()
	if err := os.WriteFile(in, []byte(output), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{in}, out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bodies.svg", "bodies.png", "implementations.svg", "headers.png"} {
		if s, err := os.Stat(filepath.Join(out, name)); err != nil || s.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadInput(t *testing.T) {
	in := filepath.Join(t.TempDir(), "empty.txt")
	if err := os.WriteFile(in, []byte("PASS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][]string{"none": nil, "missing": {in + "x"}, "empty": {in}} {
		if err := run(files, t.TempDir()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
