package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/manifest"
)

func newManifestKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "make an operator's key, and print its public half",
		Long: `Makes an operator's private key in a file that only its owner can read, if there
is none, and prints the public key, for the manifest. Each operator does this on a
machine of his own; the private key never leaves it.

` + exitCodes,
		Example: `  teems manifest key alice.key
  teems manifest new --operator "$(teems manifest key alice.key)" --operator 7c1d...`,
		Args: args(1, "one key file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := operatorKey(args[0], sayOn(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%x\n", []byte(key))
			return err
		},
	}
}

// operatorKey returns the public half of the key in a file, which it makes if
// there is none.
func operatorKey(path string, say func(string)) (ed25519.PublicKey, error) {
	key, err := manifest.ReadKey(path)
	if errors.Is(err, os.ErrNotExist) {
		if key, err = manifest.GenerateKey(rand.Reader); err == nil {
			err = manifest.WriteKey(path, key)
		}
		if err == nil {
			say("made the operator key " + path + "; keep it where nobody else can read it")
		}
	}
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}
