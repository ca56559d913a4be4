// Package figures draws the report's pictures as SVG and PNG: time against
// clients, time against cores, and core-seconds per 2^20 messages, for each
// channel. Lines differ in dash and mark as well as in grey, so that they can be
// told apart in black and white, and the legend says which machine each is from.
//
// A picture depends on the report alone: drawing it again gives the same bytes.
package figures

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/teems-go/teems/internal/experiment"
)

// Line is a line of a picture.
type Line struct {
	Name   string
	Points []Point
	Bare   bool // marks only
	Style  int  // a number of its own; the same in all pictures
}

// Point is a point with its standard deviation, 0 for none.
type Point struct{ X, Y, Stddev float64 }

// Picture is two logarithmic axes and lines.
type Picture struct {
	Title, X, Y string
	XNames      func(x float64) string // of the marks of the x axis; nil: plain numbers
	Lines       []Line
}

const (
	width  = 7 * vg.Inch
	height = 4.6 * vg.Inch
)

// Formats are the formats that Write makes, as the names of files end.
var Formats = []string{"svg", "png"}

// Pictures returns the pictures of a report by the names of their files, in
// order.
func Pictures(r *experiment.Report) (names []string, pictures []Picture) {
	for _, channel := range experiment.Channels {
		for _, figure := range experiment.Figures {
			names = append(names, fmt.Sprintf("figure%d-%s", figure, channel))
			pictures = append(pictures, times(r, figure, channel))
		}
		names = append(names, "core-seconds-"+channel)
		pictures = append(pictures, coreSeconds(r, channel))
	}
	return names, pictures
}

// Write draws all pictures of a report into a folder and returns the files.
func Write(dir string, r *experiment.Report) ([]string, error) {
	var files []string
	names, pictures := Pictures(r)
	for i, p := range pictures {
		written, err := WriteOne(dir, names[i], p)
		if err != nil {
			return files, err
		}
		files = append(files, written...)
	}
	return files, nil
}

// WriteOne draws one picture into a folder, in all formats.
func WriteOne(dir, name string, p Picture) ([]string, error) {
	var files []string
	for _, format := range Formats {
		data, err := Draw(p, format)
		if err != nil {
			return files, fmt.Errorf("drawing %s: %w", name, err)
		}
		path := filepath.Join(dir, name+"."+format)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return files, err
		}
		files = append(files, path)
	}
	return files, nil
}

func channelName(channel string) string {
	if channel == experiment.ID {
		return "ID channel"
	}
	return "token channel"
}

func times(r *experiment.Report, figure int, channel string) Picture {
	p := Picture{
		Title: fmt.Sprintf("Figure %d: time of an epoch, %s", figure, channelName(channel)),
		X:     "clients", Y: "seconds", XNames: powers,
	}
	if figure == 8 {
		p.X, p.XNames = "cores of all servers (M T)", nil
	}
	for _, s := range byMode(r.Series) {
		if s.Figure != figure || s.Channel != channel {
			continue
		}
		l := Line{Name: lineName(s, figure), Style: styleOf(s)}
		for _, q := range s.Points {
			x := float64(q.N)
			if figure == 8 {
				x = float64(q.M * q.T)
			}
			l.Points = append(l.Points, Point{x, q.Mean, q.Stddev})
		}
		p.Lines = append(p.Lines, l)
	}
	return p
}

// sources have one style each, wherever they are drawn. A second machine's line
// has the style of the first; the legend tells them apart.
var sources = []string{"ours", "Sparta-SB", "published"}

func styleOf(s experiment.Series) int {
	if s.Points[0].Mode == experiment.Sockets {
		return 2 * len(sources)
	}
	return max(slices.Index(sources, s.Source.Name), 0)
}

// byMode makes a line for each mode of the client simulator where a series has
// several: with clients' own connections an epoch costs other things. Series
// without points are left out.
func byMode(all []experiment.Series) []experiment.Series {
	var out []experiment.Series
	for _, s := range all {
		points := map[string][]experiment.Point{}
		var modes []string
		for _, p := range s.Points {
			if !slices.Contains(modes, p.Mode) {
				modes = append(modes, p.Mode)
			}
			points[p.Mode] = append(points[p.Mode], p)
		}
		for _, mode := range modes {
			s.Points = points[mode]
			out = append(out, s)
		}
	}
	return out
}

// lineName adds to the source what a reader has to know of the line.
func lineName(s experiment.Series, figure int) string {
	name, overloaded := s.Source.String(), false
	if s.Source.Name == "Sparta-SB" {
		name += ", data structure only"
	}
	low, high := s.Points[0].N, s.Points[0].N
	for _, p := range s.Points {
		overloaded = overloaded || p.Overloaded
		low, high = min(low, p.N), max(high, p.N)
	}
	if overloaded {
		name += ", overloaded cores"
	}
	switch s.Points[0].Mode {
	case experiment.Multiplexed:
		name += ", clients multiplexed"
	case experiment.Sockets:
		name += ", clients with connections of their own"
	}
	if figure == 8 && low == high && high < 1<<20 {
		name += fmt.Sprintf(", N = %s", powers(float64(high)))
	}
	return name
}

