package tsm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-sev-guest/abi"
	"github.com/google/uuid"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
	"github.com/teems-go/teems/attest/tsm"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// guest is what the fake configfs answers with.
type guest struct {
	provider string
	report   func(attest.ReportData) []byte
	aux      []byte
	err      error
}

// client returns a configfs with the guest behind it.
func (g *guest) client() tsm.Client {
	sub := faketsm.ReportV7(0)
	sub.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(g.provider + "\n"), nil
		case "auxblob":
			return g.aux, g.err
		case "outblob":
			in := e.InAttrs["inblob"].Value
			if len(in) != 64 {
				return nil, fmt.Errorf("inblob of %d bytes", len(in))
			}
			return g.report(attest.ReportData(in)), g.err
		}
		return nil, os.ErrNotExist
	}
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": sub}}
}

func TestTDX(t *testing.T) {
	v := attesttest.NewIntel(now)
	td := attesttest.NewTD([48]byte{1})
	g := &guest{provider: "tdx_guest", report: func(d attest.ReportData) []byte {
		return append(v.TDXQuote(td, d), make([]byte, 100)...) // kernels pad
	}}
	i, err := tsm.NewTDX(g.client(), func() (bundle.Bundle, error) { return v.Collateral(attest.TDX), nil })
	if err != nil {
		t.Fatal(err)
	}
	verifier := tdx.NewTestVerifier(v.Root(), bundle.Bundle{})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			data := attest.Bind("test", []byte{byte(n)})
			e, err := i.Issue(data)
			if err != nil {
				t.Error(err)
				return
			}
			if c, err := verifier.Verify(e, now); err != nil || c.ReportData != data || !c.Measurement.Equal(i.Measurement()) || !c.RevocationChecked {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	all.Wait()
	if _, err := i.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
		t.Errorf("TDX has a sealing key: %v", err)
	}
	td.RTMR[2][0]++
	if _, err := i.Issue(attest.ReportData{}); !errors.Is(err, attest.ErrIssue) {
		t.Errorf("the measurement changed: %v", err)
	}
}

func TestSNP(t *testing.T) {
	v := attesttest.NewAMD(now)
	own := v.Collateral()
	table := (&abi.CertTable{Entries: []abi.CertTableEntry{
		{GUID: uuid.MustParse(abi.ArkGUID), RawCert: []byte("ark")}, {GUID: uuid.MustParse(abi.VcekGUID), RawCert: own.Endorsement},
	}}).Marshal()
	collateral := func() (bundle.Bundle, error) { return own, nil }
	list := func() (bundle.Bundle, error) { return bundle.Bundle{AMDCRL: own.AMDCRL}, nil }
	for name, x := range map[string]struct {
		aux    []byte
		source bundle.Source
	}{
		"certificate from the host":   {table, list},
		"certificate from the helper": {nil, collateral},
		"from both":                   {table, collateral},
		"empty table":                 {make([]byte, 24), collateral},
	} {
		g := &guest{provider: "sev_guest", aux: x.aux, report: func(d attest.ReportData) []byte { return v.Report(attesttest.NewGuest([48]byte{1}), d) }}
		secret := [32]byte{1, 2, 3}
		i, err := tsm.NewSNP(g.client(), x.source, func() ([32]byte, error) { return secret, nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, err := i.Issue(attest.Bind("test"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c, err := snp.NewTestVerifier(v.Roots(), bundle.Bundle{}).Verify(e, now); err != nil || c.ReportData != attest.Bind("test") || !c.Measurement.Equal(i.Measurement()) || !c.RevocationChecked {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		key, err := i.SealingKey()
		if again, _ := i.SealingKey(); err != nil || key != again || key == secret {
			t.Errorf("%s: %x, %v", name, key, err)
		}
		secret = [32]byte{}
		if _, err := i.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
			t.Errorf("%s: a key of zeros: %v", name, err)
		}
	}
}

func TestFailing(t *testing.T) {
	v, w := attesttest.NewIntel(now), attesttest.NewAMD(now)
	quote := func(d attest.ReportData) []byte { return v.TDXQuote(attesttest.NewTD([48]byte{1}), d) }
	report := func(d attest.ReportData) []byte { return w.Report(attesttest.NewGuest([48]byte{1}), d) }
	bad := make([]byte, 24)
	bad[0] = 1
	binary.LittleEndian.PutUint32(bad[20:], 1<<30)
	for name, x := range map[string]struct {
		guest guest
		snp   bool
	}{
		"SNP's provider":  {guest{provider: "sev_guest", report: quote}, false},
		"TDX's provider":  {guest{provider: "tdx_guest", report: report}, true},
		"no provider":     {guest{report: quote}, false},
		"not a quote":     {guest{provider: "tdx_guest", report: report}, false},
		"not a report":    {guest{provider: "sev_guest", report: quote}, true},
		"over other data": {guest{provider: "tdx_guest", report: func(attest.ReportData) []byte { return quote(attest.ReportData{}) }}, false},
		"firmware fails":  {guest{provider: "tdx_guest", report: quote, err: os.ErrDeadlineExceeded}, false},
		"malformed table": {guest{provider: "sev_guest", report: report, aux: bad}, true},
		"endless table":   {guest{provider: "sev_guest", report: report, aux: []byte("x")}, true},
	} {
		var err error
		if x.snp {
			_, err = tsm.NewSNP(x.guest.client(), nil, nil)
		} else {
			_, err = tsm.NewTDX(x.guest.client(), nil)
		}
		if !errors.Is(err, attest.ErrIssue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tsm.NewTDX(nil, nil); !errors.Is(err, attest.ErrIssue) {
		t.Error(err)
	}
	g := guest{provider: "sev_guest", report: report}
	i, err := tsm.NewSNP(g.client(), func() (bundle.Bundle, error) { return bundle.Bundle{}, os.ErrNotExist }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Issue(attest.ReportData{}); !errors.Is(err, attest.ErrIssue) {
		t.Errorf("no collateral: %v", err)
	}
	if _, err := i.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
		t.Errorf("no deriver: %v", err)
	}
	i, _ = tsm.NewSNP(g.client(), nil, tsm.Device(t.TempDir()+"/sev-guest"))
	if _, err := i.SealingKey(); !errors.Is(err, attest.ErrNoSealing) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
}
