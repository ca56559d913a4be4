package atls

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"fmt"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// The interoperable form of attested TLS, which Gramine and others make for
// SGX: an extension "tagged evidence" of the TCG with the CBOR
//
//	60000([quote, claims])           both byte strings
//	claims = {"pubkey-hash": bytes}  a map with text keys; may have "nonce": bytes
//	bytes  = [algorithm, hash]       of the certificate's key; 1 SHA-256, 7 SHA-384, 8 SHA-512
//
// The quote's report data is the SHA-256 of the claims and 32 zero bytes. The
// collateral is not in it: the verifier must have it. Definite and shortest
// lengths are accepted only, which is what Gramine writes.
var oidGramine = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 9}

const (
	cborMap = 5 << 5
	cborTag = 6 << 5

	gramineTag  = 60000
	pubkeyHash  = "pubkey-hash"
	claimsNonce = "nonce"
)

// parseGramine returns the evidence in an extension's value, checks that its
// claims are about the key, and says which report data it must have.
func parseGramine(b, key []byte) (attest.Evidence, attest.ReportData, error) {
	fail := func(what string) (attest.Evidence, attest.ReportData, error) {
		return attest.Evidence{}, attest.ReportData{}, fmt.Errorf("%w: tagged evidence: %s", errCMW, what)
	}
	if len(b) > maxCMWBytes {
		return fail("too long")
	}
	tag, r, ok := cutHead(b, cborTag)
	if !ok || tag != gramineTag {
		return fail("not tagged as a quote")
	}
	n, r, ok := cutHead(r, cborArray)
	if !ok || n != 2 {
		return fail("not a pair")
	}
	quote, r, ok := cutString(r, cborBytes)
	if !ok || len(quote) == 0 {
		return fail("no quote")
	}
	claims, r, ok := cutString(r, cborBytes)
	if !ok || len(r) != 0 {
		return fail("no claims, or something follows them")
	}
	entry, ok := keyClaim(claims)
	if !ok {
		return fail("its claims are malformed, or say nothing of a key")
	}
	if !hashes(entry, key) {
		return attest.Evidence{}, attest.ReportData{}, fmt.Errorf("%w: tagged evidence: it is about another key", attest.ErrBinding)
	}
	e := attest.Evidence{TEE: attest.SGX, Raw: bundle.Bundle{Report: quote}.Encode()}
	var want attest.ReportData
	h := sha256.Sum256(claims)
	copy(want[:], h[:])
	return e, want, nil
}

// cutString cuts off a byte or text string.
func cutString(b []byte, major byte) (s, rest []byte, ok bool) {
	n, b, ok := cutHead(b, major)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// keyClaim returns what the claims say of the key.
func keyClaim(b []byte) (entry []byte, ok bool) {
	n, b, ok := cutHead(b, cborMap)
	if !ok || n < 1 || n > 2 {
		return nil, false
	}
	seen := map[string]bool{}
	for range n {
		var name, value []byte
		if name, b, ok = cutString(b, cborText); !ok {
			return nil, false
		}
		if value, b, ok = cutString(b, cborBytes); !ok {
			return nil, false
		}
		k := string(name)
		if seen[k] || k != pubkeyHash && k != claimsNonce {
			return nil, false
		}
		seen[k] = true
		if k == pubkeyHash {
			entry = value
		}
	}
	return entry, entry != nil && len(b) == 0
}

// hashes reports whether the entry is the hash of the key.
func hashes(entry, key []byte) bool {
	n, b, ok := cutHead(entry, cborArray)
	if !ok || n != 2 {
		return false
	}
	algorithm, b, ok := cutHead(b, cborUint)
	if !ok {
		return false
	}
	hash, b, ok := cutString(b, cborBytes)
	if !ok || len(b) != 0 {
		return false
	}
	switch algorithm {
	case 1:
		h := sha256.Sum256(key)
		return string(hash) == string(h[:])
	case 7:
		h := sha512.Sum384(key)
		return string(hash) == string(h[:])
	case 8:
		h := sha512.Sum512(key)
		return string(hash) == string(h[:])
	}
	return false
}
