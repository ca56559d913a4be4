package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/internal/load/simulate"
	"github.com/teems-go/teems/internal/manifest"
)

func newManifest() *cobra.Command {
	return group(&cobra.Command{
		Use:   "manifest",
		Short: "make, sign, check and read the description of a deployment",
		Long: `A manifest is the signed description of a deployment: its servers, its
parameters, and the code that may run in which TEE. Each follows another, and is
signed by the operators whom that one names. Under manifest 1 the first server
makes the cluster's key; manifest 2 names it.

` + exitCodes,
		Example: `  teems manifest key operator.key
  teems manifest new --key operator.key --servers 4 --server-binary ./teems-server --out manifest.1.json
  teems manifest sign --key operator.key manifest.1.json
  (server 0 runs under manifest 1 and writes genesis.json)
  teems manifest new --from manifest.1.json --genesis genesis.json --out manifest.json
  teems manifest sign --key operator.key manifest.json
  teems manifest verify --predecessor manifest.1.json manifest.json
  (new code, new keys: the next manifest, signed by as many operators as it takes)
  teems manifest new --from manifest.json --server-binary ./new/teems-server --next-era --out next.json
  teems manifest sign --key operator-a.key next.json
  teems manifest sign --key operator-b.key next.json`,
	}, newManifestKey(), newManifestNew(), newManifestSign(), newManifestVerify(), newManifestShow())
}

// manifestOptions are the flags of `manifest new`.
type manifestOptions struct {
	out, from, genesis string
	keys, operators    []string
	threshold          int
	servers, port      int
	host, layout       string
	threads, clients   int
	cellBytes          int
	open               bool
	nextEra            bool
	simulatedClients   int
	simulatedSeed      string
	policy             policyFlags
}

