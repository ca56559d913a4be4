package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/internal/collateral"
	"github.com/teems-go/teems/internal/node/deployment"
)

const collateralExitCodes = `Exit codes: 0 what is in the file is good; 1 it is not, or the vendor's word is
against the platform; 2 bad usage.`

func newCollateral() *cobra.Command {
	return group(&cobra.Command{
		Use:   "collateral",
		Short: "fetch what Intel and AMD publish of a server's platform",
		Long: `A server's evidence goes with what the vendor publishes of its platform: TCB
levels, certificates, revocation lists. Servers open no connection for it; they
take it from collateral.bin in their folder, anew for each piece of evidence.
These commands fetch it there, outside the TEE. Nobody has to trust them, or a
mirror: everything is signed by the vendor.

` + collateralExitCodes,
		Example: `  teems collateral fetch --folder server-0
  teems collateral show --folder server-0`,
	}, newCollateralFetch(), newCollateralShow())
}

// platformFlags say of which platform collateral is.
type platformFlags struct {
	folder, evidence, file string
	tee, fmspc, ca         string
	product, chip, tcb     string
	certificate            string
	asJSON                 bool
}

func (p *platformFlags) flags(cmd *cobra.Command, file, what string) {
	f := cmd.Flags()
	f.StringVar(&p.folder, "folder", "", "a server's folder: the platform of its "+deployment.EvidenceFile+", and the file "+deployment.CollateralFile)
	f.StringVar(&p.evidence, "evidence", "", "evidence of the platform, as servers write it")
	f.StringVar(&p.file, file, "", what)
	f.StringVar(&p.tee, "tee", "", "without evidence: sgx, tdx or snp")
	f.StringVar(&p.fmspc, "fmspc", "", "with --tee sgx or tdx: the family of platforms, 6 bytes in hexadecimal")
	f.StringVar(&p.ca, "ca", intel.CAPlatform, "with --tee sgx or tdx: who issued the platform's certificate, platform or processor")
	f.StringVar(&p.product, "product", "", "Milan, Genoa or Turin: with --tee snp, or if the evidence does not say")
	f.StringVar(&p.chip, "chip-id", "", "with --tee snp: the chip's ID, 64 bytes in hexadecimal (Turin: 8)")
	f.StringVar(&p.tcb, "tcb", "", "with --tee snp: the firmware, such as boot_loader=4,tee=0,snp=22,microcode=213 (Turin: and fmc)")
	f.StringVar(&p.certificate, "certificate", "", "with SEV-SNP: the certificate of the platform's key (VCEK or VLEK), if you have it")
	f.BoolVar(&p.asJSON, "json", false, "the report as JSON")
}

// paths fills in what --folder stands for.
func (p *platformFlags) paths(file string) error {
	if p.folder != "" {
		if p.evidence != "" || p.file != "" || p.tee != "" {
			return usageError("--folder stands for --evidence and --%s: leave those and --tee out", file)
		}
		p.evidence, p.file = filepath.Join(p.folder, deployment.EvidenceFile), filepath.Join(p.folder, deployment.CollateralFile)
		return nil
	}
	if p.file == "" {
		return usageError("it takes --folder DIR, or --%s FILE and the platform", file)
	}
	if p.evidence != "" && p.tee != "" {
		return usageError("--evidence says which TEE it is: leave --tee out")
	}
	return nil
}

// platform is the one that the flags name. It reads the evidence anew, since a
// server writes other evidence when its firmware was updated.
func (p *platformFlags) platform() (collateral.Platform, error) {
	var certificate []byte
	var err error
	if p.certificate != "" {
		if certificate, err = readAtMost(p.certificate, attest.MaxRawBytes); err != nil {
			return collateral.Platform{}, err
		}
	}
	if p.evidence == "" {
		return p.named(certificate)
	}
	b, err := readAtMost(p.evidence, attest.MaxEvidenceBytes)
	if errors.Is(err, os.ErrNotExist) && p.folder != "" {
		return collateral.Platform{}, fmt.Errorf("%w: start the server once: it writes the file, and then says that collateral is missing", err)
	}
	if err != nil {
		return collateral.Platform{}, err
	}
	e, err := attest.ParseEvidence(b)
	if err != nil {
		return collateral.Platform{}, fmt.Errorf("%s: %w", p.evidence, err)
	}
	out, err := collateral.Of(e, p.product)
	if err == nil && certificate != nil {
		given, e := collateral.Endorsed(collateral.VendorRoots(), certificate, out.AMD.Chip)
		out.Endorsement, err = given.Endorsement, e
	}
	return out, err
}

