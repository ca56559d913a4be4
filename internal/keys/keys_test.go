package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// count is n bytes from first upwards.
func count(first, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(first + i)
	}
	return b
}

var (
	master  = Master(count(0, 32))
	cluster = [32]byte(count(100, 32))
	keyHash = [32]byte(count(200, 32))
	saltA   = [16]byte(bytes.Repeat([]byte{1}, 16))
	saltB   = [16]byte(bytes.Repeat([]byte{2}, 16))
)

// TestGolden compares with values that a separate program computed from
// docs/protocol.md with other libraries.
func TestGolden(t *testing.T) {
	s := New(master, cluster, 1)
	clientKey := s.ClientKey(71, keyHash, 2)
	session := SessionKey(clientKey, 1, 2, saltA, saltB)
	simulated := SimulatedClientKey(master, 71)
	proof := AttachProof(clientKey, cluster, 3, 2, 71, saltA)
	token, derived := s.Derive("token"), s.Derive("some", nil, []byte("ab"))
	head := s.HeadMAC(9, keyHash)
	next := master.Next([]byte("a"), []byte("bc"))
	tag1, tag2 := make([]byte, 16), make([]byte, 16)
	s.Tags(KindToken, count(0, 48), tag1)
	s.Tags(KindPass, count(0, 48), tag2)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"token", token[:], "221d079a540c742a458da9d3b99ab18c9075888fd102671d9be9c8dace956657"},
		{"derive", derived[:], "6ff28662aadc42bc1a01ce38290a2f02b88532fcbe9922390abfb10c40d8d02d"},
		{"client", clientKey[:], "a487edb7e5c5ed2f5056ae4d4383e318a10f128d1cc44fed68d309f22222109d"},
		{"simulated", simulated[:], "9ef49c777abba6c01239511012758df6655c741be08b0a8c81aead99c611b97b"},
		{"session", session[:], "6512e05646bf1819210b75ed4159f54f7265bb101a6849902d01f9b54dc0f2ef"},
		{"attachment", proof[:], "025760d4c9dede837371ade5422b78dc"},
		{"tag of a token", tag1, "f47c4f20635e5ced631b7d9944961b5a"},
		{"tag of a pass", tag2, "4740926014160b35bbff81ba181d0806"},
		{"head", head[:], "4b28fa2a641362b516b7dd1f93db2372"},
		{"next", next[:], "649c040eba250eb4455531c1c633048adce5b924732f32adb25d13ae2f32379b"},
		{"sealed cell", Session(clientKey, 1, 2, saltA, saltB).Seal(nil, count(0, 12), []byte("hello"), []byte("ad")),
			"320e7fef04807f837f633518eae1cc0869869e89ad"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s: %x, want %s", c.name, c.got, c.want)
		}
	}
	var tie, route [1]uint64
	s.Ties(9, []uint64{71<<16 | 3}, tie[:])
	s.Routers(keyHash, []uint32{71}, route[:])
	if tie[0] != 15534679793094681856 || route[0] != 16341224420141095763 {
		t.Errorf("tie %d, route %d", tie[0], route[0])
	}
}

// TestInfoIsInjective: wherever the border between label and contexts lies,
// the keys differ.
func TestInfoIsInjective(t *testing.T) {
	s := New(master, cluster, 1)
	seen := map[[32]byte]string{}
	add := func(name string, key [32]byte) {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s give one key", name, other)
		}
		seen[key] = name
	}
	b := func(s string) []byte { return []byte(s) }
	add("abc", s.Derive("abc"))
	add("abc,-", s.Derive("abc", nil))
	add("abc,-,-", s.Derive("abc", nil, nil))
	add("ab,c", s.Derive("ab", b("c")))
	add("a,bc", s.Derive("a", b("bc")))
	add("a,b,c", s.Derive("a", b("b"), b("c")))
	add("-,abc", s.Derive("", b("abc")))
	add("-,ab,c", s.Derive("", b("ab"), b("c")))
	add("a,length of c,c", s.Derive("a", b("b\x01\x00\x00\x00c")))
	add("other master", New(Master{1}, cluster, 1).Derive("abc"))
	add("other cluster", New(master, [32]byte{1}, 1).Derive("abc"))
	add("simulated", SimulatedClientKey(master, 1))
	for id := range uint32(3) {
		for generation := range uint32(3) {
			add("client", s.ClientKey(id, keyHash, generation))
		}
	}
	add("client, other hash", s.ClientKey(0, [32]byte{}, 0))
}

