package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/client"
)

// trustFile holds, in an identity's folder, whom it trusts to sign manifests.
const trustFile = "trust.json"

// flags are those of everything that speaks to a cluster.
func (c *clusterFlags) flags(cmd *cobra.Command, dir string) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.dir, "dir", dir, "folder of the cluster that \"teems up\" runs, and of the identities")
	f.StringVar(&c.manifest, "manifest", "", "the cluster's manifest (default: the one in --dir)")
	f.StringVar(&c.pin, "pin", "", "the hash that the manifest must have, in hexadecimal")
	f.StringArrayVar(&c.signers, "signer", nil, "public key of an operator who may sign the manifest, in hexadecimal (repeatable)")
	f.IntVar(&c.threshold, "threshold", 0, "with --signer: how many of them must have signed it (default: more than half)")
	f.StringArrayVar(&c.gateways, "gateway", nil, "address of a gateway, host:port (repeatable; default: from --dir)")
}

// trusted reads a manifest file and decides whether to trust it: by its hash, by
// those who signed it, as told or as remembered, or else because it is there.
func (c *clusterFlags) trusted(file []byte) (*client.Manifest, error) {
	if c.pin != "" && len(c.signers) > 0 {
		return nil, usageError("--pin and --signer are two ways to say which manifest is trusted: choose one")
	}
	switch {
	case c.pin != "":
		pin, err := hex.DecodeString(c.pin)
		if err != nil || len(pin) != 32 {
			return nil, usageError("--pin takes 32 bytes in hexadecimal")
		}
		return client.ParseManifest(file, [32]byte(pin))
	case len(c.signers) > 0:
		s := client.Signers{Threshold: c.threshold}
		for _, text := range c.signers {
			key, err := hex.DecodeString(text)
			if err != nil || len(key) != ed25519.PublicKeySize {
				return nil, usageError("--signer %q: write a public key, %d bytes in hexadecimal", text, ed25519.PublicKeySize)
			}
			s.Keys = append(s.Keys, key)
		}
		if s.Threshold == 0 {
			s.Threshold = len(s.Keys)/2 + 1
		}
		return client.ParseManifestSigned(file, s)
	}
	known, err := c.readTrust()
	if err != nil {
		return nil, err
	}
	if known == nil {
		return client.ParseManifestWithoutPin(file)
	}
	m, err := client.ParseManifestSigned(file, *known)
	if err != nil {
		return nil, fmt.Errorf("%w; %q trusts the operators of the manifest that it saw last: if there are others now, say which with --signer, or --pin the manifest", err, c.as)
	}
	return m, nil
}

// readTrust is what the identity remembers; nil if it is new, or there is none.
func (c *clusterFlags) readTrust() (*client.Signers, error) {
	if c.as == "" {
		return nil, nil
	}
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, trustFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(client.Signers)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, trustFile), err)
	}
	return s, nil
}

// remember keeps whom the manifest names, for the next time.
func (c *clusterFlags) remember() error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	b, err := json.Marshal(c.manifestLoaded.Signers())
	if err != nil {
		return err
	}
	path := filepath.Join(dir, trustFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	return replaceFile(path, b, 0o600)
}
