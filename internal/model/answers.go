package model

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/experiment/figures"
)

// Answer says how many servers keep an epoch within a time.
type Answer struct {
	Possible bool
	Prediction
	Best float64 // the shortest epoch that any number of servers reaches, in seconds
}

// mostServers is where the search for servers ends.
const mostServers = 1 << 16

// Servers returns the fewest servers, of T threads each, that carry N clients'
// messages within so many seconds. More servers help until padding and latency
// outgrow what they save; if none reach the time, Possible is false and the
// prediction is that of the fastest number.
func (m Model) Servers(channel string, n, t int, seconds float64) (Answer, error) {
	best := math.Inf(1)
	var fastest Prediction
	tooFew := 0
	for servers := 1; servers <= min(mostServers, n); servers = servers*5/4 + 1 {
		p, err := m.Predict(System{channel, n, servers, t, experiment.CellBytes})
		if err != nil {
			return Answer{}, err
		}
		if s := p.Seconds(); s < best {
			best, fastest = s, p
		}
		if p.Seconds() <= seconds {
			return m.fewest(channel, n, t, seconds, tooFew, p)
		}
		if p.Seconds() > 4*best { // it only gets worse
			break
		}
		tooFew = servers
	}
	return Answer{Prediction: fastest, Best: best}, nil
}

// fewest searches between a number of servers that is too small and one that is
// enough.
func (m Model) fewest(channel string, n, t int, seconds float64, low int, enough Prediction) (Answer, error) {
	for high := enough.M; high-low > 1; {
		mid := (low + high) / 2
		p, err := m.Predict(System{channel, n, mid, t, experiment.CellBytes})
		if err != nil {
			return Answer{}, err
		}
		if p.Seconds() <= seconds {
			high, enough = mid, p
		} else {
			low = mid
		}
	}
	return Answer{Possible: true, Prediction: enough, Best: enough.Seconds()}, nil
}

// Question is what PrintAnswers answers.
type Question struct {
	Clients []int
	Threads []int
	Seconds float64
}

// DefaultQuestion asks for 10^6, 10^8 and 10^9 clients at an epoch a second.
var DefaultQuestion = Question{[]int{1e6, 1e8, 1e9}, []int{4, 16, 64}, 1}

// PrintAnswers prints how many servers it takes, and at what cost.
func (m Model) PrintAnswers(w io.Writer, q Question) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "Servers for an epoch every %g s (%s)\n", q.Seconds, m.describe())
	fmt.Fprintln(t, "channel\tclients\tthreads\tservers\tcores\tepoch s\tGiB of tables a server\tcore-us a client\tserver bytes a client\tits own bytes\tGbit/s a server\t")
	for _, channel := range experiment.Channels {
		for _, n := range q.Clients {
			for _, threads := range q.Threads {
				a, err := m.Servers(channel, n, threads, q.Seconds)
				if err != nil {
					return err
				}
				servers := strconv.Itoa(a.M)
				if !a.Possible {
					servers = "none (best " + servers + ")"
				}
				own, err := a.ClientBytes()
				if err != nil {
					return err
				}
				fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%.3f\t%.2f\t%.2f\t%.0f\t%d\t%.2f\t\n", channel, n, threads, servers, a.M*threads, a.Seconds(),
					a.Memory/(1<<30), a.CoreSeconds*1e6/float64(n), a.BytesPerClient(), own, a.Bytes*8/1e9/max(a.Seconds(), q.Seconds))
			}
		}
	}
	return t.Flush()
}

// PrintPrediction prints one prediction.
func (m Model) PrintPrediction(w io.Writer, p Prediction) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s channel, N=%d M=%d T=%d B=%d (%s)\n", p.Channel, p.N, p.M, p.T, p.B, m.describe())
	fmt.Fprintf(&b, "epoch         %.3f s: computing %.3f, sending %.3f, latency %.3f\n", p.Seconds(), p.Compute, p.Transfer, p.Waiting)
	fmt.Fprintf(&b, "core-seconds  %.3f in all, %.2f per 2^20 messages\n", p.CoreSeconds, p.CoreSecondsPerMillion())
	fmt.Fprintf(&b, "bytes         %.0f from a server to all others, %.0f a client in all\n", p.Bytes, p.BytesPerClient())
	fmt.Fprintf(&b, "memory        %.2f GiB of tables a server\n", p.Memory/(1<<30))
	if p.Estimated {
		b.WriteString("beyond the largest system of this version: counts are estimates\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (m Model) describe() string {
	bandwidth := "no limit on bandwidth"
	if m.Network.Bandwidth > 0 {
		bandwidth = fmt.Sprintf("%g Gbit/s", m.Network.Bandwidth/1e9)
	}
	return fmt.Sprintf("model of %s, %s; %s, %g ms", m.Calibration.Machine, m.Mode, bandwidth, m.Network.Latency*1e3)
}

// Tell prints the prediction of a system, or the answers to a question if s is
// nil, and with a folder draws how epochs scale on both channels.
func (m Model) Tell(w io.Writer, s *System, q Question, plots string) error {
	if s != nil {
		p, err := m.Predict(*s)
		if err == nil {
			err = m.PrintPrediction(w, p)
		}
		if err != nil {
			return err
		}
	} else if err := m.PrintAnswers(w, q); err != nil {
		return err
	}
	if plots == "" {
		return nil
	}
	for _, channel := range experiment.Channels {
		p, err := m.Scaling(channel, []int{1, 4, 16, 72, 256, 1024}, 16)
		if err != nil {
			return err
		}
		if _, err := figures.WriteOne(plots, "model-"+channel, p); err != nil {
			return fmt.Errorf("%w: %w: name a folder that exists and is writable", ErrModel, err)
		}
	}
	return nil
}

// Scaling returns the picture of epoch time against clients, a line for each
// number of servers.
func (m Model) Scaling(channel string, servers []int, threads int) (figures.Picture, error) {
	p := figures.Picture{
		Title: fmt.Sprintf("Predicted time of an epoch, %s channel, T=%d", channel, threads), X: "clients (model of " + m.Calibration.Machine + ")", Y: "seconds",
		XNames: func(x float64) string { return fmt.Sprintf("2^%.0f", math.Log2(x)) },
	}
	for i, s := range servers {
		l := figures.Line{Name: strconv.Itoa(s) + " servers", Style: i}
		for log := 14; log <= 30; log++ {
			if 1<<log < s {
				continue
			}
			q, err := m.Predict(System{channel, 1 << log, s, threads, experiment.CellBytes})
			if err != nil {
				return figures.Picture{}, err
			}
			l.Points = append(l.Points, figures.Point{X: float64(q.N), Y: q.Seconds()})
		}
		p.Lines = append(p.Lines, l)
	}
	return p, nil
}
