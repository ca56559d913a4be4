package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/teems-go/teems/internal/manifest"
)

// TestEras: an identity is of use in the era that it is from, and a manifest of
// an older era than an identity is not believed.
func TestEras(t *testing.T) {
	in := func(era uint32) *Manifest {
		signed := *testManifest(t, nil).signed
		signed.Manifest.Era, signed.Manifest.Sequence = manifest.Era(era), 9
		m, err := FromSigned(&signed)
		must(t, err)
		return m
	}
	id := func(era uint32) *Identity {
		return &Identity{cluster: in(era).cluster, era: era, register: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))}
	}
	for _, c := range []struct {
		identity, manifest uint32
		want               error
	}{{1, 2, ErrEra}, {2, 3, ErrEra}, {2, 1, ErrManifest}, {3, 2, ErrManifest}, {1, 1, nil}, {2, 2, nil}} {
		_, err := Config{Manifest: in(c.manifest), Identity: id(c.identity), Gateways: []string{"x"}}.withDefaults()
		if c.want == nil {
			must(t, err)
			continue
		}
		wantErr(t, err, c.want)
		if _, err := Connect(context.Background(), Config{Manifest: in(c.manifest), Identity: id(c.identity), Gateways: []string{"x"}}); err == nil {
			t.Error("it connects")
		}
	}
	if in(2).Era() != 2 || id(0).Era() != 1 {
		t.Error("wrong era")
	}
}
