package collateral

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/teems-go/teems/attest/snp"
)

// fetchAMD asks for everything that a report needs, but for a certificate that
// is there already: it is for one chip and one firmware, does not change, and
// the service does not like to be asked often.
func (c *Client) fetchAMD(ctx context.Context, roots []snp.Root, p Platform, have bool) (f fetched) {
	kind := "vcek"
	if p.AMD.VLEK {
		kind = "vlek"
	}
	base := c.AMDURL + "/" + kind + "/v1/" + p.AMD.Product + "/"
	if !have {
		if err := c.chain(ctx, roots, p, base); err != nil {
			f.failed(err)
		}
		if len(p.Endorsement) > 0 {
			f.Endorsement = p.Endorsement
		} else if body, err := c.endorsement(ctx, base, p.AMD); err != nil {
			f.failed(err)
		} else {
			f.Endorsement = body
		}
	}
	body, _, err := c.get(ctx, "AMD's revocation list", base+"crl", "is that AMD's service, or a mirror of it?")
	if err == nil {
		f.AMDCRL, err = list(body)
	}
	if err != nil {
		f.failed(err)
	}
	return f
}

// endorsement fetches the certificate of a chip's key for its firmware.
func (c *Client) endorsement(ctx context.Context, base string, k snp.Key) ([]byte, error) {
	t := k.TCB
	url := fmt.Sprintf("%s%s?blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d", base, hex.EncodeToString(k.HardwareID()), t.BootLoader, t.TEE, t.SNP, t.Microcode)
	if k.Product == snp.Turin {
		url += fmt.Sprintf("&fmcSPL=%02d", t.FMC)
	}
	body, _, err := c.get(ctx, "the certificate of the platform's key", url,
		"AMD knows no such chip with such firmware: compare the chip ID, the product and the firmware's versions with a report")
	if err != nil {
		return nil, err
	}
	cert, err := certificate(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the certificate of the platform's key: %w", ErrWrong, err)
	}
	return cert.Raw, nil
}

// chain compares AMD's chain of certificates with the one in this program.
func (c *Client) chain(ctx context.Context, roots []snp.Root, p Platform, base string) error {
	body, _, err := c.get(ctx, "AMD's chain of certificates", base+"cert_chain", "is that AMD's service, or a mirror of it?")
	if err != nil {
		return err
	}
	var certs []*x509.Certificate
	for rest := body; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return fmt.Errorf("%w: AMD's chain is not PEM", ErrWrong)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%w: AMD's chain: %w", ErrWrong, err)
		}
		certs = append(certs, cert)
	}
	if err := snp.Chain(roots, p.AMD, certs); err != nil {
		return fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return nil
}

// certificate reads one in DER or PEM.
func certificate(b []byte) (*x509.Certificate, error) {
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	return x509.ParseCertificate(b)
}

// Endorsed reads the platform from the certificate of its key, DER or PEM; chip
// may be zero, and then is not compared.
func Endorsed(roots Roots, file []byte, chip [64]byte) (Platform, error) {
	cert, err := certificate(file)
	if err != nil {
		return Platform{}, fmt.Errorf("%w: the certificate of the platform's key: %w", ErrPlatform, err)
	}
	k, err := snp.CertifiedKey(roots.AMD, cert.Raw)
	if err != nil {
		return Platform{}, fmt.Errorf("%w: %w", ErrPlatform, err)
	}
	k.Chip = chip
	return Platform{TEE: "snp", AMD: k, Endorsement: cert.Raw}, nil
}
