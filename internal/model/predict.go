package model

import (
	"fmt"
	"math"
	"time"

	"github.com/teems-go/teems/internal/node"
)

// Network is the network between servers.
type Network struct {
	Bandwidth float64 // bits a second that a server sends; 0: no limit
	Latency   float64 // seconds one way
}

// Prediction is what the model says of an epoch.
type Prediction struct {
	System
	Load

	CoreSeconds float64            // of all servers and gateways
	Interval    float64            // of one server, within what epoch_* measures
	Steps       map[string]float64 // seconds of one server, by step, and "clients", "server", "links"
	Compute     float64            // seconds that computing takes of the epoch
	Transfer    float64            // seconds that sending takes
	Waiting     float64            // seconds of latency
}

// Seconds returns the predicted epoch_mean with the network in it.
func (p Prediction) Seconds() float64 { return p.Compute + p.Transfer + p.Waiting }

// BytesPerClient returns what servers send one another for a client.
func (p Prediction) BytesPerClient() float64 { return p.Bytes * float64(p.M) / float64(p.N) }

// CoreSecondsPerMillion returns core-seconds per 2^20 messages.
func (p Prediction) CoreSecondsPerMillion() float64 {
	return p.CoreSeconds * (1 << 20) / float64(p.N)
}

// Model predicts.
type Model struct {
	Calibration Calibration
	Mode        string // of the residual: MemoryMode or a mode of experiments
	Network     Network
	Cores       int // that all servers share; 0: every thread has its own
}

// votes are the rounds of the commit, in each of which all wait for all:
// prepared and committed.
const votes = 2

// tick is the period in seconds after which servers repeat their votes.
const tick = float64(node.TickPeriod) / float64(time.Second)

// votesAgain is how many votes are said again in a second of an epoch, by all of
// m servers to all others.
func votesAgain(m int) float64 { return float64(m*(m-1)) / tick }

// Predict predicts an epoch.
func (m Model) Predict(s System) (Prediction, error) {
	residual, ok := m.Calibration.Residuals[m.Mode]
	if !ok {
		return Prediction{}, fmt.Errorf("%w: the calibration has no residual for the mode %q: fit it to measured rows of that mode", ErrModel, m.Mode)
	}
	l, err := s.Load()
	if err != nil {
		return Prediction{}, err
	}
	return m.predict(s, l, residual), nil
}

// predict is Predict for a system with a load, and a residual.
func (m Model) predict(s System, l Load, residual Residual) Prediction {
	p := Prediction{System: s, Load: l, Steps: m.steps(s, l)}
	sum := 0.0
	for _, t := range p.Steps {
		sum += t
	}
	links := 0.0
	if m.Mode != MemoryMode {
		links = l.Bytes * m.Calibration.LinkNS / 1e9
	}
	rest := map[string]float64{
		"clients": l.Clients * residual.ClientNS[s.Channel] / 1e9, "server": residual.ServerNS / 1e9,
		"frames": l.Frames * residual.FrameNS / 1e9, "links": links,
	}
	p.Interval = sum + links + residual.Share*(rest["clients"]+rest["server"]+rest["frames"])
	if m.Network.Bandwidth > 0 {
		p.Transfer = l.Bytes * 8 / m.Network.Bandwidth
	}
	if s.M > 1 {
		p.Waiting = float64(len(l.Phases)+votes) * m.Network.Latency
	}
	// Votes are said again as long as the epoch takes, and it takes longer by that.
	slow, again := m.slowness(s), votesAgain(s.M)/float64(s.M)*residual.VoteNS/1e9
	seconds := math.Inf(1)
	if slow*again < 1 {
		seconds = (slow*p.Interval + p.Transfer + p.Waiting) / (1 - slow*again)
	}
	rest["votes"] = again * seconds
	p.Interval += rest["votes"]
	p.Compute = slow * p.Interval
	for name, t := range rest {
		p.Steps[name] = t
		sum += t
	}
	p.CoreSeconds = sum * float64(s.M)
	return p
}

// slowness is the seconds that one server's work of a core-second takes.
func (m Model) slowness(s System) float64 {
	parallel := m.Calibration.Parallel
	slow := 1 - parallel + parallel/float64(s.T)
	if m.Cores > 0 && s.M*s.T > m.Cores {
		slow = max(slow, float64(s.M)/float64(m.Cores))
	}
	return slow
}

// steps returns the seconds of one server for each step.
func (m Model) steps(s System, l Load) map[string]float64 {
	c := m.Calibration.Steps
	out := map[string]float64{
		// Labels of the deal and of the sections: every counter for every label.
		"labels":       (l.Records + l.Routed) * float64(s.M) * c[StepExact].At(l.Routed),
		"deal":         l.Records * split(c[StepCompact], l.Chunk, float64(s.M)),
		"route":        l.Routed * split(c[StepCompact], l.Routed, float64(s.M)),
		"destinations": l.Placed * c[StepDestinations].At(l.Placed),
		"place":        l.Placed * c[StepPlace].At(l.Placed),
	}
	if l.Ranked > 0 {
		// Trimmed and packed at the sender, ranked and sent back at the router:
		// a sort to decide and one to return, each.
		out["headers"] = 2 * (l.Sent*c[StepHeaders].At(l.Sent) + l.Ranked*c[StepHeaders].At(l.Ranked))
	}
	for name := range out {
		out[name] /= 1e9
	}
	return out
}

// split is the cost of a row in an exact-size split of n rows into sections:
// one compaction a level, of ever shorter arrays.
func split(compact Curve, n, sections float64) float64 {
	cost := 0.0
	for level := 0.0; level < math.Ceil(math.Log2(sections)); level++ {
		cost += compact.At(n / math.Exp2(level))
	}
	return cost
}
