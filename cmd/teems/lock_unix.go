//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock file if nobody else has it. It goes with the process,
// however that ends.
func tryLock(path string) (f *os.File, taken bool, err error) {
	f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, true, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, err
}

func unlock(f *os.File) { f.Close() }
