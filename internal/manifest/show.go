package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/teems-go/teems/attest"
)

// Show describes the manifest in words, for people.
func (s *Signed) Show() string {
	m, b := &s.Manifest, new(bytes.Buffer)
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

	line("Manifest %d (format %d)", m.Sequence, m.Format)
	line("  hash         %x", s.Hash())
	if m.Sequence == 1 {
		line("  predecessor  none, it is the first")
		line("  cluster      none yet: the first server makes the cluster key under this manifest")
	} else {
		line("  predecessor  %v", m.Predecessor)
		line("  cluster      %x (key %v)", m.ClusterID(), m.ClusterKey)
	}
	line("  era          %d of the keys", m.Era)
	line("")
	m.showTEEs(line)
	line("")
	line("Operators: %d of these %d together may sign the next manifest", m.Operators.Threshold, len(m.Operators.Keys))
	for _, k := range m.Operators.Keys {
		line("  %v", k)
	}
	line("")
	line("Servers: %d", len(m.Servers))
	for i, v := range m.Servers {
		roles := make([]string, len(v.Roles))
		for j, r := range v.Roles {
			roles[j] = string(r)
		}
		line("  %d  %s: %s; weight %d, threads %d, mesh %s, front %s", i, v.Name, strings.Join(roles, ", "), v.Weight, v.Threads, v.Mesh, v.Front)
	}
	line("")
	m.showParameters(line)
	line("")
	line("Signatures in the file: %d (whether they suffice, and are right, is for verification to say)", len(s.Signatures))
	for _, x := range s.Signatures {
		by := "not one of its own operators"
		if m.Operators.find(x.Key) >= 0 {
			by = "one of its own operators"
		}
		line("  by %v, %s", x.Key, by)
	}
	return b.String()
}

func (m *Manifest) showTEEs(line func(string, ...any)) {
	p := m.Policy()
	if p.AllowSimulatedTEEThatProtectsNothing {
		line("THIS DEPLOYMENT ACCEPTS SIMULATED TEES: IT PROTECTS NOTHING.")
	}
	line("Accepted code, by TEE:")
	for _, tee := range p.TEEs() {
		for _, x := range p.Measurements[tee] {
			line("  %s  %v", tee, x)
		}
	}
	showRules(p, line)
	if c := m.SimulatedClients; c != nil {
		line("Simulated clients: %d, with keys that anyone can derive from this manifest", c.Count)
	}
}

// showRules describes what evidence must satisfy besides its measurement.
func showRules(p attest.Policy, line func(string, ...any)) {
	intel := func(tee string, r attest.IntelRules) {
		line("  %s  platforms %s; TCB status %v; TCB evaluation %d or newer, TCB level of %s or newer", tee, short(r.Platforms), r.TCBStatuses, r.MinTCBEvaluation, r.MinTCBDate)
	}
	if r := p.SGX; r != nil {
		line("  sgx  signers %s; product %d, version %d or newer", short(r.Signers), r.Product, r.MinSVN)
		intel(attest.SGX, r.IntelRules)
	}
	if r := p.TDX; r != nil {
		intel(attest.TDX, r.IntelRules)
	}
	if r := p.SNP; r != nil {
		line("  snp  ciphertext hiding; signers %s; platforms %s; version %d or newer, firmware %+v or newer, SMT allowed: %v", short(r.Signers), short(r.Platforms), r.MinSVN, r.MinTCB, r.AllowSMT)
	}
}

// short writes a list of values, each cut to its first digits.
func short(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s
		if len(s) > 16 {
			out[i] = s[:16] + "..."
		}
	}
	return strings.Join(out, ", ")
}

func (m *Manifest) showParameters(line func(string, ...any)) {
	p := m.Parameters
	line("Parameters")
	line("  clients        at most %d, in %d virtual shards", p.Capacity, p.VirtualShards)
	line("  message        %d bytes", p.CellBytes)
	switch c := p.IDChannel; {
	case c.Out == 0:
		line("  ID channel     off")
	case c.Priority == PriorityOpen:
		line("  ID channel     %d out and %d in per client and epoch; priorities are open: every sender chooses its own", c.Out, c.Contacts)
	default:
		line("  ID channel     %d out per client and epoch, and in %d from contacts (with passes) and %d from strangers", c.Out, c.Contacts, c.Strangers)
	}
	if c := p.TokenChannel; c.Out == 0 {
		line("  token channel  off")
	} else {
		line("  token channel  %d out and %d in per client and epoch", c.Out, c.In)
	}
	line("  epochs         a token spans at most %d, and ends at most %d ahead; %d deliveries are kept; %d attempts an epoch", p.TokenEpochs, p.HorizonEpochs, p.DeliveryEpochs, p.Attempts)
}
