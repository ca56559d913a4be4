// Package tsm issues evidence of TDX and SEV-SNP guests through Linux
// configfs-tsm, the kernel's one interface to both.
//
// Each piece of evidence is asked for in a folder of its own below
// /sys/kernel/config/tsm/report, and the kernel's generation counter shows
// whether somebody else wrote there in between. What comes back is parsed and
// compared with what was asked before it is used.
//
// TDX has no sealing key: a TD keeps nothing that outlives it, so its server
// gets the master secret anew from the others whenever it starts. On SEV-SNP
// the key is derived by the firmware from the chip's secret, the measurement
// and the guest's policy.
package tsm

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/linuxtsm"
	"github.com/google/go-configfs-tsm/report"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
)

// Client is access to configfs.
type Client = configfsi.Client

// Kernel returns access to the kernel's configfs.
func Kernel() (Client, error) {
	c, err := linuxtsm.MakeClient()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", attest.ErrIssue, err)
	}
	return c, nil
}

// The providers, as the kernel names them.
const (
	ProviderTDX = "tdx_guest"
	ProviderSNP = "sev_guest"
)

// Issuer is a TDX or SEV-SNP guest. It implements [attest.Platform], and may
// be used from several goroutines at once if the client may.
type Issuer struct {
	client      Client
	tee         string
	collateral  bundle.Source
	derive      Deriver
	measurement attest.Measurement
}

var _ attest.Platform = (*Issuer)(nil)

// NewTDX returns the TDX guest that this program runs in. The collateral goes
// with each piece of evidence and may be nil. It makes a first quote to learn
// its measurement.
func NewTDX(c Client, collateral bundle.Source) (*Issuer, error) {
	return start(&Issuer{client: c, tee: attest.TDX, collateral: collateral})
}

// NewSNP returns the SEV-SNP guest that this program runs in. A certificate
// of the platform's key that the host hands out is taken before that of the
// collateral. It makes a first report to learn its measurement.
func NewSNP(c Client, collateral bundle.Source, derive Deriver) (*Issuer, error) {
	return start(&Issuer{client: c, tee: attest.SNP, collateral: collateral, derive: derive})
}

func start(i *Issuer) (*Issuer, error) {
	if i.client == nil {
		return nil, fmt.Errorf("%w: no access to configfs", attest.ErrIssue)
	}
	_, m, err := i.report(attest.Bind(attest.PurposeProbe))
	if err != nil {
		return nil, err
	}
	i.measurement = m
	return i, nil
}

// Measurement implements [attest.Issuer].
func (i *Issuer) Measurement() attest.Measurement { return bytes.Clone(i.measurement) }

// Issue implements [attest.Issuer].
func (i *Issuer) Issue(data attest.ReportData) (attest.Evidence, error) {
	b, m, err := i.report(data)
	if err != nil {
		return attest.Evidence{}, err
	}
	if !i.measurement.Equal(m) {
		return attest.Evidence{}, fmt.Errorf("%w: the guest's measurement changed since the start: something extended a run-time register", attest.ErrIssue)
	}
	return bundle.Evidence(i.tee, b.Report, func() (bundle.Bundle, error) {
		if i.collateral == nil {
			return b, nil
		}
		c, err := i.collateral()
		return b.Or(c), err
	})
}

// report gets a report over data, with the certificate that the host hands
// out on SEV-SNP, and the measurement in it.
func (i *Issuer) report(data attest.ReportData) (bundle.Bundle, attest.Measurement, error) {
	bad := func(format string, args ...any) (bundle.Bundle, attest.Measurement, error) {
		return bundle.Bundle{}, nil, fmt.Errorf("%w: "+format, append([]any{attest.ErrIssue}, args...)...)
	}
	r, err := report.Get(i.client, &report.Request{InBlob: data[:], GetAuxBlob: i.tee == attest.SNP})
	if err != nil {
		return bad("%w", err)
	}
	provider, want := strings.TrimSpace(r.Provider), ProviderTDX
	if i.tee == attest.SNP {
		want = ProviderSNP
	}
	if provider != want {
		return bad("configfs-tsm is provided by %.40q here, and not by %q", provider, want)
	}
	b := bundle.Bundle{Report: r.OutBlob}
	var got attest.ReportData
	var m attest.Measurement
	if i.tee == attest.TDX {
		b.Report = trimQuote(b.Report)
		body, err := tdx.Parse(b.Report)
		if err != nil {
			return bad("%w", err)
		}
		got, m = body.ReportData, tdx.Measure(body)
	} else {
		s, err := snp.ParseReport(b.Report)
		if err != nil {
			return bad("%w", err)
		}
		got, m = s.ReportData, bytes.Clone(s.Measurement[:])
		if b.Endorsement, err = endorsement(r.AuxBlob, s.VLEK); err != nil {
			return bad("%w", err)
		}
	}
	if got != data {
		return bad("the report is over other data than was asked for")
	}
	return b, m, nil
}

// trimQuote cuts off the padding behind a quote.
func trimQuote(b []byte) []byte {
	const head = intel.HeaderBytes + 584
	if len(b) < head+4 {
		return b
	}
	if n := uint64(binary.LittleEndian.Uint32(b[head:])) + head + 4; n < uint64(len(b)) {
		return b[:n]
	}
	return b
}

// The names of the platform keys' certificates in the host's table: GUIDs.
var (
	guidVCEK = [16]byte{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd}
	guidVLEK = [16]byte{0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1}
)

// endorsement takes the certificate of the platform's key out of the host's
// table: entries GUID 16 | offset u32 | length u32, then one of zeros. There
// may be no table, and no such certificate in it.
func endorsement(table []byte, vlek bool) ([]byte, error) {
	want := guidVCEK
	if vlek {
		want = guidVLEK
	}
	for at := 0; len(table)-at >= 24; at += 24 {
		id := [16]byte(table[at:])
		if id == [16]byte{} {
			return nil, nil
		}
		from, n := uint64(binary.LittleEndian.Uint32(table[at+16:])), uint64(binary.LittleEndian.Uint32(table[at+20:]))
		if from+n > uint64(len(table)) {
			return nil, fmt.Errorf("%w: the host's table of certificates is malformed", attest.ErrEvidence)
		}
		if id == want {
			return table[from : from+n], nil
		}
	}
	if len(table) != 0 {
		return nil, fmt.Errorf("%w: the host's table of certificates does not end", attest.ErrEvidence)
	}
	return nil, nil
}

// Deriver asks the SEV-SNP firmware for the key that belongs to the chip, the
// measurement and the guest's policy.
type Deriver func() ([32]byte, error)

// DefaultDevice is the kernel's device for requests to the firmware.
const DefaultDevice = "/dev/sev-guest"

// SealingKey implements [attest.Sealer].
func (i *Issuer) SealingKey() ([32]byte, error) {
	if i.tee == attest.TDX {
		return [32]byte{}, fmt.Errorf("%w: TDX derives none: the server must get its secrets from the others each time it starts", attest.ErrNoSealing)
	}
	if i.derive == nil {
		return [32]byte{}, fmt.Errorf("%w: nothing to ask the firmware with", attest.ErrNoSealing)
	}
	b, err := i.derive()
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", attest.ErrNoSealing, err)
	}
	if b == [32]byte{} {
		return [32]byte{}, fmt.Errorf("%w: the firmware's key is zero", attest.ErrNoSealing)
	}
	key, err := hkdf.Key(sha256.New, b[:], i.measurement, "teems/1 snp sealing key", 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %v", attest.ErrNoSealing, err)
	}
	return [32]byte(key), nil
}