// coreSeconds shows the figure-7 lines, and of Figure 8 the runs with the
// fewest threads.
func coreSeconds(r *experiment.Report, channel string) Picture {
	p := Picture{
		Title: "Core-seconds per 2^20 messages, " + channelName(channel),
		X:     "clients", Y: "core-seconds", XNames: powers,
	}
	for _, s := range byMode(r.Series) {
		if s.Channel != channel {
			continue
		}
		l := Line{Name: lineName(s, 7), Bare: s.Figure == 8, Style: styleOf(s)}
		if l.Bare {
			l.Style += len(sources)
		}
		first := s.Points[0]
		for _, q := range s.Points {
			if s.Figure == 7 || q.M == first.M && q.T == first.T {
				l.Points = append(l.Points, Point{X: float64(q.N), Y: q.CoreSecondsPerMillion()})
			}
		}
		l.Name += fmt.Sprintf(", M=%d T=%d", first.M, first.T)
		p.Lines = append(p.Lines, l)
	}
	return p
}

func powers(x float64) string { return fmt.Sprintf("2^%.0f", math.Log2(x)) }

// style is how a line looks: grey level, dashes and mark.
type style struct {
	grey   uint8
	dashes []vg.Length
	mark   draw.GlyphDrawer
}

var styles = []style{
	{0, nil, draw.CircleGlyph{}},
	{90, []vg.Length{vg.Points(6), vg.Points(3)}, draw.SquareGlyph{}},
	{40, []vg.Length{vg.Points(2), vg.Points(2)}, draw.TriangleGlyph{}},
	{120, []vg.Length{vg.Points(8), vg.Points(2), vg.Points(2), vg.Points(2)}, draw.PlusGlyph{}},
	{20, []vg.Length{vg.Points(1), vg.Points(3)}, draw.CrossGlyph{}},
	{70, []vg.Length{vg.Points(4), vg.Points(4)}, draw.RingGlyph{}},
	{100, []vg.Length{vg.Points(10), vg.Points(4)}, draw.PyramidGlyph{}},
	{50, []vg.Length{vg.Points(3), vg.Points(1)}, draw.BoxGlyph{}},
}

// Draw returns a picture in a format.
func Draw(pic Picture, format string) ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = pic.Title, pic.X, pic.Y
	p.BackgroundColor = color.White
	p.Legend.Top = true
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(8), -vg.Points(4)
	p.Title.Padding = vg.Points(6)
	p.Legend.Padding = vg.Points(2)
	p.Legend.TextStyle.Font.Size = vg.Points(8)
	p.Legend.ThumbnailWidth = vg.Points(36)
	p.Add(grid())
	box := newExtent()
	for _, l := range pic.Lines {
		if err := addLine(p, l, styles[l.Style%len(styles)], box); err != nil {
			return nil, err
		}
	}
	if box.empty() {
		box.add(1, 1)
	}
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Min, p.X.Max = box.x[0]/1.1, box.x[1]*1.1
	p.Y.Min, p.Y.Max = floor125(box.y[0]/1.05), ceil125(box.y[1]*math.Pow(1.8, float64(1+len(pic.Lines)/3))) // room for the legend
	p.X.Tick.Marker = ticks{values: box.xs(), name: pic.XNames}
	p.Y.Tick.Marker = ticks{values: steps125(p.Y.Min, p.Y.Max)}
	to, err := p.WriterTo(width, height, format)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := to.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = color.Gray{225}, color.Gray{225}
	return g
}

// errorPoints are points with error bars that stay above 0.
type errorPoints struct {
	plotter.XYs
	plotter.YErrors
}

func addLine(p *plot.Plot, l Line, s style, box *extent) error {
	var e errorPoints
	for _, q := range l.Points {
		if q.X <= 0 || q.Y <= 0 { // not on a logarithmic axis
			continue
		}
		e.XYs = append(e.XYs, plotter.XY{X: q.X, Y: q.Y})
		down := min(q.Stddev, q.Y*0.9)
		e.YErrors = append(e.YErrors, struct{ Low, High float64 }{down, q.Stddev})
		box.add(q.X, q.Y-down)
		box.add(q.X, q.Y+q.Stddev)
	}
	if len(e.XYs) == 0 {
		return nil
	}
	line, marks, err := plotter.NewLinePoints(e.XYs)
	if err != nil {
		return err
	}
	line.Color, line.Dashes, line.Width = color.Gray{s.grey}, s.dashes, vg.Points(1.2)
	marks.Color, marks.Shape, marks.Radius = color.Gray{s.grey}, s.mark, vg.Points(3)
	bars, err := plotter.NewYErrorBars(e)
	if err != nil {
		return err
	}
	bars.Color = color.Gray{s.grey}
	p.Add(bars, marks)
	if l.Bare {
		p.Legend.Add(l.Name, marks)
		return nil
	}
	p.Add(line)
	p.Legend.Add(l.Name, line, marks)
	return nil
}
