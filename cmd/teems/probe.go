package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/probe"
)

// fitFlags are how experiments may be made to fit: flags, or the variables of
// the published artifact.
type fitFlags struct{ overload, shrink bool }

func (f *fitFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.overload, "overload-cores", false, "several threads on one core where there are too few (or "+probe.OverloadVariable+"=1)")
	cmd.Flags().BoolVar(&f.shrink, "shrink-to-mem", false, "the largest power of two of clients that fits the memory (or "+probe.ShrinkVariable+"=1)")
}

func (f *fitFlags) options() probe.Options {
	o := probe.Environment(os.Getenv)
	o.Overload, o.Shrink = o.Overload || f.overload, o.Shrink || f.shrink
	return o
}

func newProbe() *cobra.Command {
	var fit fitFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "what this machine is, and which experiments fit on it",
		Long: `Looks at cores, memory, descriptors, connection tracking, TCP memory, kernel and
TEEs, and says of each of the 38 published experiments whether it fits and how,
or why not, with the commands that would help. It changes nothing.

What it says about memory is an estimate.

` + exitCodes,
		Example: `  teems probe
  OVERLOAD_CORES=1 SHRINK_TO_MEM=1 teems probe
  teems probe --json | jq '.experiments[] | select(.fits) | .N'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := probe.Examine(probe.Look(probe.ThisHost()), fit.options())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "all of it as JSON on stdout")
	fit.flags(cmd)
	return cmd
}
