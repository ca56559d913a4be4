package sgx

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

// Gramine's folder and the files in it.
const (
	DefaultFolder = "/dev/attestation"

	fileType       = "attestation_type"
	fileReportData = "user_report_data"
	fileQuote      = "quote"
	fileSealingKey = "keys/_sgx_mrenclave"

	sealingKeyBytes = 16
	maxQuoteBytes   = 32 << 10
)

// Issuer is an enclave under Gramine. It implements [attest.Platform], and
// may be used from several goroutines at once.
type Issuer struct {
	folder      string
	collateral  bundle.Source
	measurement attest.Measurement

	mu sync.Mutex // held from the writing of report data to the reading of the quote
}

var _ attest.Platform = (*Issuer)(nil)

// NewIssuer returns the enclave whose attestation files are in the folder,
// DefaultFolder but for tests. The collateral goes with each piece of
// evidence and may be nil. It makes a first quote to learn its measurement,
// and so fails where quotes cannot be made.
func NewIssuer(folder string, collateral bundle.Source) (*Issuer, error) {
	if err := Available(os.DirFS(folder)); err != nil {
		return nil, fmt.Errorf("%w: %w", attest.ErrIssue, err)
	}
	i := &Issuer{folder: folder, collateral: collateral}
	r, _, err := i.quote(attest.Bind(attest.PurposeProbe))
	if err != nil {
		return nil, err
	}
	i.measurement = append(attest.Measurement(nil), r.MREnclave[:]...)
	return i, nil
}

// Available says, by an error, why Gramine's attestation files in the folder
// cannot be used, or nil.
func Available(folder fs.FS) error {
	b, err := fs.ReadFile(folder, fileType)
	if err != nil {
		return fmt.Errorf("no Gramine enclave: %w", err)
	}
	switch kind := strings.TrimSpace(string(b)); kind {
	case "dcap":
	case "none":
		return fmt.Errorf("a Gramine enclave without attestation: set sgx.remote_attestation to \"dcap\" in its manifest")
	default:
		return fmt.Errorf("a Gramine enclave with attestation of type %.40q, which this program does not know", kind)
	}
	for _, name := range []string{fileReportData, fileQuote} {
		if _, err := fs.Stat(folder, name); err != nil {
			return fmt.Errorf("a Gramine enclave whose attestation files are incomplete: %w", err)
		}
	}
	return nil
}

// Measurement implements [attest.Issuer].
func (i *Issuer) Measurement() attest.Measurement { return bytes.Clone(i.measurement) }

// Issue implements [attest.Issuer].
func (i *Issuer) Issue(data attest.ReportData) (attest.Evidence, error) {
	r, raw, err := i.quote(data)
	if err != nil {
		return attest.Evidence{}, err
	}
	if !i.measurement.Equal(r.MREnclave[:]) {
		return attest.Evidence{}, fmt.Errorf("%w: the enclave's measurement changed", attest.ErrIssue)
	}
	return bundle.Evidence(attest.SGX, raw, i.collateral)
}

// quote gets a quote over data and checks that it is one.
func (i *Issuer) quote(data attest.ReportData) (*intel.EnclaveReport, []byte, error) {
	bad := func(err error) (*intel.EnclaveReport, []byte, error) {
		return nil, nil, fmt.Errorf("%w: %w", attest.ErrIssue, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := write(filepath.Join(i.folder, fileReportData), data[:]); err != nil {
		return bad(err)
	}
	raw, err := os.ReadFile(filepath.Join(i.folder, fileQuote))
	if err != nil {
		return bad(err)
	}
	if len(raw) > maxQuoteBytes {
		return bad(fmt.Errorf("a quote of %d bytes", len(raw)))
	}
	_, body, err := intel.ParseQuote(raw, quoteVersion, intel.TypeSGX, intel.ReportBytes)
	if err != nil {
		return bad(err)
	}
	r, err := intel.ParseEnclaveReport(body)
	if err != nil {
		return bad(err)
	}
	if r.ReportData != data {
		return bad(fmt.Errorf("the quote is over other report data than was written"))
	}
	return r, raw, nil
}

// write writes to a file that is there, in one call: Gramine's pseudo-files
// can be neither created nor truncated.
func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// SealingKey implements [attest.Sealer]: the key that the processor derives
// from its own secret and MRENCLAVE, stretched.
func (i *Issuer) SealingKey() ([32]byte, error) {
	b, err := os.ReadFile(filepath.Join(i.folder, fileSealingKey))
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", attest.ErrNoSealing, err)
	}
	if len(b) != sealingKeyBytes || bytes.Equal(b, make([]byte, sealingKeyBytes)) {
		return [32]byte{}, fmt.Errorf("%w: the sealing key in Gramine's files has %d bytes or is zero", attest.ErrNoSealing, len(b))
	}
	key, err := hkdf.Key(sha256.New, b, i.measurement, "teems/1 sgx sealing key", 32)
	clear(b)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %v", attest.ErrNoSealing, err)
	}
	return [32]byte(key), nil
}