func newManifestNew() *cobra.Command {
	var o manifestOptions
	cmd := &cobra.Command{
		Use:   "new",
		Short: "make a manifest: the first, or with --from the one that follows",
		Long: `Makes manifest 1 of a deployment, unsigned. With --from it makes the successor of
another manifest, the same but for its number and what is asked for: --genesis
names the cluster key that server 0 made; --key and --operator replace all
operators; --next-era has the servers make new keys. Edit the file as you like
before it is signed.

Which code may run is said by measurements, of files, of evidence or as they are,
which replace all those before; what else its evidence must satisfy, by rules of
each TEE, which replace those of the same name, and without which no real TEE is
accepted. Evidence fills them in: its signer, its platform, and no lower TCB.

An operator's key that does not exist yet is made (--key).

` + exitCodes,
		Example: `  teems manifest new --key operator.key --servers 4 --server-binary ./teems-server --out manifest.1.json
  teems manifest new --from manifest.1.json --genesis genesis.json --out manifest.json
  teems manifest new --from manifest.json --server-binary ./new/teems-server --next-era --out next.json
  teems manifest new --key operator.key --measurement sgx=5e88... --code-signer sgx=any --platform sgx=1f0a... \
      --min-tcb-evaluation sgx=17 --min-tcb-date sgx=2024-03-13 --out manifest.1.json
  teems manifest new --key operator.key --evidence server-0/evidence.bin --evidence server-1/evidence.bin --out manifest.1.json
  teems manifest new --from manifest.json --min-tcb-evaluation sgx=18 --min-tcb-date sgx=2025-01-15 --next-era --out next.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.policy.changed = cmd.Flags().Changed
			if err := o.check(o.policy.changed); err != nil {
				return err
			}
			s, err := o.make(sayOn(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			file, err := s.Encode()
			if err != nil {
				return err
			}
			if o.out == "" {
				_, err = cmd.OutOrStdout().Write(file)
				return err
			}
			return writeNew(o.out, file)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "file to write, which must not exist (default: stdout)")
	f.StringVar(&o.from, "from", "", "the manifest that it follows")
	f.StringVar(&o.genesis, "genesis", "", "with --from: server 0's genesis.json, whose key it names")
	f.StringArrayVar(&o.keys, "key", nil, "an operator's private key file; made if it does not exist (repeatable)")
	f.StringArrayVar(&o.operators, "operator", nil, "an operator's public key, in hexadecimal (repeatable)")
	f.IntVar(&o.threshold, "threshold", 0, "operators that must sign (default: more than half)")
	f.IntVar(&o.servers, "servers", 4, "servers, all with all roles")
	f.StringVar(&o.layout, "layout", "", "instead of --servers the roles of each: i,i,r,r,s or irs,irs")
	f.StringVar(&o.host, "host", "127.0.0.1", "host of all servers; edit the file if there are several")
	f.IntVar(&o.port, "port", 7100, "first of two ports for each server")
	f.IntVar(&o.threads, "threads", 1, "threads of each server")
	f.IntVar(&o.clients, "clients", 1024, "clients that there can be")
	f.IntVar(&o.cellBytes, "cell-bytes", manifest.DefaultCellBytes, "bytes of a message")
	f.BoolVar(&o.open, "open", false, "the experiments' parameters: one message in and out on each channel, open priorities")
	f.BoolVar(&o.nextEra, "next-era", false, "with --from: the servers make new keys, and clients register again")
	o.policy.flags(cmd)
	f.IntVar(&o.simulatedClients, "simulated-clients", 0, "clients with keys that anyone knows; on simulated TEEs only")
	f.StringVar(&o.simulatedSeed, "simulated-seed", "", "what their keys come from, 32 bytes in hexadecimal (default: random)")
	return cmd
}

func (o *manifestOptions) make(say func(string)) (*manifest.Signed, error) {
	if o.from != "" {
		return o.successor(say)
	}
	options := manifest.Options{Threshold: o.threshold, Parameters: manifest.DefaultParameters(o.clients)}
	if o.open {
		options.Parameters = manifest.ExperimentParameters(o.clients)
	}
	options.Parameters.CellBytes = o.cellBytes
	var err error
	if options.Servers, err = o.makeServers(); err != nil {
		return nil, err
	}
	if options.Policy, err = o.policy.apply(attest.Policy{}); err != nil {
		return nil, err
	}
	if options.Operators, err = o.operatorKeys(say); err != nil {
		return nil, err
	}
	if o.simulatedClients > 0 {
		seed := make([]byte, manifest.SeedBytes)
		rand.Read(seed)
		if o.simulatedSeed != "" {
			if seed, err = hex.DecodeString(o.simulatedSeed); err != nil || len(seed) != manifest.SeedBytes {
				return nil, usageError("--simulated-seed takes %d bytes in hexadecimal", manifest.SeedBytes)
			}
		}
		options.SimulatedClients = &manifest.SimulatedClients{Count: o.simulatedClients, Seed: seed}
	}
	return manifest.NewDefault(options)
}

func (o *manifestOptions) makeServers() ([]manifest.Server, error) {
	n := o.servers
	var layout []manifest.Server
	if o.layout != "" {
		var err error
		if layout, err = simulate.Layout(o.layout); err != nil {
			return nil, err
		}
		n = len(layout)
	}
	if n < 1 || o.port < 1 || o.port+2*n > 1<<16 {
		return nil, usageError("%d servers from port %d on: choose at least one, and ports up to 65535", n, o.port)
	}
	all := manifest.LocalServers(n, o.host, o.port, o.threads)
	for i := range layout {
		all[i].Roles = layout[i].Roles
	}
	return all, nil
}

// operatorKeys reads or makes the keys, and reads the public ones.
func (o *manifestOptions) operatorKeys(say func(string)) ([]ed25519.PublicKey, error) {
	var all []ed25519.PublicKey
	for _, path := range o.keys {
		key, err := operatorKey(path, say)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	for _, text := range o.operators {
		key, err := hex.DecodeString(text)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, usageError("--operator %q: write a public key, %d bytes in hexadecimal", text, ed25519.PublicKeySize)
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, usageError("no operator: add --key FILE or --operator HEX")
	}
	return all, nil
}

func newManifestSign() *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use:     "sign --key KEY MANIFEST",
		Short:   "add an operator's signature to a manifest file",
		Long:    "Adds the signature of an operator's key to the file, or replaces the one that it made before.\n\n" + exitCodes,
		Example: "  teems manifest sign --key operator.key manifest.json",
		Args:    args(1, "one manifest file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyFile == "" {
				return usageError("no key: add --key FILE")
			}
			key, err := manifest.ReadKey(keyFile)
			if err != nil {
				return err
			}
			s, err := readManifest(args[0])
			if err != nil {
				return err
			}
			if err := s.Sign(key); err != nil {
				return err
			}
			file, err := s.Encode()
			if err != nil {
				return err
			}
			if err := replaceFile(args[0], file, 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "signed manifest %d, hash %x\n", s.Manifest.Sequence, s.Hash())
			return err
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "the operator's private key")
	return cmd
}

func newManifestVerify() *cobra.Command {
	var predecessor, pin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify MANIFEST",
		Short: "check a manifest's signatures and print its hash",
		Long: `Checks that a manifest is valid and signed by enough operators: with
--predecessor by those of the manifest before it, which it must follow; else by
its own, which is worth as much as the way by which you learnt its hash: compare
that with what others have, or give it with --pin.

` + exitCodes,
		Example: `  teems manifest verify --predecessor manifest.1.json manifest.json
  teems manifest verify --pin 9f86d0... manifest.json`,
		Args: args(1, "one manifest file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := readManifest(args[0])
			if err != nil {
				return err
			}
			if err := verify(s, predecessor, pin); err != nil {
				return err
			}
			hash := s.Hash()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"sequence": s.Manifest.Sequence, "hash": hex.EncodeToString(hash[:])})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "manifest %d is signed as it must be\nhash %x\n", s.Manifest.Sequence, hash)
			return err
		},
	}
	cmd.Flags().StringVar(&predecessor, "predecessor", "", "the manifest that it follows")
	cmd.Flags().StringVar(&pin, "pin", "", "the hash that it must have, in hexadecimal")
	cmd.Flags().BoolVar(&asJSON, "json", false, "number and hash as JSON")
	return cmd
}

func verify(s *manifest.Signed, predecessor, pin string) error {
	if predecessor != "" {
		before, err := readManifest(predecessor)
		if err != nil {
			return err
		}
		if err := s.VerifySuccessor(before); err != nil {
			return err
		}
	} else if err := s.Verify(s.Manifest.Operators); err != nil {
		return err
	}
	if pin == "" {
		return nil
	}
	want, err := hex.DecodeString(pin)
	if err != nil || len(want) != 32 {
		return usageError("--pin takes 32 bytes in hexadecimal")
	}
	if hash := s.Hash(); [32]byte(want) != hash {
		return fmt.Errorf("the manifest's hash is %x, not the one that is pinned: it is another manifest", hash)
	}
	return nil
}

func newManifestShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show MANIFEST",
		Short:   "tell in words what a manifest says",
		Long:    "Tells what a manifest says. It does not check who signed it: see verify.\n\n" + exitCodes,
		Example: "  teems manifest show manifest.json",
		Args:    args(1, "one manifest file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := readManifest(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), s.Show())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the manifest as JSON")
	return cmd
}

func readManifest(path string) (*manifest.Signed, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := manifest.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
