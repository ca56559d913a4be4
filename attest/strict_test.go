package attest_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
)

func TestParsePolicy(t *testing.T) {
	p := production()
	p.Recorded = &attest.RecordedEvidence{AcceptRevocationUnchecked: true}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := string(b)
	if got, err := attest.ParsePolicy(b); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for name, x := range map[string]struct {
		from, to string
		kind     error
	}{
		"unknown field":  {`"sgx": {`, `"x": 1, "sgx": {`, attest.ErrPolicy},
		"unknown inside": {`"allow_smt"`, `"allow_smt2"`, attest.ErrPolicy},
		"missing field":  {`"product": 5,`, ``, attest.ErrPolicy},
		"missing flag":   {`"allow_simulated_tee_that_protects_nothing": false,`, ``, attest.ErrPolicy},
		"twice":          {`"product": 5,`, `"product": 5, "product": 5,`, attest.ErrPolicy},
		"other case":     {`"product"`, `"Product"`, attest.ErrPolicy},
		"null":           {`"product": 5`, `"product": null`, attest.ErrPolicy},
		"null section":   {`"recorded_evidence_only": {`, `"recorded_evidence_only": null, "x": {`, attest.ErrPolicy},
		"capitals":       {strings.Repeat("0c", 32), strings.Repeat("0C", 32), attest.ErrPolicy},
		"word":           {`"product": 5`, `"product": "5"`, attest.ErrPolicy},
		"large number":   {`"product": 5`, `"product": 65536`, attest.ErrPolicy},
		"trailing":       {"\n}", "\n}\n{}", attest.ErrPolicy},
		"unknown TEE":    {`"snp": [`, `"cca": [`, attest.ErrUnknownTEE},
	} {
		changed := strings.Replace(file, x.from, x.to, 1)
		if changed == file {
			t.Errorf("%s: changes nothing", name)
		}
		if _, err := attest.ParsePolicy([]byte(changed)); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []string{"", "null", "[]", "{", `{}{}`, strings.Repeat("[", 100000)} {
		if _, err := attest.ParsePolicy([]byte(s)); !errors.Is(err, attest.ErrPolicy) && !errors.Is(err, attest.ErrEmptyPolicy) {
			t.Errorf("%.10q: %v", s, err)
		}
	}
	if _, err := attest.ParsePolicy([]byte("{}")); !errors.Is(err, attest.ErrEmptyPolicy) {
		t.Error(err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	b, _ := json.Marshal(production())
	f.Add(b)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := attest.ParsePolicy(b)
		if err != nil {
			return
		}
		again, _ := json.Marshal(p)
		if q, err := attest.ParsePolicy(again); err != nil || !reflect.DeepEqual(p, q) {
			t.Errorf("%s is read back as %s, %v", b, again, err)
		}
	})
}
