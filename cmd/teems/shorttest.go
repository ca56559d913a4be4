package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/load/simulate"
)

// The configuration of short-test; it is that of the published artifact.
const (
	shortClients = 128
	shortServers = 4
	shortEpochs  = 3
)

func newShortTest() *cobra.Command {
	var b binaries
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "short-test",
		Short: "check in seconds that everything works on this machine",
		Long: fmt.Sprintf(`Runs %d simulated clients through %d server processes, first on the ID channel,
then on the token channel, %d epochs each, and checks every message. It ends
with a header and a row for each channel (CSV), or with --json an array of the
two accounts. Times are in seconds; see `+"`teems sim --help`"+` for the account.

`, shortClients, shortServers, shortEpochs) + exitCodes,
		Example: `  teems short-test
  teems short-test --json | jq '.[].delivered'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			say := sayOn(cmd.ErrOrStderr())
			say(overloadNote)
			var all []*simulate.Result
			var err error
			for _, channel := range []string{simulate.ID, simulate.Token} {
				say("the " + channel + " channel")
				var r *simulate.Result
				r, err = simulateOnce(cmd.Context(), simulate.Options{
					Clients: shortClients, Servers: shortServers, Threads: 1, Epochs: shortEpochs,
					Channel: channel, Seed: 1, Kill: -1,
				}, b, say)
				if r != nil {
					all = append(all, r)
				}
				if err != nil {
					err = fmt.Errorf("the %s channel: %w", channel, err)
					break
				}
			}
			if asJSON {
				if failed := printJSON(cmd.OutOrStdout(), all); err == nil {
					err = failed
				}
				return err
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), simulate.CSVHeader)
			for _, r := range all {
				fmt.Fprintln(cmd.OutOrStdout(), r.CSV())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an array of both accounts as JSON")
	b.flags(cmd)
	return cmd
}
