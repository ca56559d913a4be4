package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Signed is a manifest with the signatures that its file holds.
type Signed struct {
	Manifest   Manifest    `json:"manifest"`
	Signatures []Signature `json:"signatures"`
}

// Signature is one operator's signature over the manifest's hash.
type Signature struct {
	Key       Hex `json:"key"`
	Signature Hex `json:"signature"`
}

// Hash returns what is signed and what a successor and attestation name: the
// SHA-256 of a label and of the manifest's canonical form, compact JSON with
// the fields in the order of the format, each with its length before it.
func (s *Signed) Hash() [32]byte { return s.Manifest.Hash() }

// Hash is the hash of the manifest; see [Signed.Hash].
func (m *Manifest) Hash() [32]byte {
	canonical, err := json.Marshal(m)
	if err != nil {
		panic("manifest: encoding plain data failed: " + err.Error()) // impossible
	}
	return labelled("teems/1 manifest", canonical)
}

func labelled(label string, data []byte) [32]byte {
	b := make([]byte, 0, 16+len(label)+len(data))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(label)))
	b = append(b, label...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	return sha256.Sum256(append(b, data...))
}

// signedMessage is what an operator's key signs.
func signedMessage(hash [32]byte) []byte {
	m := labelled("teems/1 manifest signature", hash[:])
	return append([]byte("teems/1 manifest signature\x00"), m[:]...)
}

// Sign adds the signature of the key, or replaces the one it made before.
// The manifest must not be changed afterwards.
func (s *Signed) Sign(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: the key to sign with has %d bytes, must have %d", ErrKeyFile, len(key), ed25519.PrivateKeySize)
	}
	if err := s.Manifest.Validate(); err != nil {
		return err
	}
	n := Signature{
		Key:       Hex(key.Public().(ed25519.PublicKey)),
		Signature: ed25519.Sign(key, signedMessage(s.Hash())),
	}
	for i, o := range s.Signatures {
		if bytes.Equal(o.Key, n.Key) {
			s.Signatures[i] = n
			return nil
		}
	}
	if len(s.Signatures) == MaxSignatures {
		return fmt.Errorf("%w: the file already holds %d signatures", ErrInvalid, MaxSignatures)
	}
	s.Signatures = append(s.Signatures, n)
	return nil
}

// validateSignatures checks the form of the signatures, not their truth.
func (s *Signed) validateSignatures() error {
	if len(s.Signatures) > MaxSignatures {
		return invalid("it holds %d signatures, more than the %d allowed", len(s.Signatures), MaxSignatures)
	}
	seen := map[string]bool{}
	for i, x := range s.Signatures {
		if len(x.Key) != ed25519.PublicKeySize || len(x.Signature) != ed25519.SignatureSize {
			return invalid("signature %d has a key of %d and a signature of %d bytes: they must have %d and %d", i+1,
				len(x.Key), len(x.Signature), ed25519.PublicKeySize, ed25519.SignatureSize)
		}
		if seen[string(x.Key)] {
			return invalid("the key %v signed twice", x.Key)
		}
		seen[string(x.Key)] = true
	}
	return nil
}

// Verify checks that the threshold of the operators given, whom the caller
// trusts for reasons of his own, have signed the manifest, whatever its
// sequence number. Signatures by other keys do not count; a wrong one by an
// operator is an error.
func (s *Signed) Verify(trust Operators) error {
	if err := trust.validate(); err != nil {
		return fmt.Errorf("%w: the operators to be trusted are not valid: %v", ErrSignature, err)
	}
	if err := s.Manifest.Validate(); err != nil {
		return err
	}
	if err := s.validateSignatures(); err != nil {
		return err
	}
	message, good := signedMessage(s.Hash()), 0
	for _, x := range s.Signatures {
		if trust.find(x.Key) < 0 {
			continue
		}
		if !ed25519.Verify(ed25519.PublicKey(x.Key), message, x.Signature) {
			return fmt.Errorf("%w: the signature by %v is wrong: the manifest was changed after it was signed", ErrSignature, x.Key)
		}
		good++
	}
	if good < trust.Threshold {
		return fmt.Errorf("%w: %d of the %d operators signed manifest %d, it takes %d", ErrSignature, good, len(trust.Keys), s.Manifest.Sequence, trust.Threshold)
	}
	return nil
}

