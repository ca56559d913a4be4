package attest_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

func TestBind(t *testing.T) {
	seen := map[attest.ReportData]string{}
	for name, r := range map[string]attest.ReportData{
		"nothing":         attest.Bind(""),
		"purpose":         attest.Bind("a"),
		"empty field":     attest.Bind("a", nil),
		"two empty":       attest.Bind("a", nil, nil),
		"field":           attest.Bind("a", []byte("bc")),
		"split field":     attest.Bind("a", []byte("b"), []byte("c")),
		"boundary moved":  attest.Bind("ab", []byte("c")),
		"length in field": attest.Bind("a", []byte{0, 0, 0, 0, 0, 0, 0, 0}),
	} {
		if o, ok := seen[r]; ok {
			t.Errorf("%s and %s give the same", name, o)
		}
		seen[r] = name
	}
	// The encoding is part of the protocol.
	const want = "69dc60c0a020c5495fcdf3c9217eabbcbef7e147036e2f6b27d6b89346e17555ebda50463fe81e5903fa3d91e2c89124432b4ddd5d488b64daf9ebe265ec109f"
	r := attest.Bind(attest.PurposeConnection, []byte("exporter"), []byte("key"))
	if got := hex.EncodeToString(r[:]); got != want {
		t.Errorf("got %s", got)
	}
}

func TestEvidenceEncoding(t *testing.T) {
	for _, e := range []attest.Evidence{
		{TEE: "simulated", Raw: []byte("x")},
		{TEE: strings.Repeat("a", attest.MaxTEEBytes), Raw: make([]byte, attest.MaxRawBytes)},
	} {
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := attest.ParseEvidence(b)
		if err != nil || got.TEE != e.TEE || !bytes.Equal(got.Raw, e.Raw) {
			t.Errorf("read back %v, %v", got.TEE, err)
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), append([]byte{2}, b[1:]...), b[:3], nil} {
			if _, err := attest.ParseEvidence(bad); !errors.Is(err, attest.ErrEvidence) {
				t.Errorf("%d bytes: %v", len(bad), err)
			}
		}
	}
	for _, e := range []attest.Evidence{
		{}, {TEE: "a"}, {Raw: []byte("x")}, {TEE: "A", Raw: []byte("x")}, {TEE: "a b", Raw: []byte("x")},
		{TEE: strings.Repeat("a", attest.MaxTEEBytes+1), Raw: []byte("x")},
		{TEE: "a", Raw: make([]byte, attest.MaxRawBytes+1)},
	} {
		if _, err := e.Encode(); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%q with %d bytes: %v", e.TEE, len(e.Raw), err)
		}
	}
}

func FuzzParseEvidence(f *testing.F) {
	b, _ := attest.Evidence{TEE: "simulated", Raw: []byte("raw")}.Encode()
	f.Add(b)
	f.Add([]byte{1, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := attest.ParseEvidence(b)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x was accepted, its encoding is %x, %v", b, again, err)
		}
	})
}

func measurement(b byte, n int) attest.Measurement { return bytes.Repeat([]byte{b}, n) }

// liar verifies everything as evidence of another TEE.
type liar struct{}

func (liar) Verify(attest.Evidence, time.Time) (attest.Claims, error) {
	return attest.Claims{TEE: "sgx"}, nil
}

func TestRegistry(t *testing.T) {
	e := attest.Evidence{TEE: "tdx", Raw: []byte("x")}
	for name, x := range map[string]struct {
		v    attest.Verifiers
		e    attest.Evidence
		kind error
	}{
		"nil registry":     {nil, e, attest.ErrUnknownTEE},
		"unknown TEE":      {simulated.Verifiers(), e, attest.ErrUnknownTEE},
		"nil verifier":     {attest.Verifiers{"tdx": nil}, e, attest.ErrNoVerifier},
		"nil of a type":    {attest.Verifiers{"tdx": (*simulated.Verifier)(nil)}, e, attest.ErrNoVerifier},
		"wrong verifier":   {attest.Verifiers{"tdx": simulated.NewVerifier()}, e, attest.ErrUnknownTEE},
		"lying verifier":   {attest.Verifiers{"tdx": liar{}}, e, attest.ErrNotGenuine},
		"no evidence":      {simulated.Verifiers(), attest.Evidence{}, attest.ErrEvidence},
		"oversize":         {simulated.Verifiers(), attest.Evidence{TEE: "simulated", Raw: make([]byte, attest.MaxRawBytes+1)}, attest.ErrEvidence},
		"not a report":     {simulated.Verifiers(), attest.Evidence{TEE: "simulated", Raw: []byte("x")}, attest.ErrEvidence},
		"name in capitals": {simulated.Verifiers(), attest.Evidence{TEE: "Simulated", Raw: []byte("x")}, attest.ErrEvidence},
	} {
		if _, err := x.v.Verify(x.e, time.Time{}); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppraise(t *testing.T) {
	code, data := [32]byte{1}, attest.Bind("test")
	e, err := simulated.NewIssuer(code).Issue(data)
	if err != nil {
		t.Fatal(err)
	}
	v, p := simulated.Verifiers(), simulated.Policy(code)
	if c, err := attest.Appraise(v, p, e, data, time.Time{}); err != nil || c.ReportData != data {
		t.Error(c, err)
	}
	for name, x := range map[string]struct {
		err  error
		kind error
	}{
		"other data":   {second(attest.Appraise(v, p, e, attest.Bind("other"), time.Time{})), attest.ErrBinding},
		"empty policy": {second(attest.Appraise(v, attest.Policy{}, e, data, time.Time{})), attest.ErrEmptyPolicy},
		"other code":   {second(attest.Appraise(v, simulated.Policy([32]byte{2}), e, data, time.Time{})), attest.ErrPolicy},
		"no verifier":  {second(attest.Appraise(nil, p, e, data, time.Time{})), attest.ErrUnknownTEE},
	} {
		if !errors.Is(x.err, x.kind) {
			t.Errorf("%s: %v", name, x.err)
		}
	}
}

func second(_ attest.Claims, err error) error { return err }

func TestMeasurementText(t *testing.T) {
	var m attest.Measurement
	if err := m.UnmarshalText([]byte(strings.Repeat("0a", 48))); err != nil || !m.Equal(measurement(10, 48)) {
		t.Error(m, err)
	}
	for _, s := range []string{"", "0a", strings.Repeat("0a", 31), strings.Repeat("0a", 65), strings.Repeat("0g", 32), strings.Repeat("0a", 32) + "0"} {
		if err := m.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
