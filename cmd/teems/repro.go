package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/experiment/comparator"
	"github.com/teems-go/teems/internal/experiment/repro"
	"github.com/teems-go/teems/internal/experiment/simulated"
	"github.com/teems-go/teems/internal/probe"
)

// reproOptions are the flags of repro.
type reproOptions struct {
	data           string
	redraw, plan   bool
	calibrate      bool
	tables         bool
	bandwidth      float64 // Gbit/s
	epochs, sparta int
	seed           uint64
	fit            fitFlags
	b              binaries
}

func newRepro() *cobra.Command {
	var o reproOptions
	cmd := &cobra.Command{
		Use:   "repro",
		Short: "run the published experiments and draw their figures",
		Long: `Runs the experiments of Figures 7 and 8 on both channels, and those of the
comparator Sparta-SB, smallest first. Every body that is delivered is compared
with what was sent. Then it prints tables and draws pictures that show what was
published, what this machine gave, and the comparator.

Results go to one folder: id-channel.csv and token-channel.csv, raw/, figures/.
Stopped, by Ctrl-C or otherwise, it keeps the finished rows; started again, it
goes on from there.

` + exitCodes,
		Example: `  teems repro                                              a machine that is large enough
  OVERLOAD_CORES=1 SHRINK_TO_MEM=1 teems repro --data DIR  any machine
  teems repro --plan                                       what is left to run, and how
  teems repro -n --data DIR                                draws again, runs nothing
  teems repro --calibrate --data DIR                       small runs, for teems model --data DIR
  teems repro -n --data experiments/published --tables     the published tables`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "data", "folder of the results")
	f.BoolVarP(&o.redraw, "redraw", "n", false, "run nothing: print tables and draw pictures from the rows that there are")
	f.BoolVar(&o.plan, "plan", false, "run nothing: print what is left to run")
	f.BoolVar(&o.calibrate, "calibrate", false, "instead of the figures run small systems, to which teems model is fitted, into the folder "+experiment.CalibrationDir+" of --data")
	f.BoolVar(&o.tables, "tables", false, "with -n: print tables, do not draw")
	f.Float64Var(&o.bandwidth, "bandwidth", experiment.DefaultBandwidth/1e9, "Gbit/s at which the report adds the time of bytes_max to epochs of ours")
	f.IntVar(&o.epochs, "epochs", 3, "epochs of an experiment, after the warm-up")
	f.IntVar(&o.sparta, "sparta-epochs", 5, "epochs of an experiment of the comparator, after the warm-up")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	o.fit.flags(cmd)
	o.b.flags(cmd)
	return cmd
}

func (o *reproOptions) check() error {
	switch {
	case o.redraw && o.calibrate:
		return usageError("-n draws the figures' rows, and --calibrate runs others: choose one")
	case o.redraw && o.plan:
		return usageError("-n draws what there is, and --plan shows what is missing: choose one")
	case o.tables && !o.redraw:
		return usageError("--tables says what -n leaves out: add -n")
	case !(o.bandwidth > 0):
		return usageError("--bandwidth %v: choose more than 0", o.bandwidth)
	case o.epochs < 1 || o.sparta < 1:
		return usageError("--epochs and --sparta-epochs: choose 1 or more")
	}
	return nil
}

func (o *reproOptions) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, out, progress := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	say := sayOn(progress)
	bandwidth := o.bandwidth * 1e9
	if o.redraw {
		return repro.Redraw(o.data, bandwidth, !o.tables, out, say)
	}
	startLoopback()
	m := probe.Look(probe.ThisHost())
	ours := simulated.Runner{
		Epochs: o.epochs, Seed: o.seed, CPU: m.Name(), TEE: "simulated", Commit: experiment.Commit(),
	}
	theirs := comparator.Runner{Epochs: o.sparta, Seed: o.seed, CPU: m.Name(), Commit: experiment.Commit()}
	c := repro.Config{
		Dir: o.data, Machine: m, Options: o.fit.options(), Bandwidth: bandwidth, Out: out, Say: say, Progress: repro.Lines(say),
		Free:    func() uint64 { return probe.Look(probe.ThisHost()).Memory.Available },
		Runners: map[string]experiment.Runner{experiment.TEEMS: &ours, experiment.Sparta: theirs},
	}
	if o.calibrate {
		c.Dir = filepath.Join(o.data, experiment.CalibrationDir)
		c.Experiments, c.Options.Multiplexed, c.RowsOnly = experiment.Calibration(), true, true
	}
	if o.plan {
		return repro.PrintPlan(c)
	}
	jobs, _, err := repro.Plan(c)
	if errors.Is(err, repro.ErrFit) { // before anything is built
		return err
	}
	if isTerminal(progress) {
		c.Progress = repro.Bar(progress)
	}
	if err := o.b.find(ctx, say); err != nil {
		return err
	}
	c.Machine.Network = readyNetwork(repro.Connections(jobs), say)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours.Server, ours.Gateway, ours.Loader = o.b.server, o.b.gateway, self
	return repro.Run(ctx, c)
}

// ofRepro says that an error is of a whole reproduction, whatever made its
// experiments fail.
func ofRepro(err error) bool {
	return errors.Is(err, repro.ErrFailed) || errors.Is(err, repro.ErrFit) || errors.Is(err, repro.ErrStopped)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
