package client

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/teems-go/teems/internal/keys"
)

// Identity is what a registered client holds: its ID and the keys that prove
// it. It is secret; keep Encode's bytes where only their user can read them.
// Printing one shows no secret.
type Identity struct {
	cluster    [32]byte
	id         uint32
	generation uint32
	epoch      uint64 // in which it was registered
	era        uint32 // of the cluster's keys at that time; 0 for simulated clients
	clientKey  [32]byte
	register   ed25519.PrivateKey // nil for simulated clients
}

// identityFile is the encoded form.
type identityFile struct {
	Format     int    `json:"format"`
	Cluster    string `json:"cluster"`
	ID         uint32 `json:"id"`
	Generation uint32 `json:"generation"`
	Epoch      uint64 `json:"epoch"`
	Era        uint32 `json:"era,omitempty"` // from 2 on
	ClientKey  string `json:"client_key"`
	Key        string `json:"registration_seed"`
}

const identityFormat = 1

// Address is where this client is reached.
func (i *Identity) Address() Address { return Address{Cluster: [4]byte(i.cluster[:4]), ID: i.id} }

// Cluster is the id of its cluster.
func (i *Identity) Cluster() [32]byte { return i.cluster }

// Generation is how many times this client has registered.
func (i *Identity) Generation() uint32 { return i.generation }

// Epoch is the epoch that its registration was committed in.
func (i *Identity) Epoch() uint64 { return i.epoch }

// Era is the era of the cluster's keys that its own are from. In another one it
// is of no use: register again.
func (i *Identity) Era() uint32 { return max(i.era, 1) }

// Format prints the address and no secret, with any verb.
func (i Identity) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "identity of %v", i.Address()) }

// Encode returns the identity as a JSON file. It holds the keys.
func (i *Identity) Encode() []byte {
	file := identityFile{
		Format: identityFormat, Cluster: hex.EncodeToString(i.cluster[:]), ID: i.id,
		Generation: i.generation, Epoch: i.epoch, ClientKey: hex.EncodeToString(i.clientKey[:]),
	}
	if i.era > 1 {
		file.Era = i.era
	}
	if i.register != nil {
		file.Key = hex.EncodeToString(i.register.Seed())
	}
	b, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("client: encoding plain data failed: " + err.Error()) // impossible
	}
	return append(b, '\n')
}

// ParseIdentity reads what Encode made. Error: ErrIdentity.
func ParseIdentity(file []byte) (*Identity, error) {
	var f identityFile
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	// What json says of a file could quote the keys in it.
	if d.Decode(&f) != nil || d.More() {
		return nil, fmt.Errorf("%w: not a JSON object of the known fields", ErrIdentity)
	}
	if f.Format != identityFormat {
		return nil, fmt.Errorf("%w: its format is %d, this program reads %d", ErrIdentity, f.Format, identityFormat)
	}
	i := &Identity{id: f.ID, generation: f.Generation, epoch: f.Epoch}
	if !fromHex(i.cluster[:], f.Cluster) || !fromHex(i.clientKey[:], f.ClientKey) {
		return nil, fmt.Errorf("%w: cluster and client_key are 32 bytes in hexadecimal", ErrIdentity)
	}
	if f.Key != "" {
		var seed [ed25519.SeedSize]byte
		if !fromHex(seed[:], f.Key) {
			return nil, fmt.Errorf("%w: registration_seed is 32 bytes in hexadecimal", ErrIdentity)
		}
		i.register = ed25519.NewKeyFromSeed(seed[:])
		i.era = f.Era
	}
	return i, nil
}

func fromHex(dst []byte, text string) bool {
	if hex.DecodedLen(len(text)) != len(dst) || len(text)%2 != 0 {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}

// SimulatedIdentity is the identity of a client that a manifest for simulations
// provides; anyone can make it. Error: ErrConfig.
func SimulatedIdentity(m *Manifest, id uint32) (*Identity, error) {
	s := m.signed.Manifest.SimulatedClients
	if s == nil || int64(id) >= int64(s.Count) {
		return nil, fmt.Errorf("%w: the manifest has no simulated client %d", ErrConfig, id)
	}
	return &Identity{cluster: m.cluster, id: id, clientKey: keys.SimulatedClientKey([32]byte(s.Seed), id)}, nil
}
