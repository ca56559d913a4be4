package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// lock takes a lock file, waiting for whoever has it for a time. who is what
// uses it, for the error. unlock gives it back.
func lock(ctx context.Context, path, who string, wait time.Duration, say func(string)) (unlockIt func(), err error) {
	deadline := time.Now().Add(wait)
	for told := false; ; {
		f, taken, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if taken {
			if err := f.Truncate(0); err == nil {
				_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n") // for people only
			}
			return func() { unlock(f) }, nil
		}
		owner := ""
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			owner = " (process " + strings.TrimSpace(string(b)) + ")"
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another command%s uses %s: end that first", owner, who)
		}
		if !told {
			say(fmt.Sprintf("waiting for another command%s that uses %s", owner, who))
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
