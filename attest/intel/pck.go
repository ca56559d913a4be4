package intel

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"

	"github.com/teems-go/teems/attest"
)

// pck is what a platform's certificate says of it.
type pck struct {
	ppid       string
	fmspc      string
	pceID      string
	components [16]int
	pceSVN     int
}

var (
	oidSGX   = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	oidPPID  = append(oidSGX[:7:7], 1)
	oidTCB   = append(oidSGX[:7:7], 2)
	oidPCEID = append(oidSGX[:7:7], 3)
	oidFMSPC = append(oidSGX[:7:7], 4)
)

type attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parsePCK reads Intel's extension of a platform's certificate.
func parsePCK(c *x509.Certificate) (*pck, error) {
	bad := func(what string) (*pck, error) {
		return nil, fmt.Errorf("%w: platform's certificate: %s", attest.ErrEvidence, what)
	}
	var value []byte
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSGX) {
			value = e.Value
		}
	}
	if value == nil {
		return bad("it has no SGX extension")
	}
	var list []attribute
	if rest, err := asn1.Unmarshal(value, &list); err != nil || len(rest) != 0 {
		return bad("its SGX extension is malformed")
	}
	p, seen := &pck{}, map[string]bool{}
	for _, a := range list {
		if seen[a.ID.String()] {
			return bad("its SGX extension says something twice")
		}
		seen[a.ID.String()] = true
		ok := true
		switch {
		case a.ID.Equal(oidPPID):
			p.ppid, ok = octets(a, 16)
		case a.ID.Equal(oidPCEID):
			p.pceID, ok = octets(a, 2)
		case a.ID.Equal(oidFMSPC):
			p.fmspc, ok = octets(a, 6)
		case a.ID.Equal(oidTCB):
			ok = p.parseTCB(a.Value.FullBytes)
		}
		if !ok {
			return bad("its SGX extension has a malformed field")
		}
	}
	for _, id := range []asn1.ObjectIdentifier{oidPPID, oidTCB, oidPCEID, oidFMSPC} {
		if !seen[id.String()] {
			return bad("its SGX extension lacks " + id.String())
		}
	}
	return p, nil
}

func octets(a attribute, n int) (string, bool) {
	var b []byte
	rest, err := asn1.Unmarshal(a.Value.FullBytes, &b)
	return hex.EncodeToString(b), err == nil && len(rest) == 0 && len(b) == n
}

// parseTCB reads the component SVNs (1 to 16) and the PCE's (17).
func (p *pck) parseTCB(b []byte) bool {
	var list []attribute
	if rest, err := asn1.Unmarshal(b, &list); err != nil || len(rest) != 0 {
		return false
	}
	seen := map[int]bool{}
	for _, a := range list {
		if len(a.ID) != len(oidTCB)+1 || !a.ID[:len(oidTCB)].Equal(oidTCB) {
			return false
		}
		n := a.ID[len(oidTCB)]
		if seen[n] {
			return false
		}
		seen[n] = true
		if n < 1 || n > 17 { // 18 is the same once more, as CPUSVN
			continue
		}
		var svn int
		if rest, err := asn1.Unmarshal(a.Value.FullBytes, &svn); err != nil || len(rest) != 0 || svn < 0 || svn > 0xffff {
			return false
		}
		if n == 17 {
			p.pceSVN = svn
		} else {
			p.components[n-1] = svn
		}
	}
	for n := 1; n <= 17; n++ {
		if !seen[n] {
			return false
		}
	}
	return true
}
