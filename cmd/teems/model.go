package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/model"
	"github.com/teems-go/teems/internal/probe"
)

// modelOptions are the flags of model.
type modelOptions struct {
	system      model.System
	cores       int
	bandwidth   float64 // Gbit/s
	latency     time.Duration
	mode        string
	calibration string
	rows        string
	measure     bool
	plot        string
}

// fitted is the most clients of the rows that residuals are fitted to; larger
// runs are for checking.
const fitted = 1 << 16

func newModel() *cobra.Command {
	o := modelOptions{system: model.System{B: experiment.CellBytes}}
	cmd := &cobra.Command{
		Use:   "model",
		Short: "predict the epoch for any number of clients, servers and threads",
		Long: `Predicts from steps that were measured on one core, exact counts and bytes, and a
simple network, how long an epoch takes and what it costs. Without --clients it
says how many servers carry 10^6, 10^8 and 10^9 clients at an epoch a second.

It is a model: docs/experiments.md says what in it is measured and what assumed.

` + exitCodes,
		Example: `  teems model
  teems model --clients 1048576 --servers 4 --threads 1 --channel id
  teems model --data DIR --mode multiplexed      with the rows of a run on this machine
  teems model --measure > calibration.json       measures the steps here
  teems model --plot DIR                         draws how epochs scale`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.IntVar(&o.system.N, "clients", 0, "clients (0: answer how many servers it takes)")
	f.IntVar(&o.system.M, "servers", 4, "servers, with --clients")
	f.IntVar(&o.system.T, "threads", 1, "threads of a server, with --clients")
	f.StringVar(&o.system.Channel, "channel", experiment.Token, "id or token, with --clients")
	f.IntVar(&o.cores, "cores", 0, "cores that all servers share (0: each thread has its own)")
	f.Float64Var(&o.bandwidth, "bandwidth", experiment.DefaultBandwidth/1e9, "Gbit/s from each server (0: no limit)")
	f.DurationVar(&o.latency, "latency", 100*time.Microsecond, "from one server to another")
	f.StringVar(&o.mode, "mode", model.MemoryMode, "which residual: memory (no sockets), or sockets or multiplexed with --data")
	f.StringVar(&o.calibration, "calibration", "", "calibration file (default: the one in the program)")
	f.StringVar(&o.rows, "data", "", "folder of a reproduction: fit the residual of --mode to its rows of up to 2^16 clients")
	f.BoolVar(&o.measure, "measure", false, "measure the steps on this machine, print a calibration file, predict nothing")
	f.StringVar(&o.plot, "plot", "", "folder for pictures (SVG and PNG)")
	return cmd
}

func (o *modelOptions) run(cmd *cobra.Command) error {
	if o.bandwidth < 0 || o.latency < 0 || o.cores < 0 {
		return usageError("--bandwidth, --latency and --cores: choose 0 or more")
	}
	say := sayOn(cmd.ErrOrStderr())
	c, err := o.read(say)
	if err != nil {
		return err
	}
	if o.measure {
		return model.Measure(c, probe.Look(probe.ThisHost()).Name(), 12, 20, say).Write(cmd.OutOrStdout())
	}
	m := model.Model{
		Calibration: c, Mode: o.mode, Cores: o.cores,
		Network: model.Network{Bandwidth: o.bandwidth * 1e9, Latency: o.latency.Seconds()},
	}
	var s *model.System
	if o.system.N != 0 {
		s = &o.system
		if _, err := m.Predict(*s); err != nil {
			return usageError("%w", err)
		}
	}
	if o.plot != "" {
		if err := os.MkdirAll(o.plot, 0o755); err != nil {
			return err
		}
	}
	return m.Tell(cmd.OutOrStdout(), s, model.DefaultQuestion, o.plot)
}

// read returns the calibration, fitted to rows if there are any.
func (o *modelOptions) read(say func(string)) (model.Calibration, error) {
	c := model.Default()
	if o.calibration != "" {
		f, err := os.Open(filepath.Clean(o.calibration))
		if err != nil {
			return c, err
		}
		defer f.Close()
		if c, err = model.ReadCalibration(f); err != nil {
			return c, err
		}
	}
	if o.rows == "" {
		if _, ok := c.Residuals[o.mode]; !ok && !o.measure {
			return c, usageError("--mode %s: the calibration has no residual for it: name the rows of a run with --data", o.mode)
		}
		return c, nil
	}
	rows, err := experiment.Read(os.DirFS(o.rows), say)
	if err != nil {
		return c, err
	}
	small, err := experiment.Read(os.DirFS(filepath.Join(o.rows, experiment.CalibrationDir)), say)
	if err != nil {
		return c, err
	}
	rows = append(rows, small...)
	runs := model.Runs(rows, o.mode, fitted)
	if len(runs) == 0 {
		return c, fmt.Errorf("%w: %s has no rows of TEEMS with mode %s and at most %d clients to fit to: run teems repro --calibrate --data %s", model.ErrModel, o.rows, o.mode, fitted, o.rows)
	}
	if c, err = c.Fit(o.mode, runs); err != nil {
		return c, err
	}
	line := fmt.Sprintf("fitted to %d rows of up to 2^16 clients", len(runs))
	if large := slices.DeleteFunc(model.Runs(rows, o.mode, 0), func(r model.Run) bool { return r.N <= fitted }); len(large) > 0 {
		off, err := model.Model{Calibration: c, Mode: o.mode}.Error(large)
		if err != nil {
			return c, err
		}
		line += fmt.Sprintf("; on the %d larger ones core-seconds are %.1f %% off (median)", len(large), 100*off)
	}
	say(line)
	return c, nil
}
