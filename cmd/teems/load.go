package main

import (
	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/load"
)

// newLoad is the process of the simulated clients, which sim starts.
func newLoad() *cobra.Command {
	return &cobra.Command{
		Use:    "load",
		Short:  "simulated clients (sim starts this)",
		Long:   "Reads a configuration (JSON) from stdin, runs simulated clients, writes events (a line of JSON each) to stdout.",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load.ReadConfig(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return load.Run(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
}
