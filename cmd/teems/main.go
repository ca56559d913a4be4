// Command teems is everything that a person types: a cluster on this machine
// (up), a client to talk through it (client), simulations and measurements
// (sim, short-test), manifests (manifest), and what servers prove about
// themselves (attest). `teems help` tells the rest.
//
// Exit codes: 0 all went well; 1 it failed; 2 it was called in a way that it
// does not take; 3 a server stopped or a process of the cluster ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load/simulate"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitStopped = 3
)

const exitCodes = `Exit codes: 0 all went well; 1 it failed; 2 bad usage; 3 a server stopped.`

// errUsage is the kind of errors of how a command was called.
var errUsage = errors.New("bad usage")

func usageError(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, a...)...)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) }) // then a second signal kills; timeout(1) sends two at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with everything passed in; it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, progress io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(progress)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ofRepro(err):
		fmt.Fprintln(progress, "teems:", err)
		return exitFailed
	case errors.Is(err, errUsage), errors.Is(err, simulate.ErrOptions):
		fmt.Fprintf(progress, "teems: %v\nRun it with --help to see how it is used.\n", err)
		return exitUsage
	case errors.Is(err, simulate.ErrStopped), errors.Is(err, deploy.ErrProcess):
		fmt.Fprintln(progress, "teems:", err)
		return exitStopped
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(progress, "teems: interrupted; nothing is left running")
		return exitFailed
	}
	fmt.Fprintln(progress, "teems:", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "teems",
		Short: "metadata-protected messaging: try it, use it, measure it",
		Long: `TEEMS carries messages so that those who run its servers and networks learn
neither what people write nor who writes to whom, how much and how often.

` + exitCodes,
		Example: `  teems up                                    a cluster on this machine, to try it
  teems client register --as alice --wait     (in another terminal) become a client
  teems client id --as alice                  your address, to give to others
  teems client send --as alice --to ADDRESS "hello"
  teems client receive --as alice
  teems short-test                            does it work here? in seconds
  teems sim --clients 1000 --channel both     simulated clients, every message checked
  teems probe                                 what fits on this machine
  teems repro                                 run the published experiments, draw figures
  teems model                                 predict what this machine cannot show
  teems manifest show FILE                    what a deployment is made of
  teems attest verify --help                  what a server proves about itself
  teems collateral fetch --folder DIR         what the vendor publishes of a server's platform`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	root.AddCommand(newUp(), newClient(), newSim(), newShortTest(), newProbe(), newRepro(), newModel(), newManifest(), newAttest(), newCollateral(), newLoad())
	return root
}

// unknownCommand refuses arguments of a command that only has subcommands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	err := usageError("there is no command %q in %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %q?", err, near[0])
	}
	return err
}

// group is a command that only has subcommands.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.Args = unknownCommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(subcommands...)
	return cmd
}

// args are exactly so many arguments, of which what tells.
func args(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, got []string) error {
		if len(got) != n {
			return usageError("it takes %s, and got %d arguments", what, len(got))
		}
		return nil
	}
}

var noArgs = args(0, "no arguments")

// binaries are the flags by which the other programs are found.
type binaries struct{ server, gateway string }

func (b *binaries) flags(cmd *cobra.Command) {
	const where = "; else it is looked for beside this program, or built from the source tree around the working directory"
	cmd.Flags().StringVar(&b.server, "server-binary", "", "path of teems-server"+where)
	cmd.Flags().StringVar(&b.gateway, "gateway-binary", "", "path of teems-gateway"+where)
}

// find fills in the paths.
func (b *binaries) find(ctx context.Context, say func(string)) (err error) {
	if b.server, err = deploy.Binary(ctx, "teems-server", b.server, say); err != nil {
		return err
	}
	b.gateway, err = deploy.Binary(ctx, "teems-gateway", b.gateway, say)
	return err
}

// sayOn writes lines of progress for people.
func sayOn(w io.Writer) func(string) {
	return func(line string) { fmt.Fprintln(w, line) }
}
