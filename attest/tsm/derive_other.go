//go:build !linux

package tsm

import "errors"

// Device returns a deriver that fails: the device is Linux's.
func Device(string) Deriver {
	return func() ([32]byte, error) { return [32]byte{}, errors.New("the firmware is asked through Linux only") }
}
