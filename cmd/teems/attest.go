package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/inspect"
	"github.com/teems-go/teems/attest/verifiers"
	"github.com/teems-go/teems/client"
)

// errRefused is the kind of errors of evidence that is not acceptable.
var errRefused = errors.New("refused")

const attestExitCodes = `Exit codes: 0 accepted; 1 refused, or it failed; 2 bad usage.`

func newAttest() *cobra.Command {
	return group(&cobra.Command{
		Use:   "attest",
		Short: "check and explain what servers prove about themselves",
		Long: `A server proves by evidence of its trusted execution environment (TEE) which
program it is. These commands check evidence, from a file or from a cluster that
runs, and tell in words what was checked and what it says.

` + attestExitCodes,
		Example: `  teems attest verify --evidence server.bin --policy policy.json
  teems attest show --dir /tmp/my-cluster
  teems attest show --evidence server.bin`,
	}, newAttestVerify(), newAttestShow())
}

// evidenceFlags are the flags of both commands.
type evidenceFlags struct {
	evidence, at string
	asJSON       bool
}

func (e *evidenceFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&e.evidence, "evidence", "", "the file with the evidence")
	f.StringVar(&e.at, "at", "", "the time for which it is to be checked: seconds since 1970, or such as 2026-01-31T12:00:00Z (default: now)")
	f.BoolVar(&e.asJSON, "json", false, "the report as JSON")
}

// read returns the evidence file and the time.
func (e *evidenceFlags) read() ([]byte, time.Time, error) {
	at, err := parseTime(e.at)
	if err != nil {
		return nil, at, err
	}
	b, err := readAtMost(e.evidence, attest.MaxEvidenceBytes)
	return b, at, err
}

func newAttestVerify() *cobra.Command {
	var e evidenceFlags
	var policy string
	cmd := &cobra.Command{
		Use:   "verify --evidence FILE --policy FILE",
		Short: "check evidence from a file by a policy",
		Long: `Checks that evidence is genuine, down to the vendor's root, and that a policy
accepts it, as servers and clients do. What a file cannot prove is that the
evidence is fresh, and whose key it is bound to: the report says so.

` + attestExitCodes,
		Example: `  teems attest verify --evidence server.bin --policy policy.json
  teems attest verify --evidence testdata/sgx.bin --policy testdata/sgx.json --at 2022-12-20T00:50:04Z --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.evidence == "" || policy == "" {
				return usageError("it takes --evidence FILE and --policy FILE")
			}
			b, at, err := e.read()
			if err != nil {
				return err
			}
			p, err := readAtMost(policy, maxPolicyBytes)
			if err != nil {
				return err
			}
			return tell(cmd, inspect.Evidence(b, p, at, allVerifiers()), e.asJSON)
		},
	}
	e.flags(cmd)
	cmd.Flags().StringVar(&policy, "policy", "", "the file with the policy; the form is that of a manifest's \"tees\"")
	return cmd
}

func newAttestShow() *cobra.Command {
	var e evidenceFlags
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "show (--evidence FILE | --dir DIR | --manifest FILE --gateway ADDRESS)",
		Short: "tell what servers prove, or what evidence in a file says",
		Long: `With a cluster, connects to each storage server through a gateway, has it prove
what code it runs in which TEE, and tells what was checked. The manifest says what
is acceptable; it is trusted by its hash (--pin), by who signed it (--signer), or
else because it is there.

With --evidence, tells what evidence in a file says, and whether it is genuine. No
policy is asked, so that it may be of any program: see verify.

Exit codes: 0 all accepted, or genuine; 1 refused, or it failed; 2 bad usage.`,
		Example: `  teems attest show --dir /tmp/my-cluster
  teems attest show --manifest manifest.json --pin 9f86d0... --gateway teems.example:7443 --json
  teems attest show --evidence testdata/snp.bin --at 2023-01-01T00:00:00Z`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster := c.dir != "" || c.manifest != "" || len(c.gateways) > 0
			switch {
			case cluster == (e.evidence != ""):
				return usageError("it takes --evidence FILE, or a cluster: --dir DIR, or --manifest FILE and --gateway ADDRESS")
			case cluster && e.at != "":
				return usageError("--at is for evidence in a file: a server proves what is so now")
			case cluster && c.dir == "" && (c.manifest == "" || len(c.gateways) == 0):
				return usageError("without --dir it takes both --manifest FILE and --gateway ADDRESS")
			case cluster:
				return showCluster(cmd, &c, e.asJSON)
			}
			b, at, err := e.read()
			if err != nil {
				return err
			}
			return tell(cmd, inspect.Show(b, at, allVerifiers()), e.asJSON)
		},
	}
	e.flags(cmd)
	c.flags(cmd, "")
	return cmd
}

// clusterReport is what the servers of a cluster proved.
type clusterReport struct {
	Verdict  string             `json:"verdict"` // accepted if all of them are
	Manifest string             `json:"manifest"`
	Cluster  string             `json:"cluster"`
	Servers  []*client.Verified `json:"servers"`
}

// showCluster lets each storage server prove itself. One that fails to is in the
// report as refused; one that cannot be reached is an error.
func showCluster(cmd *cobra.Command, c *clusterFlags, asJSON bool) error {
	ctx := cmd.Context()
	if err := c.load(ctx, false, sayOn(cmd.ErrOrStderr())); err != nil {
		return err
	}
	m := c.manifestLoaded
	r := clusterReport{Verdict: inspect.Accepted, Manifest: fmt.Sprintf("%x", m.Hash()), Cluster: fmt.Sprintf("%x", m.Cluster())}
	var refused error
	for _, server := range m.StorageServers() {
		v, err := client.VerifyServer(ctx, client.RegisterConfig{Manifest: m, Gateways: c.gateways, Verifiers: allVerifiers()}, server)
		if errors.Is(err, client.ErrUnattested) {
			r.Verdict, refused = inspect.Refused, fmt.Errorf("server %d is %w: %w", server, errRefused, err)
			v = &client.Verified{Server: server, Report: &inspect.Report{Verdict: inspect.Refused, Summary: err.Error(), At: time.Now().UTC()}}
		} else if err != nil {
			return fmt.Errorf("server %d: %w", server, err)
		}
		r.Servers = append(r.Servers, v)
	}
	if asJSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), r), refused)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "manifest %s\ncluster  %s\n", r.Manifest, r.Cluster)
	for _, v := range r.Servers {
		fmt.Fprintf(out, "\nSERVER %d\n%s", v.Server, v.Report.Text())
	}
	return refused
}

// tell prints a report; what is refused is an error.
func tell(cmd *cobra.Command, r *inspect.Report, asJSON bool) (err error) {
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text())
	}
	if err == nil && r.Verdict != inspect.Accepted && r.Verdict != inspect.Genuine {
		err = fmt.Errorf("the evidence is %w: %s", errRefused, r.Summary)
	}
	return err
}

// allVerifiers verify evidence of every TEE; collateral must come with it.
func allVerifiers() attest.Verifiers { return verifiers.All(bundle.Bundle{}, bundle.Bundle{}) }

// parseTime reads seconds since 1970 or RFC 3339; nothing is now.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n < 1<<36 {
		return time.Unix(n, 0), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usageError("--at %.80q: write seconds since 1970, or a time such as 2026-01-31T12:00:00Z", text)
	}
	return t, nil
}

const maxPolicyBytes = 1 << 20

// readAtMost reads a file, and one byte more than it may have if it has more,
// so that whoever reads it says what is wrong.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
