package simulate

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/wire"
)

// maxProblems is how many problems a result tells in words.
const maxProblems = 10

// Result is the account and the measurements of a run, over the epochs that
// count: those after the warm-up. Times are in seconds.
type Result struct {
	load.Account
	ServerPIDs  []int `json:"server_pids"`
	GatewayPIDs []int `json:"gateway_pids"`

	Clients    int    `json:"clients"`
	Servers    int    `json:"servers"`
	Threads    int    `json:"threads"`
	CellBytes  int    `json:"cell_bytes"`
	Channel    string `json:"channel"`
	Mode       string `json:"mode"` // sockets or multiplexed
	Seed       uint64 `json:"seed"`
	Overloaded bool   `json:"overloaded"`
	FirstEpoch uint64 `json:"first_epoch"` // of those that count

	EpochMean   float64 `json:"epoch_mean"` // start of routing to the last delivery handed to the network
	EpochStddev float64 `json:"epoch_stddev"`
	EpochMax    float64 `json:"epoch_max"`
	AheadMean   float64 `json:"wn_mean"` // work done before
	AheadStddev float64 `json:"wn_stddev"`
	AheadMax    float64 `json:"wn_max"`
	BytesMean   float64 `json:"bytes_mean"` // sent by one server to all others
	BytesStddev float64 `json:"bytes_stddev"`
	BytesMax    float64 `json:"bytes_max"`

	CoreSeconds        float64 `json:"core_seconds_mean"`         // all servers and gateways, an epoch
	RoutingCoreSeconds float64 `json:"routing_core_seconds_mean"` // of the servers, within the epoch's interval
	GatewayCoreSeconds float64 `json:"gateway_core_seconds_mean"` // the gateways' part of all
	ClientCoreSeconds  float64 `json:"client_core_seconds_mean"`  // the simulated clients', which is not a part of it
	Reported           int     `json:"reported"`                  // epochs of which every server has told the above
	RSSMax             uint64  `json:"rss_max"`                   // bytes, of one server
	Memory             Memory  `json:"memory"`
	Seconds            float64 `json:"seconds"` // the whole run

	Problems []string `json:"problems,omitempty"`
	Error    string   `json:"error,omitempty"`

	Reports []Report `json:"-"` // what that is from, by epoch and server
}

// Memory is the largest resident size of processes, added up, in bytes. What the
// system itself takes for connections is not in it.
type Memory struct {
	Servers   int64 `json:"servers"`
	Gateways  int64 `json:"gateways"`
	Simulator int64 `json:"simulator"` // and its relays
}

// Report is what one server says of one epoch that counts. CPU times and bytes of
// successive epochs add up to all that the server took and sent.
type Report struct {
	Server int
	wire.EpochReport
}

func newResult(o *Options, c *deploy.Cluster, first uint64) *Result {
	p := c.Manifest.Manifest.Parameters
	r := &Result{
		ServerPIDs: c.ServerPIDs(), GatewayPIDs: c.GatewayPIDs(),
		Clients: o.Clients, Servers: c.Geometry.Servers(), Threads: max(o.Threads, 1), CellBytes: p.CellBytes,
		Channel: o.Channel, Mode: "sockets", Seed: o.Seed, Overloaded: o.Overloaded(), FirstEpoch: first,
	}
	if o.Multiplexed {
		r.Mode = "multiplexed"
	}
	return r
}

// finish completes the result: the account, the measurements, and a judgement.
func (r *run) finish(err error) (*Result, error) {
	x := r.result
	if r.done != nil && r.done.Account != nil {
		x.Account = *r.done.Account
	}
	r.measure()
	if wrong := r.judge(); wrong != nil {
		if err == nil {
			err = wrong
		} else {
			err = fmt.Errorf("%w; %w", wrong, err)
		}
	}
	if err != nil {
		x.Error = err.Error()
	}
	return x, err
}

// judge says what is wrong with the account.
func (r *run) judge() error {
	a := &r.result.Account
	wrong := func(format string, v ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrWrong}, v...)...)
	}
	switch {
	case a.Unexpected != 0:
		return wrong("%d messages were delivered that were not sent so: altered, twice, or to the wrong client", a.Unexpected)
	case a.Lost != 0:
		return wrong("%d messages were lost", a.Lost)
	case a.Epochs > 0 && !a.ReferenceMatch:
		return wrong("what was delivered is not what the reference delivers")
	case r.done == nil || !r.done.Complete:
		return nil // why is told already
	case a.TokensRefused != 0:
		return wrong("%d requests for tokens were refused", a.TokensRefused)
	case r.done.Problem != "":
		return wrong("%s", r.done.Problem)
	case r.o.Fault != load.FaultNone:
		return wrong("--%s altered a delivered message, and verification did not find it", r.o.Fault)
	}
	if want := (r.o.Clients*a.Epochs - a.Missed) * r.o.channels(); a.Sent != want {
		return wrong("%d messages were taken of the %d that were submitted", a.Sent, want)
	}
	return nil
}

// measure turns the servers' reports into the result's figures. An epoch that
// is void, or that a server did not report, is left out.
func (r *run) measure() {
	var epoch, ahead, sent []float64
	x := r.result
	var cpu, routing float64
	for _, e := range slices.Sorted(maps.Keys(r.reports)) {
		reports := r.reports[e]
		if slices.ContainsFunc(reports, func(s wire.EpochReport) bool { return s.Epoch == 0 || s.Void }) {
			continue
		}
		x.Reported++
		for i, s := range reports {
			x.Reports = append(x.Reports, Report{i, s})
			epoch = append(epoch, float64(s.DeliveredNanos)/1e9)
			ahead = append(ahead, float64(s.AheadNanos)/1e9)
			sent = append(sent, float64(s.BytesToPeers))
			cpu += float64(s.CPUNanosTotal) / 1e9
			routing += float64(s.CPUNanosRouting) / 1e9
			x.RSSMax = max(x.RSSMax, s.RSSBytes)
		}
	}
	if x.Reported == 0 {
		return
	}
	x.EpochMean, x.EpochStddev, x.EpochMax = spread(epoch)
	x.AheadMean, x.AheadStddev, x.AheadMax = spread(ahead)
	x.BytesMean, x.BytesStddev, x.BytesMax = spread(sent)
	x.GatewayCoreSeconds = r.gateways.seconds() / float64(len(r.reports))
	x.ClientCoreSeconds = r.simulator.seconds() / float64(len(r.reports))
	x.CoreSeconds = cpu/float64(x.Reported) + x.GatewayCoreSeconds
	x.RoutingCoreSeconds = routing / float64(x.Reported)
}

// spread is the mean, the standard deviation and the maximum.
func spread(v []float64) (mean, stddev, most float64) {
	for _, x := range v {
		mean += x
		most = max(most, x)
	}
	mean /= float64(len(v))
	for _, x := range v {
		stddev += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(stddev / float64(len(v))), most
}

// CSVHeader names the columns of CSV.
const CSVHeader = "N,M,T,B,E,epoch_mean,epoch_stddev,epoch_max,wn_mean,wn_stddev,wn_max,bytes_mean,bytes_stddev,bytes_max"

// CSV is the row of a result.
func (r *Result) CSV() string {
	return fmt.Sprintf("%d,%d,%d,%d,%d,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f",
		r.Clients, r.Servers, r.Threads, r.CellBytes, r.Epochs,
		r.EpochMean, r.EpochStddev, r.EpochMax, r.AheadMean, r.AheadStddev, r.AheadMax,
		r.BytesMean, r.BytesStddev, r.BytesMax)
}
