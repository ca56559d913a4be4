package manifest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
)

// realPolicy accepts all real TEEs.
func realPolicy() attest.Policy {
	intel := attest.IntelRules{Platforms: []string{attest.Any}, TCBStatuses: []attest.TCBStatus{attest.UpToDate}, MinTCBEvaluation: 17, MinTCBDate: "2024-03-13"}
	return attest.Policy{
		Measurements: map[string][]attest.Measurement{attest.SGX: {make([]byte, 32)}, attest.TDX: {make([]byte, 48)}, attest.SNP: {make([]byte, 48)}},
		SGX:          &attest.SGXRules{Signers: []string{strings.Repeat("0c", 32)}, Product: 1, MinSVN: 2, IntelRules: intel},
		TDX:          &attest.TDXRules{IntelRules: intel},
		SNP:          &attest.SNPRules{Signers: []string{attest.None}, Platforms: []string{strings.Repeat("0b", 64)}, MinSVN: 1, MinTCB: attest.AMDTCB{SNP: 4}},
	}
}

func realManifest(t *testing.T, p attest.Policy) (*Signed, error) {
	key, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewDefault(Options{
		Servers: LocalServers(3, "127.0.0.1", 7000, 1), Operators: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Policy: p, Parameters: DefaultParameters(64),
	})
	if err != nil {
		return nil, err
	}
	return s, s.Sign(key)
}

func TestRealPolicy(t *testing.T) {
	s, err := realManifest(t, realPolicy())
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(file)
	if err != nil || again.Hash() != s.Hash() || !reflect.DeepEqual(again.Manifest.Policy(), realPolicy()) {
		t.Fatalf("%+v, %v", again, err)
	}
	show := s.Show()
	for _, want := range []string{"sgx  signers 0c0c0c0c0c0c0c0c...; product 1, version 2", "TCB evaluation 17", "snp  ciphertext hiding; signers none"} {
		if !strings.Contains(show, want) {
			t.Errorf("%q is not shown:\n%s", want, show)
		}
	}
	text := string(file)
	for name, x := range map[string][2]string{
		"no rules":         {`"sgx": {` + "\n", `"x": {` + "\n"},
		"missing SVN":      {`"product": 1,`, ``},
		"missing platform": {`"min_tcb": {`, `"min_tcb2": {`},
		"missing number":   {`"boot_loader": 0,`, ``},
		"unknown field":    {`"allow_smt": false`, `"allow_smt": false, "allow_debug": true`},
		"twice":            {`"allow_smt": false`, `"allow_smt": false, "allow_smt": true`},
		"revoked":          {`"UpToDate"`, `"Revoked"`},
		"exceptions": {`"allow_simulated_tee_that_protects_nothing": false`, `"allow_simulated_tee_that_protects_nothing": false,
			"recorded_evidence_only": {"accept_revocation_unchecked": true, "accept_debug_mode_that_shows_all_memory": false, "accept_no_ciphertext_hiding_that_shows_every_choice": false}`},
	} {
		changed := strings.Replace(text, x[0], x[1], 1)
		if changed == text {
			t.Errorf("%s: changes nothing", name)
		}
		if _, err := Parse([]byte(changed)); !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No manifest can be made of a policy for recorded evidence.
func TestNoExceptions(t *testing.T) {
	p := realPolicy()
	p.Recorded = &attest.RecordedEvidence{}
	if _, err := realManifest(t, p); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
