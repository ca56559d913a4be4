package inspect_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/inspect"
	"github.com/teems-go/teems/attest/verifiers"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func at(t testing.TB, tee string) time.Time {
	t.Helper()
	x, err := time.Parse(time.RFC3339, strings.TrimSpace(string(file(t, tee+".time"))))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func all() attest.Verifiers { return verifiers.All(bundle.Bundle{}, bundle.Bundle{}) }

var exceptions = map[string]int{attest.SGX: 1, attest.TDX: 1, attest.SNP: 3}

func TestRecorded(t *testing.T) {
	for tee, n := range exceptions {
		r := inspect.Evidence(file(t, tee+".bin"), file(t, tee+".json"), at(t, tee), all())
		if r.Verdict != inspect.Accepted || r.TEE != tee || len(r.Exceptions) != n || len(r.Checks) < 8 || len(r.NotChecked) != 2 || r.Until == nil {
			t.Errorf("%s: %+v", tee, r)
		}
		b, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(b), `"verdict":"accepted"`) {
			t.Errorf("%s: %s, %v", tee, b, err)
		}
		if text := r.Text(); !strings.HasPrefix(text, "ACCEPTED: ") || strings.Count(text, "WAIVED") != n || !strings.Contains(text, "not checked: freshness") {
			t.Errorf("%s:\n%s", tee, text)
		}
	}
}

// Without a policy nothing is accepted, and what is not genuine is refused.
func TestShow(t *testing.T) {
	for _, tee := range []string{attest.SGX, attest.TDX, attest.SNP} {
		r := inspect.Show(file(t, tee+".bin"), at(t, tee), all())
		if r.Verdict != inspect.Genuine || r.TEE != tee || len(r.Measurement) == 0 || len(r.NotChecked) != 3 {
			t.Errorf("%s: %+v", tee, r)
		}
		if r := inspect.Show(file(t, tee+".bin"), time.Time{}, all()); r.Verdict != inspect.Refused {
			t.Errorf("%s, without a time: %+v", tee, r)
		}
	}
	if r := inspect.Show(file(t, "simulated.bin"), at(t, "sgx"), all()); r.Verdict != inspect.Genuine || !strings.Contains(r.Text(), "PROTECTS NOTHING") {
		t.Errorf("%+v", r)
	}
	if r := inspect.Show(nil, at(t, "sgx"), all()); r.Verdict != inspect.Refused {
		t.Errorf("%+v", r)
	}
}

func TestConnection(t *testing.T) {
	e, err := attest.ParseEvidence(file(t, "sgx.bin"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := all().Verify(e, at(t, "sgx"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := attest.ParsePolicy(file(t, "sgx.json"))
	if err != nil {
		t.Fatal(err)
	}
	proved := []attest.Check{{Name: "freshness", OK: true}}
	if r := inspect.Connection(c, p, at(t, "sgx"), proved); r.Verdict != inspect.Accepted || r.Checks[0].Name != "freshness" || len(r.NotChecked) != 0 {
		t.Errorf("%+v", r)
	}
	p.SGX.MinSVN = 99
	if r := inspect.Connection(c, p, at(t, "sgx"), proved); r.Verdict != inspect.Refused {
		t.Errorf("%+v", r)
	}
	if r := inspect.Connection(c, attest.Policy{}, at(t, "sgx"), proved); r.Verdict != inspect.Refused || !strings.Contains(r.Summary, "empty policy") {
		t.Errorf("%+v", r)
	}
}

func TestRefused(t *testing.T) {
	type args struct {
		evidence, policy []byte
		at               time.Time
	}
	sgx := args{file(t, "sgx.bin"), file(t, "sgx.json"), at(t, "sgx")}
	for name, x := range map[string]struct {
		change func(a *args)
		says   string
	}{
		"today":          {func(a *args) { a.at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }, "not valid at this time"},
		"before":         {func(a *args) { a.at = a.at.AddDate(-1, 0, 0) }, "not valid at this time"},
		"no time":        {func(a *args) { a.at = time.Time{} }, "no time was given"},
		"empty policy":   {func(a *args) { a.policy = file(t, "empty.json") }, "empty policy"},
		"no policy":      {func(a *args) { a.policy = nil }, "policy file"},
		"other policy":   {func(a *args) { a.policy = file(t, "tdx.json") }, "no measurement is accepted on the TEE"},
		"simulated":      {func(a *args) { a.evidence = file(t, "simulated.bin") }, "simulated and protects nothing"},
		"other evidence": {func(a *args) { a.evidence = file(t, "tdx.bin"); a.at = at(t, "tdx") }, "no measurement is accepted on the TEE"},
		"not evidence":   {func(a *args) { a.evidence = []byte("x") }, "malformed evidence"},
		"no exceptions": {func(a *args) {
			a.policy = []byte(strings.Replace(string(a.policy), "unchecked\": true", "unchecked\": false", 1))
		}, "revocation"},
		"wrong measurement": {func(a *args) { a.policy = []byte(strings.Replace(string(a.policy), "68823bc6", "68823bc7", 1)) }, "another program runs there"},
		"tampered":          {func(a *args) { a.evidence[300] ^= 1 }, "not genuine"},
	} {
		a := args{slices.Clone(sgx.evidence), slices.Clone(sgx.policy), sgx.at}
		x.change(&a)
		r := inspect.Evidence(a.evidence, a.policy, a.at, all())
		if r.Verdict != inspect.Refused || !strings.Contains(r.Summary, x.says) || len(r.Checks) == 0 {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Summary)
		}
		if !strings.Contains(r.Text(), "REFUSED") {
			t.Errorf("%s: %s", name, r.Text())
		}
	}
	if r := inspect.Evidence(sgx.evidence, sgx.policy, sgx.at, nil); r.Verdict != inspect.Refused || !strings.Contains(r.Summary, "no verifier here") {
		t.Errorf("without verifiers: %+v", r)
	}
}

// A change of any byte of recorded evidence makes it refused.
func TestEveryByte(t *testing.T) {
	step := 1
	if testing.Short() || slow {
		step = 13
	}
	for tee := range exceptions {
		t.Run(tee, func(t *testing.T) {
			t.Parallel()
			evidence, policy, when, v := file(t, tee+".bin"), file(t, tee+".json"), at(t, tee), all()
			for i := 0; i < len(evidence); i += step {
				mask := byte(1 << (i % 8))
				evidence[i] ^= mask
				if r := inspect.Evidence(evidence, policy, when, v); r.Verdict != inspect.Refused {
					t.Errorf("byte %d was changed by %#x, and the evidence accepted", i, mask)
				}
				evidence[i] ^= mask
			}
			for n := 0; n < len(evidence); n += 97 {
				if r := inspect.Evidence(evidence[:n], policy, when, v); r.Verdict != inspect.Refused {
					t.Errorf("cut to %d bytes, and accepted", n)
				}
			}
		})
	}
}

func FuzzEvidence(f *testing.F) {
	for tee := range exceptions {
		f.Add(file(f, tee+".bin"), file(f, tee+".json"))
	}
	v, when := all(), at(f, "tdx")
	f.Fuzz(func(t *testing.T, evidence, policy []byte) {
		r := inspect.Evidence(evidence, policy, when, v)
		if r.Verdict != inspect.Accepted && r.Verdict != inspect.Refused || r.Text() == "" {
			t.Errorf("%+v", r)
		}
	})
}
