package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// module is the line of go.mod by which a source tree is known.
const module = "module github.com/teems-go/teems"

// Binary finds a program of this project: at path, if that is not empty; else
// beside the running program; else, in a source tree, that is if go.mod is in
// the working directory or above it, by building it into the user's cache,
// which takes a while the first time only. say gets a line when it builds.
func Binary(ctx context.Context, name, path string, say func(string)) (string, error) {
	if path != "" {
		if err := runnable(path); err != nil {
			return "", fmt.Errorf("%w %s: %w", ErrBinary, name, err)
		}
		return path, nil
	}
	file := name
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), file)
		if runnable(beside) == nil {
			return beside, nil
		}
	}
	root, err := sourceTree()
	if err != nil {
		return "", fmt.Errorf("%w %s: it is not beside this program, and %w: give its path with --%s", ErrBinary, name, err, flagOf[name])
	}
	return build(ctx, root, name, file, say)
}

var flagOf = map[string]string{"teems-server": "server-binary", "teems-gateway": "gateway-binary"}

func runnable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not a program", path)
	}
	return nil
}

// sourceTree is the folder of this module that the working directory is in.
func sourceTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if line, _, _ := bytes.Cut(b, []byte("\n")); err == nil && string(bytes.TrimSpace(line)) == module {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("the working directory is not in its source tree")
		}
		dir = up
	}
}

// build builds a program into the cache. Go itself finds out whether anything
// has changed since the last time.
func build(ctx context.Context, root, name, file string, say func(string)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w %s: no cache to build it into: %w: build it with `go build ./cmd/...` and give its path with --%s", ErrBinary, name, err, flagOf[name])
	}
	key := sha256.Sum256([]byte(root))
	out := filepath.Join(cache, "teems", "bin", fmt.Sprintf("%x", key[:6]), file)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", fmt.Errorf("%w %s: %w", ErrBinary, name, err)
	}
	if say != nil && runnable(out) != nil {
		say("building " + name + " from " + root + " (this once)")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./cmd/"+name)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w %s: building it in %s failed: %w\n%s", ErrBinary, name, root, err, said)
	}
	return out, nil
}