// VerifyPinned trusts the operators whom the manifest itself names, which is
// worth exactly as much as the way by which its hash, pin, was learnt.
func (s *Signed) VerifyPinned(pin [32]byte) error {
	if h := s.Hash(); h != pin {
		return fmt.Errorf("%w: the manifest's hash is %x, not the %x that is pinned: it is another manifest", ErrSignature, h, pin)
	}
	return s.Verify(s.Manifest.Operators)
}

// VerifySuccessor checks that the manifest follows previous, which the caller
// has verified: the next sequence number, the hash of previous, a threshold
// of the operators of previous, the same era or the next one, and nothing
// changed that may never change: the cluster key once it is named, the virtual
// shards, the simulated clients, and whether simulated TEEs are accepted.
func (s *Signed) VerifySuccessor(previous *Signed) error {
	if previous == nil {
		return fmt.Errorf("%w: there is no manifest for it to follow", ErrChain)
	}
	m, p := &s.Manifest, &previous.Manifest
	if m.Sequence != p.Sequence+1 {
		return fmt.Errorf("%w: it has sequence number %d, after %d comes %d", ErrChain, m.Sequence, p.Sequence, p.Sequence+1)
	}
	if h := previous.Hash(); !bytes.Equal(m.Predecessor, h[:]) {
		return fmt.Errorf("%w: it names the predecessor %v, which is not %x", ErrChain, m.Predecessor, h)
	}
	if err := s.Verify(p.Operators); err != nil {
		return fmt.Errorf("%w (of manifest %d's operators)", err, p.Sequence)
	}
	if p.HasCluster() && !bytes.Equal(m.ClusterKey, p.ClusterKey) {
		return fmt.Errorf("%w: it names another cluster key: that is another cluster", ErrChain)
	}
	if m.Era != p.Era && m.Era != p.Era+1 {
		return fmt.Errorf("%w: it has era %d, manifest %d has %d: an era stays or rises by one", ErrChain, m.Era, p.Sequence, p.Era)
	}
	if m.Parameters.VirtualShards != p.Parameters.VirtualShards {
		return fmt.Errorf("%w: it changes virtual_shards from %d to %d, which would move every client's mailbox", ErrChain, p.Parameters.VirtualShards, m.Parameters.VirtualShards)
	}
	if !sameSimulated(m.SimulatedClients, p.SimulatedClients) {
		return fmt.Errorf("%w: it changes the simulated clients, which exist from the genesis on", ErrChain)
	}
	if m.TEEs.AllowSimulatedTEEThatProtectsNothing != p.TEEs.AllowSimulatedTEEThatProtectsNothing {
		return fmt.Errorf("%w: a cluster that ever accepted simulated TEEs has keys that anyone may know, and one that did not never may: start another cluster", ErrChain)
	}
	return nil
}

func sameSimulated(a, b *SimulatedClients) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Count == b.Count && bytes.Equal(a.Seed, b.Seed)
}

// VerifyChain checks the first manifest against the operators given, and each
// later one against the one before it.
func VerifyChain(trust Operators, chain ...*Signed) error {
	if len(chain) == 0 || chain[0] == nil {
		return fmt.Errorf("%w: there is no manifest", ErrChain)
	}
	if err := chain[0].Verify(trust); err != nil {
		return err
	}
	for i, s := range chain[1:] {
		if s == nil {
			return fmt.Errorf("%w: manifest %d of the chain is missing", ErrChain, i+2)
		}
		if err := s.VerifySuccessor(chain[i]); err != nil {
			return err
		}
	}
	return nil
}
