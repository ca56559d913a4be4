package snp

import (
	"crypto/x509"
	"embed"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/teems-go/teems/attest"
)

// The product lines, as AMD names them.
const (
	Milan = "Milan"
	Genoa = "Genoa"
	Turin = "Turin"
)

// Root is AMD's root for a product line, with the intermediate certificate
// for one of the two kinds of platform keys.
type Root struct {
	Product      string
	VLEK         bool
	Certificate  *x509.Certificate // ARK
	Intermediate *x509.Certificate // ASK or, for VLEKs, ASVK
}

//go:embed roots/*.pem
var rootFiles embed.FS

// Roots returns AMD's roots for all product lines.
func Roots() []Root {
	var roots []Root
	for _, product := range []string{Milan, Genoa, Turin} {
		for _, kind := range []string{"vcek", "vlek"} {
			b, err := rootFiles.ReadFile("roots/" + strings.ToLower(product) + "-" + kind + ".pem")
			if err != nil {
				panic("snp: " + err.Error()) // impossible: embedded
			}
			roots = append(roots, Root{Product: product, VLEK: kind == "vlek", Intermediate: certificate(&b), Certificate: certificate(&b)})
		}
	}
	return roots
}

// certificate cuts the first certificate off an embedded file.
func certificate(b *[]byte) *x509.Certificate {
	block, rest := pem.Decode(*b)
	*b = rest
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic("snp: an embedded root does not parse: " + err.Error()) // impossible
	}
	return c
}

// key is what a platform key's certificate says of the platform.
type key struct {
	product string
	tcb     attest.AMDTCB
	hwid    []byte
}

var oidAMD = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}

func amdOID(n ...int) string {
	return append(oidAMD[:len(oidAMD):len(oidAMD)], n...).String()
}

// parseKey reads AMD's extensions of a VCEK or VLEK certificate.
func parseKey(c *x509.Certificate) (*key, error) {
	bad := func(what string) (*key, error) {
		return nil, fmt.Errorf("%w: the certificate of the platform's key: %s", attest.ErrEvidence, what)
	}
	values := map[string][]byte{}
	for _, e := range c.Extensions {
		values[e.Id.String()] = e.Value // x509 refuses an extension that is there twice
	}
	var name string
	if rest, err := asn1.UnmarshalWithParams(values[amdOID(2)], &name, "ia5"); err != nil || len(rest) != 0 {
		return bad("it names no product")
	}
	k := &key{}
	k.product, _, _ = strings.Cut(name, "-") // VCEKs name the stepping as well
	if k.product == "Siena" {
		k.product = Genoa // the same generation, under Genoa's root
	}
	fields := []struct {
		id    int
		into  *uint8
		maybe bool
	}{
		{1, &k.tcb.BootLoader, false}, {2, &k.tcb.TEE, false}, {3, &k.tcb.SNP, false}, {8, &k.tcb.Microcode, false}, {9, &k.tcb.FMC, k.product != Turin},
	}
	for _, f := range fields {
		value, ok := values[amdOID(3, f.id)]
		if !ok && f.maybe {
			continue
		}
		var n int
		if rest, err := asn1.Unmarshal(value, &n); err != nil || len(rest) != 0 || n < 0 || n > 255 {
			return bad("it lacks a firmware version")
		}
		*f.into = uint8(n)
	}
	// The hardware ID comes as bare bytes, though an extension should be DER.
	k.hwid = values[amdOID(4)]
	if len(k.hwid) != 64 && len(k.hwid) != 8 {
		var b []byte
		if rest, err := asn1.Unmarshal(k.hwid, &b); err == nil && len(rest) == 0 {
			k.hwid = b
		}
	}
	return k, nil
}

// chip reports whether the key belongs to the chip: its ID in full or, from
// Turin on, in the 8 bytes that are used.
func (k *key) chip(id [64]byte) bool {
	switch {
	case id == [64]byte{}:
		return false
	case len(k.hwid) == 64:
		return [64]byte(k.hwid) == id
	case len(k.hwid) == 8 && k.product == Turin:
		var want [64]byte
		copy(want[:], k.hwid)
		return want == id
	}
	return false
}
