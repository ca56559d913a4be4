//go:build !unix

package main

import (
	"errors"
	"os"
)

// tryLock takes the lock file if nobody else has it. A file that cannot be
// removed is in use; one that a crash left is taken over.
func tryLock(path string) (f *os.File, taken bool, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, false, nil
	}
	return f, err == nil, err
}

func unlock(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}
