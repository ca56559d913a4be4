// Package experiments embeds the published results (experiments/published), so
// that every report can show them beside its own. They are the figures of Sasy,
// Johnson and Goldberg, "TEEMS: A Trusted Execution Environment based
// Metadata-protected Messaging System", PoPETs 2025(4), measured on two Intel
// Xeon 8380 at 2.7 GHz (80 cores) with SGX2; the time to send bytes_max at
// 13 Gbit/s is already in them.
package experiments

import (
	"embed"
	"io/fs"
)

//go:embed published
var files embed.FS

// Published returns the folder of the published results.
func Published() fs.FS {
	dir, err := fs.Sub(files, "published")
	if err != nil {
		panic(err) // the name is valid
	}
	return dir
}
