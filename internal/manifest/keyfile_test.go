package manifest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator.key")
	k, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteKey(path, k); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadKey(path); err != nil || !got.Equal(k) {
		t.Fatal(err)
	}
	if err := WriteKey(path, k); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a key was written over another: %v", err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(path); !errors.Is(err, ErrKeyFile) {
			t.Errorf("a key file of mode %o was read: %v", mode, err)
		}
	}
	text, _ := os.ReadFile(path)
	for name, b := range map[string][]byte{
		"empty": nil, "two keys": append(bytes.Clone(text), text...), "text": []byte("seed"), "cut": text[:len(text)/2],
		"another type": bytes.ReplaceAll(text, []byte("PRIVATE"), []byte("PUBLIC")), "oversize": append(bytes.Clone(text), make([]byte, 5000)...),
	} {
		bad := filepath.Join(t.TempDir(), "bad.key")
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(bad); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadKey(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := GenerateKey(nil); !errors.Is(err, ErrKeyFile) {
		t.Error(err)
	}
}