// TestSessionsDiffer: each of the parts of a session makes another key.
func TestSessionsDiffer(t *testing.T) {
	seen := map[[SessionKeyBytes]byte]bool{}
	n := 0
	for _, key := range [][32]byte{{1}, {2}} {
		for direction := range uint8(2) {
			for role := range uint8(3) {
				for _, a := range [][16]byte{{}, saltA, saltB} {
					for _, b := range [][16]byte{{}, saltA, saltB} {
						seen[SessionKey(key, direction, role, a, b)] = true
						n++
					}
				}
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d sessions have %d keys", n, len(seen))
	}
	up, down := Session(keyHash, 0, 1, saltA, saltB), Session(keyHash, 1, 1, saltA, saltB)
	sealed := up.Seal(nil, count(0, 12), []byte("body"), []byte("ad"))
	if got, err := up.Open(nil, count(0, 12), sealed, []byte("ad")); err != nil || string(got) != "body" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := down.Open(nil, count(0, 12), sealed, []byte("ad")); err == nil {
		t.Error("the other direction opened it")
	}
}

// TestAttachProof: a proof is for one key, cluster, server, role, client and salt.
func TestAttachProof(t *testing.T) {
	proof := AttachProof(keyHash, cluster, 3, 2, 71, saltA)
	if !CheckAttach(keyHash, cluster, 3, 2, 71, saltA, proof) {
		t.Error("refused")
	}
	for name, taken := range map[string]bool{
		"key":     CheckAttach([32]byte{}, cluster, 3, 2, 71, saltA, proof),
		"cluster": CheckAttach(keyHash, keyHash, 3, 2, 71, saltA, proof),
		"server":  CheckAttach(keyHash, cluster, 4, 2, 71, saltA, proof),
		"role":    CheckAttach(keyHash, cluster, 3, 1, 71, saltA, proof),
		"client":  CheckAttach(keyHash, cluster, 3, 2, 70, saltA, proof),
		"salt":    CheckAttach(keyHash, cluster, 3, 2, 71, saltB, proof),
		"nothing": CheckAttach(keyHash, cluster, 3, 2, 71, saltA, [ProofBytes]byte{}),
	} {
		if taken {
			t.Errorf("%s: took the proof of another", name)
		}
	}
	for i := range proof {
		proof[i] ^= 1
		if CheckAttach(keyHash, cluster, 3, 2, 71, saltA, proof) {
			t.Errorf("byte %d is not looked at", i)
		}
		proof[i] ^= 1
	}
}

// TestTags compares batches with one CBC encryption from zero at a time, by
// the standard library's own mode.
func TestTags(t *testing.T) {
	s := New(master, cluster, 1)
	for _, n := range []int{0, 1, 2, 3, 65} {
		in := make([]byte, n*MACInputBytes)
		rand.Read(in)
		for kind, label := range map[uint8]string{KindToken: "token CBC-MAC", KindPass: "pass CBC-MAC"} {
			key := s.Derive(label)
			b, err := aes.NewCipher(key[:16])
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, n*MACBytes)
			for i := range n {
				var chain [MACInputBytes]byte
				cipher.NewCBCEncrypter(b, make([]byte, aes.BlockSize)).CryptBlocks(chain[:], in[i*48:i*48+48])
				copy(want[i*16:i*16+16], chain[32:])
			}
			unchanged := bytes.Clone(in)
			out := bytes.Repeat([]byte{0xaa}, n*MACBytes)
			s.Tags(kind, in, out)
			if !bytes.Equal(out, want) || !bytes.Equal(in, unchanged) {
				t.Errorf("%d inputs, kind %d: other tags", n, kind)
			}
		}
	}
	for name, f := range map[string]func(){
		"short output": func() { s.Tags(KindToken, make([]byte, 96), make([]byte, 16)) },
		"odd input":    func() { s.Tags(KindToken, make([]byte, 47), make([]byte, 16)) },
		"kind 0":       func() { s.Tags(0, nil, nil) },
		"kind 3":       func() { s.Tags(3, nil, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestPRFs: batches on threads equal single values; epochs, attempts and uses
// have functions of their own; no input value repeats an output.
func TestPRFs(t *testing.T) {
	s := New(master, cluster, 1)
	n := 3*batchLeast + 7
	in, in32 := make([]uint64, n), make([]uint32, n)
	for i := range in {
		in[i], in32[i] = uint64(i), uint32(i)
	}
	seen := map[uint64]bool{}
	for _, epoch := range []uint64{1, 2} {
		all, one := make([]uint64, n), make([]uint64, 1)
		NewServer(s, keyHash, 3).Ties(epoch, in, all)
		for i := range in {
			if i%97 == 0 {
				s.Ties(epoch, in[i:i+1], one)
				if one[0] != all[i] {
					t.Fatalf("tie %d differs", i)
				}
			}
			seen[all[i]] = true
		}
		a := [32]byte{byte(epoch)}
		NewServer(s, keyHash, 3).Routers(a, in32, all)
		for i := range in {
			if i%97 == 0 {
				s.Routers(a, in32[i:i+1], one)
				if one[0] != all[i] {
					t.Fatalf("router %d differs", i)
				}
			}
			seen[all[i]] = true
		}
	}
	if len(seen) != 4*n {
		t.Errorf("%d values of %d differ", len(seen), 4*n)
	}
	same := []uint64{1, 2, 3}
	want := make([]uint64, 3)
	s.Ties(5, same, want)
	s.Ties(5, same, same)
	if !bytes.Equal(words(same), words(want)) {
		t.Error("in place differs")
	}
}

func words(v []uint64) (b []byte) {
	for _, x := range v {
		b = le.AppendUint64(b, x)
	}
	return b
}

func TestHeadMAC(t *testing.T) {
	s := New(master, cluster, 1)
	mac := s.HeadMAC(5, keyHash)
	if !s.CheckHead(5, keyHash, mac[:]) {
		t.Error("refused")
	}
	other := mac
	other[15] ^= 1
	if s.CheckHead(6, keyHash, mac[:]) || s.CheckHead(5, cluster, mac[:]) || s.CheckHead(5, keyHash, other[:]) ||
		s.CheckHead(5, keyHash, mac[:15]) || s.CheckHead(5, keyHash, nil) {
		t.Error("took a wrong one")
	}
}

func TestSecrets(t *testing.T) {
	key := count(7, 16)
	for _, secret := range [][]byte{nil, {1}, count(0, 32), count(0, 1000)} {
		blob, err := SealSecret(rand.Reader, key, "master", secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenSecret(key, "master", blob); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%x, %v", got, err)
		}
		again, err := SealSecret(rand.Reader, key, "master", secret)
		if err != nil || bytes.Equal(blob, again) {
			t.Error("two seals are equal", err)
		}
		if _, err := OpenSecret(key, "cluster", blob); !errors.Is(err, ErrSealed) {
			t.Errorf("other label: %v", err)
		}
		if _, err := OpenSecret(count(8, 16), "master", blob); !errors.Is(err, ErrSealed) {
			t.Errorf("other key: %v", err)
		}
		for i := range blob {
			blob[i] ^= 0x10
			if _, err := OpenSecret(key, "master", blob); !errors.Is(err, ErrSealed) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			blob[i] ^= 0x10
			if _, err := OpenSecret(key, "master", blob[:i]); !errors.Is(err, ErrSealed) {
				t.Errorf("cut to %d: %v", i, err)
			}
		}
	}
	if _, err := SealSecret(rand.Reader, key[:15], "master", nil); err == nil {
		t.Error("sealed under a short key")
	}
	if _, err := OpenSecret(key[:15], "master", make([]byte, 64)); !errors.Is(err, ErrSealed) {
		t.Errorf("short key: %v", err)
	}
	broken := errors.New("broken")
	bad := iotest.ErrReader(broken)
	if _, err := SealSecret(bad, key, "master", nil); !errors.Is(err, broken) {
		t.Errorf("no randomness: %v", err)
	}
	if _, err := NewMaster(bad); !errors.Is(err, broken) {
		t.Errorf("no randomness: %v", err)
	}
	if _, err := NewClusterKey(bad); !errors.Is(err, broken) {
		t.Errorf("no randomness: %v", err)
	}
	if _, err := NewMaster(io.LimitReader(rand.Reader, 31)); err == nil {
		t.Error("a master secret of 31 random bytes")
	}
}

func TestGenesis(t *testing.T) {
	m, err := NewMaster(bytes.NewReader(count(0, 32)))
	if err != nil || m != master {
		t.Errorf("%x, %v", m, err)
	}
	private, err := NewClusterKey(bytes.NewReader(count(0, 32)))
	if err != nil || !bytes.Equal(private.Seed(), count(0, 32)) {
		t.Fatalf("%v", err)
	}
	public := private.Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, []byte("x"), ed25519.Sign(private, []byte("x"))) {
		t.Error("does not sign")
	}
	if ClusterID(public) != sha256.Sum256(public) {
		t.Error("cluster id")
	}
}

func TestCheckAES(t *testing.T) {
	t.Logf("this machine: %v", CheckAES())
	t.Setenv("GODEBUG", "cpu.aes=off")
	if err := CheckAES(); !errors.Is(err, ErrAES) {
		t.Errorf("with AES off: %v", err)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	s := New(master, cluster, 1)
	p := s.TiePRF(1)
	in, out := make([]byte, 4*48), make([]byte, 4*16)
	x := make([]uint64, 64)
	a := Session(keyHash, 0, 1, saltA, saltB)
	cell, nonce, ad := make([]byte, 400), make([]byte, 12), make([]byte, 60)
	if n := testing.AllocsPerRun(100, func() {
		s.Tags(KindToken, in, out)
		p.Values(x, x)
		a.Seal(cell[:0], nonce, cell[:384], ad)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
