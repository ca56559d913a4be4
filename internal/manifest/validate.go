package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net"
	"slices"
	"strconv"
)

// Validate reports what is wrong with the manifest, taken by itself.
func (m *Manifest) Validate() error {
	for _, check := range []func() error{
		m.validateChain,
		m.Operators.validate,
		m.validateServers,
		m.validateParameters,
		m.validatePolicy,
		m.validateSimulated,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func (m *Manifest) validateChain() error {
	if m.Format != Format {
		return invalid("its format is %d, this program knows %d: use the program that fits", m.Format, Format)
	}
	switch {
	case m.Sequence == 0:
		return invalid("its sequence number is 0: the first manifest has 1")
	case m.Sequence == 1 && len(m.Predecessor) != 0:
		return invalid("manifest 1 names a predecessor: leave it empty")
	case m.Sequence == 1 && len(m.ClusterKey) != 0:
		return invalid("manifest 1 names a cluster key, which is made only under it: leave it empty")
	case m.Sequence > 1 && len(m.Predecessor) != sha256.Size:
		return invalid("manifest %d has a predecessor hash of %d bytes: it must have %d", m.Sequence, len(m.Predecessor), sha256.Size)
	case m.Sequence > 1 && len(m.ClusterKey) != ed25519.PublicKeySize:
		return invalid("manifest %d has a cluster key of %d bytes: it must have %d", m.Sequence, len(m.ClusterKey), ed25519.PublicKeySize)
	case m.Era < 1 || uint64(m.Era) > m.Sequence:
		return invalid("manifest %d has era %d: eras begin with 1 and rise by one from one manifest to the next, or stay", m.Sequence, m.Era)
	}
	return nil
}

func (o Operators) validate() error {
	if len(o.Keys) == 0 || len(o.Keys) > MaxOperators {
		return invalid("it has %d operator keys: it must have 1 to %d", len(o.Keys), MaxOperators)
	}
	if o.Threshold < 1 || o.Threshold > len(o.Keys) {
		return invalid("the operators' threshold is %d of %d keys: it must be 1 to %d", o.Threshold, len(o.Keys), len(o.Keys))
	}
	for i, k := range o.Keys {
		if len(k) != ed25519.PublicKeySize {
			return invalid("operator key %d has %d bytes: it must have %d", i+1, len(k), ed25519.PublicKeySize)
		}
		if o.find(k) != i {
			return invalid("operator key %v is listed twice", k)
		}
	}
	return nil
}

// find returns the first place of the key, or -1.
func (o Operators) find(key []byte) int {
	return slices.IndexFunc(o.Keys, func(k Hex) bool { return string(k) == string(key) })
}

func (m *Manifest) validateServers() error {
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, s := range m.Servers {
		if !plainName(s.Name) {
			return invalid("server %d is named %.80q: a name has 1 to %d of a-z, 0-9, - and .", i, s.Name, MaxNameBytes)
		}
		if names[s.Name] {
			return invalid("two servers are named %q", s.Name)
		}
		names[s.Name] = true
		if s.Threads < 1 || s.Threads > MaxThreads {
			return invalid("server %q has %d threads: choose 1 to %d", s.Name, s.Threads, MaxThreads)
		}
		for _, a := range []string{s.Mesh, s.Front} {
			if err := checkAddress(a); err != nil {
				return invalid("server %q: %v", s.Name, err)
			}
			if addresses[a] {
				return invalid("server %q: the address %s is used twice", s.Name, a)
			}
			addresses[a] = true
		}
	}
	return nil
}

func plainName(s string) bool {
	if len(s) == 0 || len(s) > MaxNameBytes {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// checkAddress takes host:port with a host name or IP address and a port in
// decimal.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || len(a) > 300 {
		return fmt.Errorf("the address %.80q is not host:port", a)
	}
	for _, c := range []byte(host) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ':' && c != '_' {
			return fmt.Errorf("the address %.80q has a host that is neither a name nor an IP address", a)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("the address %.80q has a port that is not a number from 1 to 65535", a)
	}
	return nil
}

func (m *Manifest) validateParameters() error {
	p := m.Parameters
	for _, f := range []struct {
		name  string
		value int
	}{
		{"virtual_shards", p.VirtualShards},
		{"token_epochs", p.TokenEpochs},
		{"horizon_epochs", p.HorizonEpochs},
		{"delivery_epochs", p.DeliveryEpochs},
		{"attempts", p.Attempts},
	} {
		if f.value == 0 { // a zero would mean whatever this program's default is
			return invalid("%s is 0: a manifest writes every parameter out", f.name)
		}
	}
	_, err := m.Geometry()
	return err
}

func (m *Manifest) validatePolicy() error {
	if err := m.Policy().Validate(); err != nil {
		return fmt.Errorf("%w: tees: %w", ErrInvalid, err)
	}
	return nil
}

func (m *Manifest) validateSimulated() error {
	c := m.SimulatedClients
	if c == nil {
		return nil
	}
	if !m.Policy().OnlySimulated() {
		return invalid("it has simulated clients, whose keys everyone knows, but accepts real TEEs: remove one of them")
	}
	if c.Count < 1 || c.Count > m.Parameters.Capacity {
		return invalid("it has %d simulated clients: choose 1 to its capacity of %d, or remove the field", c.Count, m.Parameters.Capacity)
	}
	if len(c.Seed) != SeedBytes {
		return invalid("the seed of the simulated clients has %d bytes: it must have %d", len(c.Seed), SeedBytes)
	}
	return nil
}
