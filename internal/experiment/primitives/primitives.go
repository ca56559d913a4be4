// Command primitives draws the times of the oblivious primitives from the
// output of their benchmarks, as SVG and PNG:
//
//	go test -run '^$' -bench . -count 3 ./internal/oblivious | tee docs/benchmarks/primitives.txt
//	go run ./internal/experiment/primitives -out docs/benchmarks docs/benchmarks/primitives.txt
//
// A point is the median of all its runs. The same input gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/teems-go/teems/internal/experiment/figures"
)

func main() {
	out := flag.String("out", ".", "`folder` for the pictures")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: primitives [-out folder] file...\nDraws the output of the benchmarks in internal/oblivious.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(flag.Args(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "primitives:", err)
		os.Exit(1)
	}
}

func run(files []string, out string) error {
	if len(files) == 0 {
		return fmt.Errorf("no file with the benchmarks' output was named; see --help")
	}
	times := medians{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = times.read(f, name)
		f.Close()
		if err != nil {
			return err
		}
	}
	for _, p := range pictures {
		picture := p.of(times)
		if len(picture.Lines) == 0 {
			return fmt.Errorf("no benchmark of the picture %q is in the input; run go test -bench in internal/oblivious", p.name)
		}
		written, err := figures.WriteOne(out, p.name, picture)
		if err != nil {
			return err
		}
		for _, w := range written {
			fmt.Println(w)
		}
	}
	return nil
}

// line is a benchmark without the number of records: "Compact/256/AVX-512/w1".
type line string

// medians holds what was measured: by line and number of records, ns a record.
type medians map[line]map[int][]float64

// read takes the results of one file.
func (m medians) read(r io.Reader, name string) error {
	in := benchfmt.NewReader(r, name)
	for in.Scan() {
		result, ok := in.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		i := slices.IndexFunc(result.Values, func(v benchfmt.Value) bool { return v.OrigUnit == "ns/record" })
		if i < 0 {
			continue
		}
		head, size, ok := cutLast(result.Name.String(), "/n2^")
		if !ok {
			continue
		}
		size, _, _ = strings.Cut(size, "-") // GOMAXPROCS
		log, err := strconv.Atoi(size)
		if err != nil || log < 0 || log > 40 {
			continue
		}
		l := line(head)
		if m[l] == nil {
			m[l] = map[int][]float64{}
		}
		m[l][1<<log] = append(m[l][1<<log], result.Values[i].OrigValue)
	}
	return in.Err()
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// points are the medians of a line, by number of records.
func (m medians) points(l line) (points []figures.Point) {
	for n, all := range m[l] {
		slices.Sort(all)
		points = append(points, figures.Point{X: float64(n), Y: all[len(all)/2]})
	}
	slices.SortFunc(points, func(a, b figures.Point) int { return int(a.X - b.X) })
	return points
}

// picture is which lines are drawn together, and what they are called.
type picture struct {
	name, title string
	lines       [][2]string // line, legend
}

var pictures = []picture{
	{"bodies", "Moving bodies of 256 bytes, AVX-512, one worker", [][2]string{
		{"Copy/256/w1", "copy, unprotected"},
		{"Compact/256/AVX-512/w1", "compaction"},
		{"Split4/256/AVX-512/w1", "split into 4 sections"},
		{"Place/256/AVX-512/w1", "placement, each in its cell"},
		{"RecordSort/256/AVX-512/w1", "bitonic sort of whole records"},
	}},
	{"implementations", "Placement of bodies of 256 bytes, one worker", [][2]string{
		{"Place/256/AVX-512/w1", "AVX-512"},
		{"Place/256/AVX2/w1", "AVX2"},
		{"Place/256/portable/w1", "portable Go"},
		{"Copy/256/w1", "copy, unprotected"},
	}},
	{"headers", "Work on headers, AVX-512, one worker", [][2]string{
		{"Sort/8/AVX-512/w1", "sort of u64"},
		{"SortPairs/16/AVX-512/w1", "sort of pairs of u64"},
		{"SortHeaders/32/AVX-512/w1", "sort of 32-byte headers"},
		{"Destinations/4/AVX-512/w1", "destinations of a placement"},
	}},
}

func (p picture) of(m medians) figures.Picture {
	out := figures.Picture{Title: p.title, X: "records", Y: "CPU time, ns a record", XNames: power}
	for i, l := range p.lines {
		if points := m.points(line(l[0])); len(points) > 0 {
			out.Lines = append(out.Lines, figures.Line{Name: l[1], Points: points, Style: i})
		}
	}
	return out
}

func power(x float64) string { return fmt.Sprintf("2^%d", int(math.Round(math.Log2(x)))) }
