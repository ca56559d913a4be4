package client

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/cell"
)

func TestIdentity(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	id := &Identity{cluster: [32]byte{1, 2, 3, 4}, id: 71, generation: 2, epoch: 9, era: 3, clientKey: [32]byte(bytes.Repeat([]byte{8}, 32)), register: key}
	back, err := ParseIdentity(id.Encode())
	must(t, err)
	if !back.register.Equal(key) || back.clientKey != id.clientKey || back.Address() != id.Address() || back.Generation() != 2 || back.Epoch() != 9 || back.Era() != 3 || back.Cluster() != id.cluster {
		t.Error("it changed")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, x := range []any{id, *id} {
			if s := fmt.Sprintf(verb, x); strings.Contains(s, "0808") || strings.Contains(s, "8, 8") || strings.Contains(s, "8 8") || !strings.Contains(s, id.Address().String()) {
				t.Errorf("%s prints %s", verb, s)
			}
		}
	}
	for name, change := range map[string]func(string) string{
		"empty":          func(string) string { return "" },
		"unknown field":  func(s string) string { return strings.Replace(s, "{", `{"x":1,`, 1) },
		"another format": func(s string) string { return strings.Replace(s, `"format": 1`, `"format": 2`, 1) },
		"short key":      func(s string) string { return strings.Replace(s, "0808", "08", 1) },
		"not hex":        func(s string) string { return strings.Replace(s, "0808", "zz08", 1) },
		"two":            func(s string) string { return s + s },
	} {
		_, err := ParseIdentity([]byte(change(string(id.Encode()))))
		wantErr(t, err, ErrIdentity)
		if err == nil || strings.Contains(err.Error(), "0808") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTexts(t *testing.T) {
	m := testManifest(t, nil)
	a := m.Address(5)
	back, err := ParseAddress(a.String())
	if err != nil || back != a {
		t.Errorf("%v %v", back, err)
	}
	_, err = ParseAddress("71")
	wantErr(t, err, ErrText)

	token := &Token{grant{cell.Token{Kind: cell.KindToken, Channel: cell.ChannelToken, Slot: 3, Sender: self, Recipient: 5, E1: 4, E2: 8, MAC: [16]byte{0xab, 0xcd}}, m.fingerprint()}}
	read, err := m.ParseToken(token.Text())
	must(t, err)
	if read.t != token.t || read.Slot() != 3 || read.First() != 4 || read.End() != 8 || read.Recipient() != a || read.Sender() != m.Address(self) {
		t.Errorf("%+v", read.t)
	}
	if s := fmt.Sprintf("%v %+v %#v %x", token, *token, token, token); strings.Contains(strings.ToLower(s), "abcd") || strings.Contains(s, "171") {
		t.Errorf("prints %s", s)
	}
	_, err = m.ParsePass(token.Text())
	wantErr(t, err, ErrText)
	_, err = m.ParseToken(token.Text()[:40])
	wantErr(t, err, ErrText)
	other := *m
	other.cluster[0] ^= 1
	_, err = other.ParseToken(token.Text())
	wantErr(t, err, ErrWrongCluster)
}

func TestManifest(t *testing.T) {
	m := testManifest(t, nil)
	file, err := m.signed.Encode()
	must(t, err)
	read, err := ParseManifest(file, m.Hash())
	must(t, err)
	if read.Cluster() != m.Cluster() || read.MaxBody() != 60 || read.TokenSlots() != 4 || read.TokenEpochs() != 256 || !read.ProtectsNothing() {
		t.Error("it changed")
	}
	_, err = ParseManifestWithoutPin(file)
	must(t, err)
	_, err = ParseManifest(file, [32]byte{1})
	wantErr(t, err, ErrManifest)
	_, err = ParseManifestWithoutPin(bytes.Replace(file, []byte(`"capacity": 16`), []byte(`"capacity": 17`), 1))
	wantErr(t, err, ErrManifest)
	_, err = FromSigned(nil)
	wantErr(t, err, ErrManifest)
}

func TestConfig(t *testing.T) {
	m := testManifest(t, nil)
	id, err := SimulatedIdentity(m, self)
	must(t, err)
	good := Config{Manifest: m, Identity: id, Gateways: []string{"x"}}
	stranger := *id
	stranger.cluster[0] ^= 1
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no manifest":     {func(c *Config) { c.Manifest = nil }, ErrConfig},
		"no identity":     {func(c *Config) { c.Identity = nil }, ErrConfig},
		"no gateway":      {func(c *Config) { c.Gateways = nil }, ErrConfig},
		"another cluster": {func(c *Config) { c.Identity = &stranger }, ErrWrongCluster},
		"negative":        {func(c *Config) { c.QueueLimit = -1 }, ErrConfig},
		"no randomness":   {func(c *Config) { c.Random = strings.NewReader("short") }, nil},
	} {
		cfg := good
		c.change(&cfg)
		if _, err := Start(cfg); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := SimulatedIdentity(m, 8); !errors.Is(err, ErrConfig) {
		t.Errorf("a simulated client too many: %v", err)
	}
}

func FuzzBody(f *testing.F) {
	body := make([]byte, 64)
	putBody(body, []byte("hello"))
	f.Add(body)
	f.Add([]byte{1, 0, 255, 255})
	f.Fuzz(func(t *testing.T, body []byte) {
		payload, ok := getBody(body)
		if !ok {
			return
		}
		again := make([]byte, len(body))
		putBody(again, payload)
		if !bytes.Equal(again, body) {
			t.Errorf("%s became %s", hex.EncodeToString(body), hex.EncodeToString(again))
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add((&Identity{id: 3}).Encode())
	f.Fuzz(func(t *testing.T, file []byte) {
		id, err := ParseIdentity(file)
		if err != nil {
			return
		}
		again, err := ParseIdentity(id.Encode())
		if err != nil || !bytes.Equal(again.Encode(), id.Encode()) {
			t.Errorf("%q: %v", file, err)
		}
	})
}
