package main

import (
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// harden keeps the process's memory inside the TEE when something goes wrong.
// Go's runtime answers a panic, a fatal error or SIGQUIT with values, argument
// words and addresses, on file descriptor 2 and against the wish of whoever
// wrote the program; the kernel can write a core. So: no tracebacks, SIGQUIT is
// ignored, no core and no attaching, and descriptor 2 leads nowhere. What this
// program itself has to say goes to the writer that is returned.
func harden() (io.Writer, error) {
	debug.SetTraceback("none")
	signal.Ignore(syscall.SIGQUIT)
	if err := closeMemory(); err != nil {
		return os.Stderr, err
	}
	return divert()
}

// hardened runs f as the process, and returns the exit code.
func hardened(f func(stderr io.Writer) int) (code int) {
	stderr, err := harden()
	if err != nil {
		speaker(stderr)("teems-server: " + err.Error())
		return exitFailed
	}
	defer func() {
		if recover() != nil { // its value could hold secrets
			speaker(stderr)("teems-server: a fault outside the server's parts")
			code = exitStopped
		}
	}()
	return f(stderr)
}

// speaker writes lines with the time before them, one at a time.
func speaker(w io.Writer) func(string) {
	var mu sync.Mutex
	return func(line string) {
		line = time.Now().UTC().Format("2006/01/02 15:04:05.000000 ") + line + "\n"
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(w, line)
	}
}