// named is the platform without evidence.
func (p *platformFlags) named(certificate []byte) (out collateral.Platform, err error) {
	out.TEE = p.tee
	switch {
	case p.tee == attest.SNP:
		chip, err := hex.DecodeString(p.chip)
		if n := len(chip); err != nil || n != 0 && n != 8 && n != 64 {
			return out, usageError("--chip-id %.140q: write 64 bytes in hexadecimal, or on Turin 8", p.chip)
		}
		var id [64]byte
		copy(id[:], chip)
		if certificate != nil {
			return collateral.Endorsed(collateral.VendorRoots(), certificate, id)
		}
		out.AMD = snp.Key{Product: p.product, Chip: id}
		if out.AMD.TCB, err = parseTCB(p.tcb, p.product); err != nil {
			return out, usageError("--tcb: %v", err)
		}
	case p.tee == attest.SGX || p.tee == attest.TDX:
		out.Intel = intel.Family{FMSPC: strings.ToLower(p.fmspc), CA: p.ca}
	default:
		return out, usageError("of which platform? Add --folder DIR, --evidence FILE, or --tee sgx, tdx or snp with what belongs to it")
	}
	if err := out.Check(); err != nil {
		return out, fmt.Errorf("%w: %w", errUsage, err)
	}
	return out, nil
}

// parseTCB reads the versions of AMD's firmware, each of which must be there.
func parseTCB(text, product string) (t attest.AMDTCB, err error) {
	fields := map[string]*uint8{"boot_loader": &t.BootLoader, "tee": &t.TEE, "snp": &t.SNP, "microcode": &t.Microcode}
	example := "boot_loader=4,tee=0,snp=22,microcode=213"
	if product == snp.Turin || product == "" && strings.Contains(text, "fmc") {
		fields["fmc"], example = &t.FMC, "fmc=1,"+example
	}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 10, 8)
		if fields[name] == nil || err != nil {
			return t, fmt.Errorf("%.40q: write each of the versions once, 0 to 255, such as %s", part, example)
		}
		*fields[name] = uint8(n)
		delete(fields, name)
	}
	if len(fields) > 0 {
		return t, fmt.Errorf("%.80q lacks a version: write such as %s", text, example)
	}
	return t, nil
}

func newCollateralFetch() *cobra.Command {
	var p platformFlags
	var c collateral.Client
	var caFile string
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "fetch (--folder DIR | --evidence FILE --out FILE | --tee TEE ... --out FILE)",
		Short: "fetch collateral and keep it renewed",
		Long: `Asks Intel's or AMD's service for everything that evidence of a platform needs,
verifies it, and replaces the file whole or not at all; a server that runs takes it
up by itself. What cannot be fetched, or is older than what is there, stays as it
was, and a warning says until when that is good. Run it once a day (cron), or leave
it running with --watch.

Which platform it is stands in evidence, which a server writes into its folder
when it starts, or is said by flags. A mirror, such as Intel's PCCS, is named with
--intel-base-url or --amd-base-url; http will do, since everything is signed.

` + collateralExitCodes,
		Example: `  teems collateral fetch --folder server-0
  teems collateral fetch --folder server-0 --watch --every 12h
  teems collateral fetch --folder server-0 --intel-base-url https://pccs.example:8081 --tls-ca pccs.pem
  teems collateral fetch --tee tdx --fmspc 50806f000000 --out collateral.bin
  teems collateral fetch --tee snp --product Genoa --chip-id 3ac3... --tcb boot_loader=9,tee=0,snp=23,microcode=71 --out collateral.bin`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.paths("out"); err != nil {
				return err
			}
			if every < time.Minute {
				return usageError("--every %v: the services do not like to be asked so often; choose a minute at least", every)
			}
			var err error
			if c.HTTP, err = httpClient(caFile); err != nil {
				return err
			}
			c.Say = sayOn(cmd.ErrOrStderr())
			once := func(ctx context.Context) error { return p.fetch(ctx, c, cmd.OutOrStdout()) }
			if !watch {
				return once(cmd.Context())
			}
			return keepRenewed(cmd.Context(), every, once, sayOn(cmd.ErrOrStderr()))
		},
	}
	p.flags(cmd, "out", "the file to renew")
	f := cmd.Flags()
	f.StringVar(&c.IntelURL, "intel-base-url", "", "a mirror of Intel's service (default: "+collateral.IntelURL+")")
	f.StringVar(&c.IntelRootCRLURL, "intel-root-crl-url", "", "where the root's list is (default: "+collateral.IntelRootCRLURL+", or the mirror's)")
	f.StringVar(&c.AMDURL, "amd-base-url", "", "a mirror of AMD's service (default: "+collateral.AMDURL+")")
	f.StringVar(&caFile, "tls-ca", "", "certificate (PEM) by which a mirror with https is known")
	f.DurationVar(&c.Timeout, "timeout", collateral.DefaultTimeout, "how long to wait for one answer")
	f.IntVar(&c.Tries, "tries", collateral.DefaultTries, "how often to ask for one thing")
	f.BoolVar(&watch, "watch", false, "renew again and again, until it is interrupted")
	f.DurationVar(&every, "every", 24*time.Hour, "with --watch: how long after the last time; an hour at most after a failure")
	return cmd
}

