package tsm

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

const (
	getDerivedKey = 0xc0205301 // _IOWR('S', 1, struct snp_guest_request_ioctl)

	// What is mixed into the key: the guest's policy and the measurement.
	fieldPolicy      = 1 << 0
	fieldMeasurement = 1 << 3
)

// guestRequest is the kernel's struct snp_guest_request_ioctl.
type guestRequest struct {
	version   uint8
	_         [7]byte
	request   uint64
	response  uint64
	exitInfo2 uint64
}

// Device returns the deriver that asks through the device at path.
//
// It follows include/uapi/linux/sev-guest.h and the SEV-SNP ABI, MSG_KEY_REQ.
func Device(path string) Deriver {
	return func() ([32]byte, error) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return [32]byte{}, err
		}
		defer f.Close()
		// root key select u32 (0: VCEK) | 0 u32 | fields u64 | VMPL u32 | guest SVN u32 | TCB u64
		request := new([32]byte)
		binary.LittleEndian.PutUint64(request[8:], fieldPolicy|fieldMeasurement)
		// status u32 | reserved 28 | key 32
		response := new([64]byte)
		r := &guestRequest{
			version: 1, request: uint64(uintptr(unsafe.Pointer(request))), response: uint64(uintptr(unsafe.Pointer(response))),
		}
		var pin runtime.Pinner
		pin.Pin(request)
		pin.Pin(response)
		defer pin.Unpin()
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getDerivedKey, uintptr(unsafe.Pointer(r)))
		key := [32]byte(response[32:])
		clear(response[:])
		if errno != 0 {
			return [32]byte{}, fmt.Errorf("the firmware derived no key: %w (code %#x)", errno, r.exitInfo2)
		}
		return key, nil
	}
}
