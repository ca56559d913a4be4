package experiment

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/teems-go/teems/experiments"
)

// DefaultBandwidth is the bandwidth, in bits a second, at which the report adds
// the time to send bytes_max to every epoch of ours. Published rows hold it.
const DefaultBandwidth = 13e9

// PublishedMachine is the machine of the published results.
const PublishedMachine = "2x Intel Xeon 8380 2.7 GHz, 80 cores, SGX2"

// Figures lists the figures of the report.
var Figures = []int{7, 8}

// Source says where the points of a line are from.
type Source struct {
	Name    string // "published", "ours" or "Sparta-SB"
	Machine string
}

func (s Source) String() string { return s.Name + " (" + s.Machine + ")" }

// Point is a point of a figure.
type Point struct {
	N, M, T, B   int
	Mean, Stddev float64 // of the epoch, in seconds, the network's term included
	CoreSeconds  float64 // of all servers and gateways per epoch
	Mode         string
	Overloaded   bool
}

// CoreSecondsPerMillion returns the core-seconds per 2^20 messages.
func (p Point) CoreSecondsPerMillion() float64 {
	return p.CoreSeconds * (1 << 20) / float64(p.N)
}

// Series is one line of a figure.
type Series struct {
	Figure  int
	Channel string
	Source  Source
	Points  []Point // by N, then M, then T
}

// Report is all lines of all figures: by figure, then channel, then source with
// ours first, then the comparator, then what was published.
type Report struct {
	Bandwidth float64 // bits a second
	Series    []Series
}

// Load makes the report of a folder of results. What was published is read from
// the folder if it is there, else from the copy in the program. Lines that were
// cut off are left out and told to say. A bandwidth of 0 adds nothing.
func Load(dir fs.FS, bandwidth float64, say func(string)) (*Report, error) {
	rows, err := Read(dir, say)
	if err != nil {
		return nil, err
	}
	r := &Report{Bandwidth: bandwidth}
	for _, figure := range Figures {
		for _, channel := range Channels {
			r.Series = append(r.Series, series(rows, figure, channel, bandwidth)...)
			points, err := published(dir, figure, channel)
			if err != nil {
				return nil, err
			}
			r.Series = append(r.Series, Series{figure, channel, Source{"published", PublishedMachine}, points})
		}
	}
	return r, nil
}

// series picks the rows of a figure and sorts them by source.
func series(rows []Row, figure int, channel string, bandwidth float64) []Series {
	var out []Series
	for _, system := range []string{TEEMS, Sparta} {
		first := len(out)
		for i := range rows {
			r := &rows[i]
			if r.System != system || r.Channel != channel || !belongs(r, rows, figure) {
				continue
			}
			source := sourceOf(r)
			at := first
			for at < len(out) && out[at].Source != source {
				at++
			}
			if at == len(out) {
				out = append(out, Series{Figure: figure, Channel: channel, Source: source})
			}
			out[at].Points = append(out[at].Points, pointOf(r, bandwidth))
		}
	}
	for i := range out {
		sortPoints(out[i].Points)
	}
	return out
}

// belongs tells whether a row is of a figure; shrunk experiments are.
func belongs(r *Row, rows []Row, figure int) bool {
	if figure == 7 {
		return r.T == figure7Threads && (r.System == Sparta || r.M == figure7Servers)
	}
	if r.System == TEEMS {
		return r.T == figure8Threads
	}
	for i := range rows { // the comparator at its largest N
		if rows[i].System == r.System && rows[i].Channel == r.Channel && rows[i].N > r.N {
			return false
		}
	}
	return true
}

func sourceOf(r *Row) Source {
	name := "ours"
	if r.System == Sparta {
		name = "Sparta-SB"
	}
	machine := r.CPU
	if r.TEE != "" && r.TEE != "none" {
		machine += ", " + r.TEE
	}
	return Source{name, machine}
}

func pointOf(r *Row, bandwidth float64) Point {
	p := Point{N: r.N, M: r.M, T: r.T, B: r.B, Mean: r.Epoch.Mean, Stddev: r.Epoch.Stddev,
		CoreSeconds: r.CoreSeconds, Mode: r.Mode, Overloaded: r.Overloaded}
	if bandwidth > 0 {
		p.Mean += r.Bytes.Max * 8 / bandwidth
	}
	return p
}

func sortPoints(points []Point) {
	slices.SortStableFunc(points, func(a, b Point) int {
		for _, d := range []int{a.N - b.N, a.M - b.M, a.T - b.T} {
			if d != 0 {
				return d
			}
		}
		return 0
	})
}

// tableColumns are those of the tables and of the published files.
var tableColumns = []string{"N", "M", "T", "B", "epoch_mean", "epoch_stddev"}

// published reads the published points of a figure.
func published(dir fs.FS, figure int, channel string) ([]Point, error) {
	name := fmt.Sprintf("published-figure%d-%s.csv", figure, channel)
	data, err := fs.ReadFile(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = fs.ReadFile(experiments.Published(), name)
	}
	if err != nil {
		return nil, remedy(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(lines) == 0 || !slices.Equal(lines[0], tableColumns) {
		return nil, fmt.Errorf("%w: %s is not a CSV file with the columns %v: %v", ErrData, name, tableColumns, err)
	}
	var points []Point
	for n, l := range lines[1:] {
		var p Point
		var errs [6]error
		for i, v := range []*int{&p.N, &p.M, &p.T, &p.B} {
			*v, errs[i] = strconv.Atoi(l[i])
		}
		p.Mean, errs[4] = strconv.ParseFloat(l[4], 64)
		p.Stddev, errs[5] = strconv.ParseFloat(l[5], 64)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("%w: %s, line %d: %v", ErrData, name, n+2, err)
		}
		// Every server process had its cores to itself.
		p.CoreSeconds = p.Mean * float64(p.M*p.T)
		points = append(points, p)
	}
	return points, nil
}

// Tables prints the tables of both figures and channels.
func (r *Report) Tables(w io.Writer) error {
	var b bytes.Buffer
	for i, s := range r.Series {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "Figure %d, %s channel, %s\n", s.Figure, channelName(s.Channel), s.Source)
		c := csv.NewWriter(&b)
		_ = c.Write(tableColumns)
		for _, p := range s.Points {
			_ = c.Write([]string{strconv.Itoa(p.N), strconv.Itoa(p.M), strconv.Itoa(p.T), strconv.Itoa(p.B),
				strconv.FormatFloat(p.Mean, 'f', 3, 64), strconv.FormatFloat(p.Stddev, 'f', 3, 64)})
		}
		c.Flush()
	}
	_, err := w.Write(b.Bytes())
	return err
}

func channelName(channel string) string {
	if channel == ID {
		return "ID"
	}
	return channel
}