// fetch renews the file once and reports.
func (p *platformFlags) fetch(ctx context.Context, c collateral.Client, out io.Writer) error {
	platform, err := p.platform()
	if err != nil {
		return err
	}
	r, err := collateral.Renew(ctx, c, collateral.VendorRoots(), p.file, platform)
	return p.tell(out, r, err)
}

func (p *platformFlags) tell(out io.Writer, r *collateral.Report, err error) error {
	if r == nil {
		return err
	}
	if p.asJSON {
		return errors.Join(printJSON(out, r), err)
	}
	_, e := fmt.Fprint(out, r.Text())
	return errors.Join(e, err)
}

// keepRenewed does it again and again. A failure is said, and tried again sooner.
func keepRenewed(ctx context.Context, every time.Duration, once func(context.Context) error, say func(string)) error {
	for {
		pause := every
		if err := once(ctx); err != nil && ctx.Err() == nil {
			pause = min(every, time.Hour)
			say(fmt.Sprintf("teems: %v; again in %v", err, pause))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// httpClient knows the system's authorities and the one in the file.
func httpClient(caFile string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if caFile == "" {
		return &http.Client{Transport: t}, nil
	}
	b, err := readAtMost(caFile, 1<<20)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, usageError("--tls-ca %s: there is no certificate in PEM in it", caFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool}
	return &http.Client{Transport: t}, nil
}

func newCollateralShow() *cobra.Command {
	var p platformFlags
	var at string
	cmd := &cobra.Command{
		Use:   "show (--folder DIR | --file FILE)",
		Short: "tell what is in a file with collateral, and until when it is good",
		Long: `Checks each part of a file with collateral as far as that goes without evidence:
who signed it, when it ends, of which platforms it is. With evidence it says as
well whether that is genuine with it.

` + collateralExitCodes,
		Example: `  teems collateral show --folder server-0
  teems collateral show --file collateral.bin --at 2026-01-31T12:00:00Z --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.paths("file"); err != nil {
				return err
			}
			now, err := parseTime(at)
			if err != nil {
				return err
			}
			platform, err := p.shown()
			if err != nil {
				return err
			}
			r, err := collateral.Inspect(collateral.VendorRoots(), p.file, platform, now)
			return p.tell(cmd.OutOrStdout(), r, err)
		},
	}
	p.flags(cmd, "file", "the file with collateral")
	cmd.Flags().StringVar(&at, "at", "", "the time for which it is to be checked: seconds since 1970, or such as 2026-01-31T12:00:00Z (default: now)")
	return cmd
}

// shown is the platform, if nothing else says so that of the collateral itself.
func (p *platformFlags) shown() (collateral.Platform, error) {
	if p.evidence != "" || p.tee != "" {
		return p.platform()
	}
	b, err := bundle.File(p.file)()
	if err != nil {
		return collateral.Platform{}, err
	}
	return collateral.About(b)
}
