package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/geometry"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// options are those of a deployment with three operators, two of whom sign.
func options() Options {
	return Options{
		Servers:    LocalServers(2, "127.0.0.1", 7000, 1),
		Operators:  []ed25519.PublicKey{public(key(1)), public(key(2)), public(key(3))},
		Policy:     simulated.Policy([32]byte{1}),
		Parameters: DefaultParameters(100),
	}
}

func made(t testing.TB, o Options, signers ...byte) *Signed {
	t.Helper()
	s, err := NewDefault(o)
	if err != nil {
		t.Fatal(err)
	}
	return signedBy(t, s, signers...)
}

func signedBy(t testing.TB, s *Signed, signers ...byte) *Signed {
	t.Helper()
	for _, b := range signers {
		if err := s.Sign(key(b)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// successor makes manifest n+1 with the cluster key 9.
func successor(t testing.TB, s *Signed, change func(*Manifest), signers ...byte) *Signed {
	t.Helper()
	n, err := s.Successor()
	if err != nil {
		t.Fatal(err)
	}
	n.Manifest.ClusterKey = Hex(public(key(9)))
	if change != nil {
		change(&n.Manifest)
	}
	return signedBy(t, n, signers...)
}

func encode(t testing.TB, s *Signed) []byte {
	t.Helper()
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	o := options()
	o.SimulatedClients = &SimulatedClients{Count: 50, Seed: make([]byte, SeedBytes)}
	first := made(t, o, 1, 2)
	inEra2 := successor(t, first, func(m *Manifest) { m.Era = 2 }, 1, 2)
	for _, s := range []*Signed{first, successor(t, first, nil, 2, 3), inEra2, made(t, options())} {
		b := encode(t, s)
		got, err := Parse(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if got.Manifest.Era != s.Manifest.Era || bytes.Contains(b, []byte(`"era"`)) != (s == inEra2) {
			t.Errorf("era %d was read as %d from\n%s", s.Manifest.Era, got.Manifest.Era, b)
		}
		if got.Hash() != s.Hash() || !bytes.Equal(encode(t, got), b) {
			t.Error("what is read back differs")
		}
		// Spaces and the order of fields are not signed.
		var any map[string]any
		if err := json.Unmarshal(b, &any); err != nil {
			t.Fatal(err)
		}
		sorted, _ := json.Marshal(any)
		if got, err := Parse(sorted); err != nil || got.Hash() != s.Hash() {
			t.Errorf("with sorted fields: %v", err)
		}
	}
}

// TestGoldenHash pins the canonical form: signatures outlive a version of the
// program.
func TestGoldenHash(t *testing.T) {
	b, err := os.ReadFile("testdata/first.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	const want = "e9f1daa73a3509a6e4310ce156c0a15e6a2d7edc4c9bf9ddcc0427fb453cd44e"
	if h := s.Hash(); Hex(h[:]).String() != want {
		t.Errorf("its hash is %x", h)
	}
	if err := s.Verify(s.Manifest.Operators); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(encode(t, s), b) {
		t.Error("it is encoded in another way")
	}
}

// TestParseStrict changes the text of a good file.
func TestParseStrict(t *testing.T) {
	o := options()
	o.SimulatedClients = &SimulatedClients{Count: 50, Seed: make([]byte, SeedBytes)}
	good := string(encode(t, made(t, o, 1)))
	for name, x := range map[string]struct {
		old, new string
		kind     error
	}{
		"unknown field":                  {`"sequence": 1,`, `"sequence": 1, "surprise": 1,`, ErrSyntax},
		"duplicate field":                {`"sequence": 1,`, `"sequence": 1, "sequence": 1,`, ErrSyntax},
		"duplicate TEE":                  {`"measurements": {`, `"measurements": {"simulated": ["` + strings.Repeat("00", 32) + `"],`, ErrSyntax},
		"duplicate by escape":            {`"sequence": 1,`, `"sequence": 1, "\u0073equence": 1,`, ErrSyntax},
		"name in capitals":               {`"sequence"`, `"Sequence"`, ErrSyntax},
		"another letter s":               {`"sequence"`, `"ſequence"`, ErrSyntax},
		"null":                           {`"predecessor": ""`, `"predecessor": null`, ErrSyntax},
		"missing field":                  {`"predecessor": "",`, ``, ErrSyntax},
		"missing count":                  {`"in": 4`, `"out": 1`, ErrSyntax},
		"missing in":                     {"\"out\": 1,\n        \"in\": 4", `"out": 1`, ErrSyntax},
		"missing policy flag":            {",\n      \"allow_simulated_tee_that_protects_nothing\": true", ``, ErrSyntax},
		"string for a number":            {`"sequence": 1`, `"sequence": "1"`, ErrSyntax},
		"number for a string":            {`"predecessor": ""`, `"predecessor": 0`, ErrSyntax},
		"fraction":                       {`"sequence": 1`, `"sequence": 1.5`, ErrSyntax},
		"negative":                       {`"sequence": 1`, `"sequence": -1`, ErrSyntax},
		"too large":                      {`"sequence": 1`, `"sequence": 18446744073709551616`, ErrSyntax},
		"object for an array":            {`"signatures": [`, `"signatures": {}, "x": [`, ErrSyntax},
		"half a hex digit":               {`"predecessor": ""`, `"predecessor": "a"`, ErrSyntax},
		"no hex":                         {`"predecessor": ""`, `"predecessor": "zz"`, ErrSyntax},
		"era 0":                          {`"sequence": 1,`, `"sequence": 1, "era": 0,`, ErrSyntax},
		"era 1, which goes without":      {`"sequence": 1,`, `"sequence": 1, "era": 1,`, ErrSyntax},
		"era as a string":                {`"sequence": 1,`, `"sequence": 1, "era": "2",`, ErrSyntax},
		"era of no number":               {`"sequence": 1,`, `"sequence": 1, "era": null,`, ErrSyntax},
		"era with an exponent":           {`"sequence": 1,`, `"sequence": 1, "era": 2e0,`, ErrSyntax},
		"era too large":                  {`"sequence": 1,`, `"sequence": 1, "era": 4294967296,`, ErrSyntax},
		"era 2 of manifest 1":            {`"sequence": 1,`, `"sequence": 1, "era": 2,`, ErrInvalid},
		"comment":                        {`"sequence": 1`, `/* */ "sequence": 1`, ErrSyntax},
		"trailing comma":                 {`"attempts": 8`, `"attempts": 8,`, ErrSyntax},
		"invalid UTF-8":                  {`"server-0"`, "\"server-\xff\"", ErrSyntax},
		"sequence 0":                     {`"sequence": 1`, `"sequence": 0`, ErrInvalid},
		"sequence 2":                     {`"sequence": 1`, `"sequence": 2`, ErrInvalid},
		"format 2":                       {`"format": 1`, `"format": 2`, ErrInvalid},
		"predecessor of 1":               {`"predecessor": ""`, `"predecessor": "00"`, ErrInvalid},
		"cluster key of 1":               {`"cluster_key": ""`, `"cluster_key": "` + strings.Repeat("00", 32) + `"`, ErrInvalid},
		"threshold 0":                    {`"threshold": 2`, `"threshold": 0`, ErrInvalid},
		"threshold 4":                    {`"threshold": 2`, `"threshold": 4`, ErrInvalid},
		"unknown role":                   {`"routing"`, `"rooting"`, ErrInvalid},
		"role twice":                     {`"routing"`, `"storage"`, ErrInvalid},
		"same name":                      {`"server-1"`, `"server-0"`, ErrInvalid},
		"name with space":                {`"server-1"`, `"server 1"`, ErrInvalid},
		"weight 0":                       {`"weight": 1`, `"weight": 0`, ErrInvalid},
		"threads 0":                      {`"threads": 1`, `"threads": 0`, ErrInvalid},
		"address without port":           {`"127.0.0.1:7000"`, `"127.0.0.1"`, ErrInvalid},
		"address without host":           {`"127.0.0.1:7000"`, `":7000"`, ErrInvalid},
		"address with odd port":          {`"127.0.0.1:7000"`, `"127.0.0.1:http"`, ErrInvalid},
		"address with zeroes":            {`"127.0.0.1:7000"`, `"127.0.0.1:07000"`, ErrInvalid},
		"address with a line":            {`"127.0.0.1:7000"`, `"a\nb:7000"`, ErrInvalid},
		"address twice":                  {`"127.0.0.1:7000"`, `"127.0.0.1:7001"`, ErrInvalid},
		"priority":                       {`"passes"`, `"closed"`, ErrInvalid},
		"no attempts":                    {`"attempts": 8`, `"attempts": 0`, ErrInvalid},
		"no virtual shards":              {`"virtual_shards": 2`, `"virtual_shards": 0`, ErrInvalid},
		"odd cell":                       {`"cell_bytes": 256`, `"cell_bytes": 255`, ErrInvalid},
		"simulated, not allowed":         {`protects_nothing": true`, `protects_nothing": false`, ErrInvalid},
		"real TEE and simulated clients": {`"measurements": {`, `"tdx": {"platforms": ["any"], "tcb_statuses": ["UpToDate"], "min_tcb_evaluation": 1, "min_tcb_date": "2024-03-13"}, "measurements": {"tdx": ["` + strings.Repeat("00", 48) + `"],`, ErrInvalid},
		"too many clients":               {`"count": 50`, `"count": 101`, ErrInvalid},
		"no clients":                     {`"count": 50`, `"count": 0`, ErrInvalid},
		"short seed":                     {`"seed": "00`, `"seed": "`, ErrInvalid},
		"short signature":                {`"signature": "`, `"signature": "", "x": "`, ErrSyntax},
		"half a signature's key":         {`"key": "` + Hex(public(key(1))).String()[:2], `"key": "`, ErrInvalid},
	} {
		bad := strings.Replace(good, x.old, x.new, 1)
		if bad == good {
			t.Errorf("%s: the case changes nothing", name)
		}
		if _, err := Parse([]byte(bad)); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{
		"nothing":       "",
		"null":          "null",
		"empty object":  "{}",
		"array":         "[]",
		"trailing data": good + "{}",
		"trailing text": good + "x",
		"cut":           good[:len(good)-3],
		"deep":          strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"oversize":      good + strings.Repeat(" ", MaxFileBytes),
	} {
		if _, err := Parse([]byte(bad)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Parse([]byte(strings.Replace(good, `"sequence": 1,`, `"sequence": 1, "sequence": 1,`, 1)))
	if err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("the error does not name the line: %v", err)
	}
}

func TestVerify(t *testing.T) {
	o := options()
	trust := made(t, o).Manifest.Operators
	for name, x := range map[string]struct {
		signers []byte
		ok      bool
	}{
		"none": {nil, false}, "one": {[]byte{1}, false}, "one twice": {[]byte{1, 1}, false},
		"one and a stranger": {[]byte{1, 8}, false}, "two": {[]byte{1, 3}, true},
		"two and a stranger": {[]byte{8, 3, 2}, true}, "three": {[]byte{3, 2, 1}, true},
	} {
		s := made(t, o, x.signers...)
		if err := s.Verify(trust); (err == nil) != x.ok || !x.ok && !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.VerifyPinned(s.Hash()); (err == nil) != x.ok {
			t.Errorf("%s, pinned: %v", name, err)
		}
	}
	good := made(t, o, 1, 2)
	if err := good.Verify(Operators{}); !errors.Is(err, ErrSignature) {
		t.Errorf("no operators to trust: %v", err)
	}
	if err := good.Verify(Operators{Threshold: 1, Keys: []Hex{Hex(public(key(8)))}}); !errors.Is(err, ErrSignature) {
		t.Errorf("other operators: %v", err)
	}
	if err := good.VerifyPinned([32]byte{}); !errors.Is(err, ErrSignature) {
		t.Errorf("another pin: %v", err)
	}
	changed := *good
	changed.Manifest.Parameters.Capacity++
	if err := changed.Verify(trust); !errors.Is(err, ErrSignature) {
		t.Errorf("changed after it was signed: %v", err)
	}
	for i := range ed25519.SignatureSize {
		bad := made(t, o, 1, 2)
		bad.Signatures[0].Signature[i] ^= 1
		if err := bad.Verify(trust); !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d of a signature was changed: %v", i, err)
		}
	}
}

func TestSuccessor(t *testing.T) {
	first := made(t, options(), 1, 2)
	second := successor(t, first, nil, 1, 2)
	// Manifest 3 hands over to other operators, who alone sign manifest 4.
	third := successor(t, second, func(m *Manifest) {
		m.Operators = Operators{Threshold: 1, Keys: []Hex{Hex(public(key(4)))}}
	}, 2, 3)
	fourth := successor(t, third, nil, 4)
	if err := VerifyChain(first.Manifest.Operators, first, second, third, fourth); err != nil {
		t.Fatal(err)
	}
	for name, chain := range map[string][]*Signed{
		"empty": {}, "nil": {nil}, "hole": {first, third}, "nil inside": {first, nil, third},
		"backwards": {second, first}, "repeated": {first, first}, "starts with other operators": {fourth},
	} {
		if err := VerifyChain(first.Manifest.Operators, chain...); err == nil {
			t.Errorf("the chain %q was accepted", name)
		}
	}
	inEra2 := successor(t, second, func(m *Manifest) { m.Era++ }, 1, 2)
	inEra3 := successor(t, successor(t, inEra2, nil, 2, 3), func(m *Manifest) { m.Era++ }, 1, 3)
	if err := inEra2.VerifySuccessor(second); err != nil || inEra3.Manifest.Era != 3 {
		t.Errorf("the next era: %v; then %d", err, inEra3.Manifest.Era)
	}
	fork := successor(t, made(t, func() Options { o := options(); o.Parameters.Capacity++; return o }(), 1, 2), nil, 1, 2)
	withClients := &SimulatedClients{Count: 1, Seed: make([]byte, SeedBytes)}
	real := TEEPolicy{
		Measurements: map[string][]attest.Measurement{"tdx": {make([]byte, 48)}},
		TDX:          &attest.TDXRules{IntelRules: attest.IntelRules{Platforms: []string{attest.Any}, TCBStatuses: []attest.TCBStatus{attest.UpToDate}, MinTCBEvaluation: 17, MinTCBDate: "2024-03-13"}},
	}
	for name, x := range map[string]struct {
		s, previous *Signed
		kind        error
	}{
		"no predecessor":       {second, nil, ErrChain},
		"of another first":     {fork, first, ErrChain},
		"sequence skipped":     {successor(t, second, func(m *Manifest) { m.Sequence++ }, 1, 2), second, ErrChain},
		"another cluster key":  {successor(t, second, func(m *Manifest) { m.ClusterKey = Hex(public(key(8))) }, 1, 2), second, ErrChain},
		"virtual shards":       {successor(t, second, func(m *Manifest) { m.Parameters.VirtualShards *= 2 }, 1, 2), second, ErrChain},
		"simulated clients":    {successor(t, second, func(m *Manifest) { m.SimulatedClients = withClients }, 1, 2), second, ErrChain},
		"becomes real":         {successor(t, second, func(m *Manifest) { m.TEEs = real }, 1, 2), second, ErrChain},
		"era skipped":          {successor(t, second, func(m *Manifest) { m.Era = 3 }, 1, 2), second, ErrChain},
		"era lowered":          {successor(t, inEra2, func(m *Manifest) { m.Era = 1 }, 1, 2), inEra2, ErrChain},
		"too few signatures":   {successor(t, second, nil, 1), second, ErrSignature},
		"by the new operators": {successor(t, third, nil, 1, 2), third, ErrSignature},
	} {
		if err := x.s.VerifySuccessor(x.previous); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := first.Successor(); err != nil || n.Manifest.Validate() == nil {
		t.Errorf("manifest 2 without a cluster key is valid: %v", err)
	}
	second.Manifest.Servers[0].Name = "changed"
	if first.Manifest.Servers[0].Name == "changed" {
		t.Error("a successor shares memory with its predecessor")
	}
}

func TestCluster(t *testing.T) {
	first := made(t, options(), 1, 2)
	second := successor(t, first, nil)
	if first.Manifest.HasCluster() || first.Manifest.PublicKey() != nil || first.Manifest.ClusterID() != [32]byte{} {
		t.Error("manifest 1 has a cluster")
	}
	if !second.Manifest.HasCluster() || !second.Manifest.PublicKey().Equal(public(key(9))) || second.Manifest.ClusterID() == [32]byte{} {
		t.Error("manifest 2 has no cluster")
	}
	if i, err := second.Manifest.Index("server-1"); i != 1 || err != nil {
		t.Error(i, err)
	}
	if _, err := second.Manifest.Index("x"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestGeometry(t *testing.T) {
	o := options()
	o.Servers[0].Roles = []Role{Storage, Ingestion}
	o.Servers[1].Weight = 3
	p, err := made(t, o).Manifest.Params()
	if err != nil {
		t.Fatal(err)
	}
	if p.Servers[0].Roles != geometry.Ingestion|geometry.Storage || p.Servers[1].Roles != geometry.AllRoles || p.Servers[1].Weight != 3 ||
		p.ID != (geometry.IDChannel{Out: 1, Contact: 2, Stranger: 2}) || p.Token != (geometry.TokenChannel{Out: 1, In: 4}) || p.Capacity != 100 {
		t.Errorf("%+v", p)
	}
	for _, params := range []Parameters{DefaultParameters(1000), ExperimentParameters(1 << 20)} {
		o.Parameters = params
		if _, err := made(t, o).Manifest.Geometry(); err != nil {
			t.Error(err)
		}
	}
	o.Servers = o.Servers[:1] // no routing server
	if _, err := NewDefault(o); !errors.Is(err, ErrInvalid) || !errors.Is(err, geometry.ErrParams) {
		t.Errorf("%v", err)
	}
	if _, err := NewDefault(Options{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestShow(t *testing.T) {
	text := made(t, options(), 1).Show()
	for _, s := range []string{"Manifest 1", "PROTECTS NOTHING", "2 of these 3", "server-1", "1 out and 4 in", "Signatures in the file: 1"} {
		if !strings.Contains(text, s) {
			t.Errorf("%q is not in\n%s", s, text)
		}
	}
	t.Log(successor(t, made(t, options()), nil, 1, 8).Show())
}

func FuzzParse(f *testing.F) {
	first := made(f, options(), 1, 2)
	f.Add(encode(f, first))
	f.Add(encode(f, successor(f, first, nil, 1, 2)))
	f.Add([]byte(`{"manifest":{"format":1},"signatures":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrInvalid) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		again, err := Parse(encode(t, s))
		if err != nil || again.Hash() != s.Hash() {
			t.Errorf("what was accepted is not read back: %v", err)
		}
	})
}
