package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const header = "N,M,T,B,E,epoch_mean,epoch_stddev,epoch_max,wn_mean,wn_stddev,wn_max,bytes_mean,bytes_stddev,bytes_max," +
	"core_seconds_mean,routing_core_seconds_mean,rss_max,sent,delivered,lost,over_limit,channel,mode,overloaded,system,tee,cpu,commit"

func aResult(channel string, n int) Result {
	return Result{
		Row: Row{
			N: n, M: 4, T: 4, B: 256, E: 3, Epoch: Spread{0.5, 0.125, 0.75}, Bytes: Spread{1000, 1, 1001},
			CoreSeconds: 2, RoutingCoreSeconds: 1.5, RSSMax: 1 << 30, Sent: 100, Delivered: 90, OverLimit: 10,
			Channel: channel, Mode: Sockets, Overloaded: true, System: TEEMS, TEE: "simulated", CPU: "a machine, with 2 cores", Commit: "abc",
		},
		Raw:  []Raw{{Epoch: 1, Server: 0, EpochSeconds: 0.5}, {Epoch: 1, Server: 1, EpochSeconds: 0.5}},
		Seed: 7, Config: []byte(`{"clients":128}`),
	}
}

func silent(t *testing.T) func(string) {
	return func(s string) { t.Helper(); t.Errorf("said %q", s) }
}

func mustOpen(t *testing.T, dir string) *Results {
	t.Helper()
	b, err := Open(dir, silent(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	b := mustOpen(t, dir)
	for _, channel := range Channels { // there from the start
		data, err := os.ReadFile(filepath.Join(dir, channel+"-channel.csv"))
		if err != nil || string(data) != header+"\n" {
			t.Errorf("%q, %v", data, err)
		}
	}
	var want []Row
	for _, channel := range Channels {
		for _, n := range []int{1 << 15, 1 << 16} {
			r := aResult(channel, n)
			if err := b.Add(r); err != nil {
				t.Fatal(err)
			}
			want = append(want, r.Row)
		}
	}
	if got := mustOpen(t, dir).Rows(); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
	if got := b.Done(); len(got) != 4 || !got[want[0].Key()] {
		t.Errorf("%v", got)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "raw", "teems-id-N32768-M4-T4-B256.csv"))
	if err != nil || strings.Count(string(raw), "\n") != 3 {
		t.Errorf("%q, %v", raw, err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "raw", "teems-id-N32768-M4-T4-B256.json"))
	if err != nil || !strings.Contains(string(config), `"seed": 7`) || !strings.Contains(string(config), `"clients": 128`) {
		t.Errorf("%q, %v", config, err)
	}
}

// Wherever a file is cut off, the rows before the cut stay, and its last
// experiment runs again.
func TestCutOff(t *testing.T) {
	whole := t.TempDir()
	b := mustOpen(t, whole)
	for _, n := range []int{1 << 15, 1 << 16} {
		if err := b.Add(aResult(Token, n)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(whole, "token-channel.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size < len(data); size += 1 + size%17 {
		dir := t.TempDir()
		path := filepath.Join(dir, "token-channel.csv")
		if err := os.WriteFile(path, data[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		said := 0
		b, err := Open(dir, func(string) { said++ })
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		lines := strings.Count(string(data[:size]), "\n")
		if want := max(lines-1, 0); len(b.Rows()) != want {
			t.Fatalf("cut at %d: %d rows, want %d", size, len(b.Rows()), want)
		}
		cut := size > 0 && data[size-1] != '\n'
		if (said == 1) != cut {
			t.Fatalf("cut at %d: said %d things", size, said)
		}
		if err := b.Add(aResult(Token, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if got := len(mustOpen(t, dir).Rows()); got != len(b.Rows()) {
			t.Fatalf("cut at %d: then %d rows, want %d", size, got, len(b.Rows()))
		}
	}
}

func TestBadFiles(t *testing.T) {
	good := string(line(Columns()))
	row := aResult(ID, 8).Row
	one := string(line(row.Fields()))
	for name, c := range map[string]struct{ content, say string }{
		"another file":      {"a,b,c\n1,2,3\n", "header"},
		"not even a line":   {"#!/bin/sh", "header"},
		"a broken row":      {good + "1,2,3\n" + one, "line 2"},
		"words for numbers": {good + strings.Replace(one, "8,4", "x,4", 1) + one, "N is"},
		"a later version":   {strings.TrimSuffix(good, "\n") + ",colour\n", "another version"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "id-channel.csv")
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, silent(t))
		if !errors.Is(err, ErrData) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != c.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// A last line that is whole but nonsense, as a crash may leave it, is dropped.
func TestNonsenseAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	row := aResult(ID, 8).Row
	content := string(line(Columns())) + string(line(row.Fields())) + "\x00\x00\x00\n"
	if err := os.WriteFile(filepath.Join(dir, "id-channel.csv"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	said := 0
	b, err := Open(dir, func(string) { said++ })
	if err != nil || said != 1 || len(b.Rows()) != 1 {
		t.Errorf("%v, said %d things, %d rows", err, said, len(b.Rows()))
	}
}

func TestBadRowsAreRefused(t *testing.T) {
	b := mustOpen(t, t.TempDir())
	for _, change := range []func(*Row){
		func(r *Row) { r.Lost = 1 }, func(r *Row) { r.Delivered-- }, func(r *Row) { r.E = 0 },
		func(r *Row) { r.CoreSeconds, r.RoutingCoreSeconds = 0.360, 0.458 },
	} {
		r := aResult(ID, 8)
		change(&r.Row)
		if err := b.Add(r); !errors.Is(err, ErrRun) {
			t.Errorf("%v", err)
		}
	}
	if len(b.Rows()) != 0 {
		t.Error("a row was kept")
	}
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	dir := t.TempDir()
	b := mustOpen(t, dir)
	path := filepath.Join(dir, "id-channel.csv")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	err := b.Add(aResult(ID, 8))
	if !errors.Is(err, ErrData) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("%v", err)
	}
}
