// Command teems-gateway ends clients' connections and carries their frames to
// the servers. It is untrusted: it sees ciphertext and which clients are
// connected, holds no secret, and checks no signature.
//
// Usage: teems-gateway FOLDER, where FOLDER holds manifest.json, the
// deployment, and gateway.json, {"listen": "host:port"}. It prints
// "listening on host:port" on stderr, and what an operator should know; SIGINT
// and SIGTERM end it. Exit code 0: ended by a signal; 1: could not go on; 2:
// not called as above.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/teems-go/teems/internal/gateway"
	"github.com/teems-go/teems/internal/manifest"
)

const usage = `teems-gateway carries clients' frames to the servers of a TEEMS deployment.

Usage:
  teems-gateway FOLDER

FOLDER holds two files:
  manifest.json   the deployment, as its operators publish it
  gateway.json    {"listen": "host:port"}, the address for clients; port 0: any

Example:
  echo '{"listen": "0.0.0.0:7300"}' > /etc/teems/gateway.json
  teems-gateway /etc/teems

It prints "listening on host:port" on stderr when clients may connect.
SIGINT or SIGTERM end it with exit code 0; 1: it could not go on; 2: bad usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything passed in; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "--help" || args[0] == "-h" || args[0] == "-help") {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if len(args) != 1 || args[0] == "" || args[0][0] == '-' {
		fmt.Fprint(stderr, "teems-gateway: give it one argument, the folder with manifest.json and gateway.json\n\n", usage)
		return 2
	}
	if err := serve(ctx, args[0], stderr); err != nil {
		fmt.Fprintln(stderr, "teems-gateway:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, folder string, stderr io.Writer) error {
	cfg, err := readManifest(filepath.Join(folder, "manifest.json"))
	if err != nil {
		return err
	}
	path := filepath.Join(folder, "gateway.json")
	listen, err := readListen(path)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	cfg.Log = logger
	g, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return listenError(err, listen, path)
	}
	fmt.Fprintln(stderr, "listening on", ln.Addr())
	if err := g.Serve(ctx, ln); err != nil {
		return fmt.Errorf("cannot take connections any more on %s: %w", listen, err)
	}
	counters, err := json.Marshal(g.Counters())
	if err != nil {
		return err
	}
	logger.Info("stopped", "counters", string(counters))
	return nil
}

func readManifest(path string) (gateway.Config, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return gateway.Config{}, fmt.Errorf("cannot read the manifest: %w", err)
	}
	signed, err := manifest.Parse(file)
	if err != nil {
		return gateway.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	m := &signed.Manifest
	geometry, err := m.Geometry()
	if err != nil {
		return gateway.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	cfg := gateway.Config{Geometry: geometry}
	for _, s := range m.Servers {
		cfg.Fronts = append(cfg.Fronts, s.Front)
	}
	return cfg, nil
}

// readListen reads gateway.json, which is {"listen": "host:port"}: exactly that
// key, once.
func readListen(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the settings: %w: write {\"listen\": \"host:port\"} into it", err)
	}
	defer file.Close()
	d := json.NewDecoder(io.LimitReader(file, 1<<16))
	var tokens []json.Token
	for len(tokens) < 5 {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", fmt.Errorf("%s: not JSON: %w", path, err)
		}
		tokens = append(tokens, token)
		if len(tokens) == 2 && token != json.Delim('}') && token != "listen" {
			return "", fmt.Errorf("%s: unknown field %q: it holds {\"listen\": \"host:port\"} and nothing else", path, token)
		}
	}
	if len(tokens) != 4 || tokens[0] != json.Delim('{') || tokens[3] != json.Delim('}') {
		return "", fmt.Errorf("%s: it holds {\"listen\": \"host:port\"} and nothing else", path)
	}
	listen, _ := tokens[2].(string)
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return "", fmt.Errorf("%s: \"listen\" is %q: give a host and a port, such as \"127.0.0.1:7300\"", path, listen)
	}
	return listen, nil
}

// listenError says what to do about an address that cannot be listened on.
func listenError(err error, address, path string) error {
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is in use (%s): stop the program that uses it, or choose another port in %s", port, address, path)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %s (%s) needs privileges: choose a port from 1024 on in %s", port, address, path)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: choose another \"listen\" in %s, such as \"0.0.0.0:%s\"", address, path, port)
	}
	return fmt.Errorf("cannot listen on %s, from %s: %w", address, path, err)
}
